"""Networks that a population shares: the same as plain rules say, and they learn."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from events.experiments.vocabulary import ATTACK, MOVE, REPRODUCE, SCALE, SHARED
from services.engines.population.columns import array_of
from services.engines.population.configuration import Configuration, configuration
from services.engines.population.networks import (
    BOUND,
    INPUTS,
    Minds,
    awaken,
    evaluate,
    minds,
    parameters,
    remember,
    study,
    train,
)
from services.engines.population.simulation import Simulation
from tests.services.engines.population.alike import assert_alike, run_plainly
from tests.services.engines.population.reference_networks import ReferenceWithNetworks


TINY = {"hidden": 5, "memory": 40, "batch": 4}
EAGER = {"epsilon": 0.3, "epsilon_decay": 0.9}
Given = dict[str, object]


def thinking(network: Mapping[str, object], **learning: object) -> Given:
    return {"mode": "dqn", "network": network, **learning}


@pytest.mark.parametrize(
    ("given", "seed", "steps"),
    [
        ({"learning": thinking(TINY)}, 7, 60),
        ({"learning": thinking(TINY, **EAGER)}, 2**63 - 1, 60),
        (
            {
                "learning": thinking({**TINY, "updates": 3, "hidden": 7}, **EAGER),
                "population": {"system": 25, "independent": 25, "maximum": 80},
                "world": {"width": 60, "height": 50},
                "combat": {"base_attack_strength": 70},
                "genome": {"crossover_rate": 0.5},
                "agent": {"maximum_age": 20},
                "reproduction": {"minimum_resources": 3},
            },
            5,
            40,
        ),
        (
            {
                "learning": thinking(
                    {**TINY, "learning_rate": 0.1, "huber_delta": 0.1, "beta_1": 0}
                ),
                "population": {"system": 0, "independent": 1, "control": 0},
                "resources": {"nodes": 1},
            },
            3,
            60,
        ),
        (
            {
                "learning": thinking(TINY, **EAGER),
                "resources": {"nodes": 0},
                "agent": {"social_range": 0, "gathering_range": 0},
                "reproduction": {"minimum_resources": 0, "offspring_cost": 0},
            },
            4,
            25,
        ),
    ],
    ids=["default", "eager", "crowded", "alone", "blind"],
)
def test_the_engine_thinks_as_the_plain_rules_say(
    given: Given, seed: int, steps: int
) -> None:
    made = configuration(given)
    run, plain = Simulation.begin(made, seed), ReferenceWithNetworks(made, seed)

    assert_alike(run.run(steps).tables, run_plainly(plain, steps))
    for place, module in enumerate(plain.modules.values()):
        assert np.array_equal(weights_of(run, place), flat(module.layers))
        assert np.array_equal(weights_of(run, place, "target"), flat(module.target))


def weights_of(
    run: Simulation, module: int, name: str = "online"
) -> npt.NDArray[np.float32]:
    held = run.minds
    assert held is not None
    weights: npt.NDArray[np.float32] = getattr(held, name)[module]
    return weights


def flat(layers: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Return layers one after another, as long as the longest of a run."""
    whole = np.concatenate([layer.reshape(-1) for layer in layers])
    most = parameters(layers[0].shape[1])
    return np.pad(whole, (0, most - len(whole)))


def learner(discount: float = 0.0, **network: object) -> tuple[Configuration, Minds]:
    """Return networks that have not learned yet, and have one place to perceive."""
    made = configuration({"learning": thinking(dict(network), discount=discount)})
    held = minds(made.learning, 1, 1)
    awaken(held, 11)
    return made, held


def experience(
    held: Minds,
    module: int,
    situation: int,
    choice: int,
    reward: float,
    *,
    led: int = 0,
) -> None:
    """Remember what a choice in a situation brought, and to which one it led."""
    held.last[0] = held.seen[0] = 0
    held.last[0, situation] = held.seen[0, led] = SCALE
    remember(held, module, 0, choice, round(reward * SCALE))


def values(held: Minds, module: int, situation: int, choices: int) -> list[float]:
    hidden = int(held.teaching[0].hidden)
    space = held.space[0]
    space[:] = 0
    space[situation] = 1
    evaluate(held.online[module], space, hidden, choices)
    first = INPUTS + 2 * hidden
    return [float(value) for value in space[first : first + choices]]


@pytest.mark.parametrize("reward", [0.3, 40.0], ids=["within", "beyond"])
@pytest.mark.parametrize("module", [MOVE, ATTACK, REPRODUCE])
def test_gradients_are_those_of_the_loss(module: int, reward: float) -> None:
    _, held = learner(discount=0.9, hidden=6, batch=1, huber_delta=2.0)
    held.last[0] = np.arange(-3, 9) * 1_000
    held.seen[0] = np.arange(12) * 500
    choice = 1
    remember(held, module, 0, choice, round(reward * SCALE))
    error = float(study(held, module, 0))
    choices = (4, 3, 4, 5, 2, 5)[module]
    weights = held.online[module].astype(np.float64)
    goal = value_of(weights, held.last[0] / SCALE, choices)[choice] - error

    def loss(moved: npt.NDArray[np.float64]) -> float:
        value = float(value_of(moved, held.last[0] / SCALE, choices)[choice])
        away: float = abs(value - goal)
        return away * away / 2 if away <= 2 else 2 * (away - 1)

    numbers = np.array(
        [
            (loss(weights + step) - loss(weights - step)) / 2e-6
            for step in np.eye(len(weights)) * 1e-6
        ]
    )
    assert np.abs(numbers).max() > 0.1
    np.testing.assert_allclose(held.gradient[module], numbers, rtol=1e-3, atol=1e-4)


