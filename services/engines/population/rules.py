"""A configuration as the whole numbers that the engine calculates with."""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

import numpy as np

from events.experiments.vocabulary import (
    FINE,
    GENES,
    KINDS,
    SCALE,
)
from services.engines.population.columns import (
    I8,
    Integers,
    Records,
    array_of,
    dtype_of,
    records,
)
from services.engines.population.configuration import Configuration


R = TypeVar("R")

NEVER: Final = 1 << 40  # a step that no run reaches
TABLED: Final = 1
NETWORKED: Final = 2
LEARNS: Final = {"off": 0, "tables": TABLED, "dqn": NETWORKED}


class Rules:
    """The parameters that are one number each."""

    seed: I8
    width: I8
    height: I8
    system: I8
    independent: I8
    control: I8
    maximum: I8
    initial_resources: I8
    initial_minimum: I8
    initial_maximum: I8
    maximum_amount: I8
    regeneration_probability: I8
    regeneration_amount: I8
    consumption: I8
    movement: I8
    gathering: I8
    gather: I8
    social: I8
    health: I8
    starvation: I8
    age: I8
    minimum_resources: I8
    offspring_cost: I8
    offspring_resources: I8
    minimum_health: I8
    crowding_range: I8
    crowding_limit: I8
    attack_range: I8
    strength: I8
    attack_cost: I8
    defense_boost: I8
    healing: I8
    damage_reward: I8
    kill_reward: I8
    kept: I8
    memory: I8
    penalty: I8
    learning: I8
    epsilon: I8
    epsilon_minimum: I8
    inherited: I8
    mutation_rate: I8
    mutation_range: I8
    crossover_rate: I8


class KindRules:
    """How a type judges resource nodes."""

    efficiency: I8
    distance_cost: I8
    minimum: I8


class Capture(NamedTuple):
    """What is recorded of states, nodes, actions and lessons.

    Every `every`-th step from `first` to `last` (0: none), of every `sample`-th agent.
    """

    every: int = 1
    first: int = 0
    last: int = NEVER
    sample: int = 1


class Captured:
    """A capture as the kernels take it."""

    every: I8
    first: I8
    last: I8
    sample: I8


def fixed(value: float) -> int:
    """Return a number in units of 1/SCALE."""
    return round(value * SCALE)


def rules(made: Configuration, seed: int) -> Records[Rules]:
    """Return a run's parameters; its seed is from 0 to 2**63 - 1."""
    population, resources, agent = made.population, made.resources, made.agent
    reproduction, combat, learning = made.reproduction, made.combat, made.learning
    given = dict(  # noqa: C408 - named like the fields
        seed=seed,
        width=fixed(made.world.width),
        height=fixed(made.world.height),
        system=population.system,
        independent=population.independent,
        control=population.control,
        maximum=population.maximum,
        initial_resources=fixed(population.initial_resources),
        initial_minimum=fixed(resources.initial_minimum),
        initial_maximum=fixed(resources.initial_maximum),
        maximum_amount=fixed(resources.maximum_amount),
        regeneration_probability=fixed(resources.regeneration_probability),
        regeneration_amount=fixed(resources.regeneration_amount),
        consumption=fixed(agent.base_consumption),
        movement=fixed(agent.maximum_movement),
        gathering=fixed(agent.gathering_range),
        gather=fixed(agent.maximum_gather),
        social=fixed(agent.social_range),
        health=fixed(agent.starting_health),
        starvation=agent.maximum_starvation_time,
        age=NEVER if agent.maximum_age is None else agent.maximum_age,
        minimum_resources=fixed(reproduction.minimum_resources),
        offspring_cost=fixed(reproduction.offspring_cost),
        offspring_resources=fixed(reproduction.offspring_initial_resources),
        minimum_health=fixed(reproduction.minimum_health),
        crowding_range=fixed(reproduction.crowding_range),
        crowding_limit=fixed(reproduction.crowding_limit),
        attack_range=fixed(combat.attack_range),
        strength=fixed(combat.base_attack_strength),
        attack_cost=fixed(combat.attack_cost),
        defense_boost=fixed(combat.defense_boost),
        healing=fixed(combat.healing),
        damage_reward=fixed(combat.damage_reward),
        kill_reward=fixed(combat.kill_reward),
        kept=fixed(made.sharing.minimum_kept),
        memory=made.sharing.memory,
        penalty=fixed(made.sharing.failure_penalty),
        learning=LEARNS[learning.mode],
        epsilon=round(learning.epsilon * FINE),
        epsilon_minimum=round(learning.epsilon_minimum * FINE),
        inherited=learning.inherited,
        mutation_rate=fixed(made.genome.mutation_rate),
        mutation_range=fixed(made.genome.mutation_range),
        crossover_rate=fixed(made.genome.crossover_rate),
    )
    return one(Rules, given)


def captured(capture: Capture) -> Records[Captured]:
    """Return a capture as the kernels take it."""
    return one(Captured, capture._asdict())


def kind_rules(made: Configuration) -> Records[KindRules]:
    """Return how each type judges nodes, in the order of `KINDS`."""
    given = [getattr(made.types, name) for name in KINDS]
    held = records(KindRules, len(given))
    for place, kind in enumerate(given):
        held[place].efficiency = fixed(kind.gather_efficiency)
        held[place].distance_cost = fixed(kind.gather_distance_cost)
        held[place].minimum = fixed(kind.gather_minimum)
    return held


def first_genes(made: Configuration) -> Integers:
    """Return the genes that each type begins with; five weights sum to FINE."""
    genes = np.zeros((len(KINDS), len(GENES)), dtype=np.int32)
    learning = made.learning
    for place, name in enumerate(KINDS):
        weights = getattr(made.types, name).weights
        inclined = [weights.move, weights.gather, weights.share, weights.attack]
        whole = sum(inclined) + weights.reproduce
        genes[place, :4] = [round(each / whole * FINE) for each in inclined]
        genes[place, 4] = FINE - int(genes[place, :4].sum())
        genes[place, 5:] = [
            round(each * FINE)
            for each in (
                learning.learning_rate,
                learning.discount,
                learning.epsilon_decay,
            )
        ]
    return genes


def one(kind: type[R], given: Mapping[str, float]) -> Records[R]:
    """Return one row."""
    held = records(kind, 1)
    array_of(held)[0] = tuple(given[name] for name in dtype_of(kind).names or ())
    return held
