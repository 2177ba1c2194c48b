"""Columns of runs that the engine made, and the questions asked of them."""

import msgspec
import numpy as np
import pytest

from events.experiments.columnar import unpacked
from events.experiments.common import Capture, Tree
from services.engines.population.chunks import Begin
from services.engines.population.making import Making
from services.experiments.analysis.columns import NONE, Run
from services.experiments.analysis.contrasts import contrasts
from services.experiments.analysis.recorded import recorded
from services.experiments.analysis.recording import Piece, Recording
from services.experiments.analysis.report import analyse
from services.experiments.analysis.results import Analysis
from tests.finite import not_finite
from tests.services.experiments.analysis.given_run import sure


STEPS = 120
NODES = 20
FOUNDERS = 30
WHOLE = Capture()
SPARSE = Capture(every=0)
FARM: Tree = {}
HUNGRY: Tree = {"agent": {"base_consumption": 0.6}}


def recording(
    *, seed: int = 5, capture: Capture = WHOLE, configuration: Tree = FARM
) -> Recording:
    making = Making(Begin(configuration=configuration, seed=seed, capture=capture))
    bodies = [making.run(until).body.opened() for until in (STEPS // 3, STEPS)]
    return Recording(
        simulation_id=1,
        position=99,
        seed=seed,
        ruleset="farm-1",
        nodes=NODES,
        complete=capture == WHOLE,
        parameters=configuration,
        pieces=[Piece(tables=unpacked(body)) for body in bodies],
    )


@pytest.fixture(scope="module")
def whole() -> Run:
    return recorded(recording())


@pytest.fixture(scope="module")
def answers(whole: Run) -> Analysis:
    return analyse(whole)


def test_columns_agree_with_each_other_over_every_step(whole: Run) -> None:
    steps, agents, states = whole.steps, whole.agents, whole.states
    assert states is not None
    assert list(steps.step_number) == list(range(STEPS + 1))
    for step in (0, 1, 40, 41, STEPS):
        born = agents.birth_time <= step
        gone = (agents.death_time != NONE) & (agents.death_time <= step)
        living = states.step_number == step
        total = sure(steps.total_agents)[step]
        assert total == living.sum() == (born & ~gone).sum()
        held = states.resource_level[living]
        assert sure(steps.average_agent_resources)[step] == pytest.approx(held.mean())
        kinds = agents.types_of(states.agent_id[living])
        assert sure(steps.system_agents)[step] == (kinds == 0).sum()


def test_deaths_and_births_of_steps_are_those_of_agents(whole: Run) -> None:
    steps, agents, tried = whole.steps, whole.agents, whole.reproductions
    assert tried is not None
    born = np.bincount(agents.birth_time, minlength=STEPS + 1)
    died = np.bincount(
        agents.death_time[agents.death_time != NONE], minlength=STEPS + 1
    )
    assert list(sure(steps.births)) == list(born)
    assert list(sure(steps.deaths)) == list(died)
    assert tried.succeeded.sum() == (agents.generation > 0).sum()


def test_every_question_is_answered(answers: Analysis) -> None:
    for name in answers.__struct_fields__:
        assert getattr(answers, name) is not None, name
    assert list(not_finite(answers)) == []
    assert answers.population is not None
    assert answers.survival is not None
    assert answers.behaviour is not None
    assert answers.health is not None
    assert answers.population.births == answers.survival.overall.n - FOUNDERS
    assert {each.cause for each in answers.health.causes} <= {
        "starvation",
        "combat",
        "age",
        "healing",
    }


def test_the_same_run_gives_the_same_answers(answers: Analysis) -> None:
    assert msgspec.json.encode(analyse(recorded(recording()))) == msgspec.json.encode(
        answers
    )


def test_what_was_not_captured_is_not_answered() -> None:
    found = analyse(recorded(recording(capture=SPARSE)))
    assert found.behaviour is None
    assert found.learning is None
    assert found.population is not None
    assert found.population.interaction_rate is None
    assert found.reproduction is not None
    assert found.survival is not None


def test_a_run_is_read_up_to_a_step() -> None:
    whole = recording()
    cut = [msgspec.structs.replace(piece, upto=50) for piece in whole.pieces]
    found = recorded(msgspec.structs.replace(whole, pieces=cut))
    assert found.last_step == 50
    assert found.agents.birth_time.max() <= 50
    assert found.actions is not None
    assert found.actions.step_number.max() == 50


def test_nothing_recorded_is_an_empty_run() -> None:
    empty = recorded(msgspec.structs.replace(recording(capture=SPARSE), pieces=[]))
    assert analyse(empty).population is None
    assert contrasts([]).contrasts == []


def test_conditions_are_compared_over_their_seeds(whole: Run) -> None:
    runs = [
        recording(seed=seed, capture=SPARSE, configuration=configuration)
        for seed in (5, 6, 7)
        for configuration in (FARM, HUNGRY)
    ]
    found = contrasts(runs)
    assert found.conditions == [FARM, HUNGRY]
    (contrast,) = found.contrasts
    assert contrast.comparison.paired
    differences = {each.figure: each for each in contrast.comparison.differences}
    longer = differences["mean_life"].difference
    assert longer is not None
    assert longer > 0
    usual = differences["births"].first
    assert usual is not None
    assert usual.n == 3
    assert usual.least <= sure(whole.steps.births)[1:].sum() <= usual.most