def value_of(
    weights: npt.NDArray[np.float64], inputs: npt.NDArray[np.float64], choices: int
) -> npt.NDArray[np.float64]:
    """Return the values of a network of hidden width 6, in 64 bits."""
    place = 0
    for outputs in (6, 6, choices):
        size = len(inputs) * outputs
        layer = weights[place : place + size].reshape(-1, outputs)
        biases = weights[place + size : place + size + outputs]
        inputs = inputs @ layer + biases
        if place < (INPUTS + 1) * 6 + 1:
            inputs = np.maximum(inputs, 0)
        place += size + outputs
    return inputs


def test_values_approach_what_choices_bring_in_each_situation() -> None:
    brings = {0: (1.0, -0.5, 0.0, 2.0), 3: (0.2, 1.5, -1.0, 0.0)}
    _, held = learner(learning_rate=0.005)
    for situation, rewards in brings.items():
        for choice, reward in enumerate(rewards):
            experience(held, MOVE, situation, choice, reward)
    for turn in range(800):
        train(held, MOVE, np.uint64(turn), 0)

    for situation, rewards in brings.items():
        assert values(held, MOVE, situation, 4) == pytest.approx(rewards, abs=0.1)


def test_values_count_what_comes_later_at_its_discount() -> None:
    # From 0, choice 1 leads to 5, where choice 0 brings 2 for ever: 2 / (1 - 1/2) = 4.
    _, held = learner(discount=0.5, learning_rate=0.003, target_rate=0.05)
    experience(held, REPRODUCE, 0, 0, 1.0, led=0)
    experience(held, REPRODUCE, 0, 1, 0.0, led=5)
    experience(held, REPRODUCE, 5, 0, 2.0, led=5)
    experience(held, REPRODUCE, 5, 1, 0.0, led=0)
    for turn in range(1_500):
        train(held, REPRODUCE, np.uint64(turn), 0)

    # From 0: 1 + 2/2 by staying once, 0 + 4/2 by leaving. From 5: 4, and 0 + 2/2.
    assert values(held, REPRODUCE, 0, 2) == pytest.approx([2, 2], abs=0.2)
    assert values(held, REPRODUCE, 5, 2) == pytest.approx([4, 1], abs=0.2)


def test_a_memory_keeps_the_last_experiences() -> None:
    _, held = learner(memory=32)
    for number in range(40):
        experience(held, MOVE, number % INPUTS, 0, number)

    kept = held.memory.reward[MOVE] // SCALE
    assert kept.tolist() == [*range(32, 40), *range(8, 32)]


def test_nothing_overflows_however_wild_the_rewards_are() -> None:
    _, held = learner(discount=1.0, learning_rate=0.1, target_rate=1.0, huber_delta=1e3)
    for situation in range(INPUTS):
        sign = 1 if situation % 2 else -1
        experience(held, MOVE, situation, situation % 4, sign * 2e5, led=situation)
    for turn in range(2_000):
        train(held, MOVE, np.uint64(turn), 0)

    for weights in (held.online, held.target, held.first, held.second):
        assert np.isfinite(weights).all()
    assert np.abs(held.online).max() <= BOUND


def test_epsilon_falls_as_a_module_trains_and_stays_at_its_minimum() -> None:
    made = configuration(
        {
            "learning": thinking(
                TINY, epsilon=0.5, epsilon_decay=0.9, epsilon_minimum=0.2
            )
        }
    )
    run = Simulation.begin(made, 1)
    run.run(2)
    held = run.minds
    assert held is not None
    assert array_of(held.progress)["epsilon"].min() == 500_000 * 9 // 10
    run.run(80)
    assert array_of(held.progress)["epsilon"].tolist() == [200_000] * 6


def test_lessons_name_the_networks_that_the_population_shares() -> None:
    made = configuration({"learning": thinking(TINY)})
    tables = Simulation.begin(made, 1).run(30).tables
    actions, lessons = array_of(tables.actions), array_of(tables.lessons)

    assert set(lessons["module"]) == {SHARED + module for module in range(6)}
    assert len(lessons) == 2 * len(actions)


def test_who_thinks_gains_more_than_who_does_not() -> None:
    gained = {}
    for mode in ("off", "dqn"):
        made = configuration(
            {
                "learning": {"mode": mode, "epsilon_decay": 0.98, "discount": 0.5},
                "resources": {"nodes": 12, "regeneration_probability": 0.5},
                "population": {"maximum": 60},
            }
        )
        rewards = []
        for seed in range(2):
            actions = array_of(Simulation.begin(made, seed).run(500).tables.actions)
            rewards.append(actions["reward"][actions["step"] > 300].mean())
        gained[mode] = np.mean(rewards)

    assert gained["dqn"] > 1.3 * gained["off"]


def test_a_checkpoint_is_as_large_as_is_told() -> None:
    made = configuration({"learning": {"mode": "dqn"}})
    run = Simulation.begin(made, 1)
    run.run(300)
    held = run.minds
    assert held is not None
    kept = np.minimum(array_of(held.progress)["held"], 2_000).sum()
    plain = Simulation.begin(configuration({"learning": {"mode": "off"}}), 1)
    per_agent = len(plain.checkpoint()) / 30

    networks = 6 * 16 * parameters(24)
    told = networks + 53 * kept + (per_agent + 24) * run.alive
    assert len(run.checkpoint()) == pytest.approx(told, rel=0.02)
