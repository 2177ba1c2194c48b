"""Small runs: columns that say what a test is about, and zeros for the rest."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from services.experiments.analysis.columns import (
    NONE,
    Actions,
    Agents,
    Coded,
    Experiences,
    Incidents,
    Reproductions,
    Resources,
    Run,
    States,
    Steps,
)


T = TypeVar("T")
Numbers = Sequence[float]


def steps(
    system: Sequence[int],
    independent: Sequence[int] | None = None,
    control: Sequence[int] | None = None,
    *,
    first: int = 0,
    **given: Numbers,
) -> Steps:
    n = len(system)
    own = np.array(system, dtype=np.int64)
    other = np.array(independent or [0] * n, dtype=np.int64)
    third = np.array(control or [0] * n, dtype=np.int64)

    def floats(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(given.get(name, [0.0] * n), dtype=np.float64)

    def ints(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array(given.get(name, [0] * n), dtype=np.int64)

    return Steps(
        step_number=np.arange(first, first + n),
        total_agents=own + other + third,
        system_agents=own,
        independent_agents=other,
        control_agents=third,
        total_resources=floats("total_resources"),
        average_agent_resources=floats("average_agent_resources"),
        births=ints("births"),
        deaths=ints("deaths"),
        current_max_generation=ints("current_max_generation"),
        resource_efficiency=floats("resource_efficiency"),
        resource_distribution_entropy=floats("resource_distribution_entropy"),
        average_agent_health=floats("average_agent_health"),
        average_agent_age=floats("average_agent_age"),
        average_reward=floats("average_reward"),
        combat_encounters=ints("combat_encounters"),
        successful_attacks=ints("successful_attacks"),
        resources_shared=floats("resources_shared"),
        genetic_diversity=floats("genetic_diversity"),
        dominant_genome_ratio=floats("dominant_genome_ratio"),
        resources_consumed=floats("resources_consumed"),
    )


def agents(
    *rows: tuple[str, int, int | None],
    generations: Sequence[int] | None = None,
    places: Sequence[tuple[float, float]] | None = None,
) -> Agents:
    """Agents as (type, birth, death), numbered from 0."""
    n = len(rows)
    where = places or [(0.0, 0.0)] * n
    return Agents(
        agent_id=np.arange(n),
        birth_time=np.array([birth for _, birth, _ in rows], dtype=np.int64),
        death_time=np.array(
            [NONE if death is None else death for _, _, death in rows], dtype=np.int64
        ),
        agent_type=Coded.of([name for name, _, _ in rows]),
        position_x=np.array([x for x, _ in where], dtype=float),
        position_y=np.array([y for _, y in where], dtype=float),
        initial_resources=np.ones(n),
        generation=np.array(generations or [0] * n, dtype=np.int64),
    )


def actions(
    *rows: tuple[int, int, str, float],
    targets: Sequence[int] | None = None,
    gained: Numbers | None = None,
    succeeded: Sequence[bool] | None = None,
) -> Actions:
    """Actions as (step, agent, type, reward)."""
    n = len(rows)
    return Actions(
        step_number=np.array([row[0] for row in rows], dtype=np.int64),
        agent_id=np.array([row[1] for row in rows], dtype=np.int64),
        action_type=Coded.of([row[2] for row in rows]),
        action_target_id=np.array(targets or [NONE] * n, dtype=np.int64),
        resources_before=np.full(n, 10.0),
        resources_after=10.0 + np.array(gained or [0.0] * n, dtype=float),
        reward=np.array([row[3] for row in rows], dtype=float),
        succeeded=np.array(succeeded or [True] * n, dtype=bool),
        told=np.ones(n, dtype=bool),
    )


def states(*rows: tuple[int, int, float]) -> States:
    """States as (step, agent, resources)."""
    return States(
        step_number=np.array([row[0] for row in rows], dtype=np.int64),
        agent_id=np.array([row[1] for row in rows], dtype=np.int64),
        resource_level=np.array([row[2] for row in rows], dtype=float),
        current_health=np.full(len(rows), 100.0),
        total_reward=np.zeros(len(rows)),
        position_x=np.zeros(len(rows)),
        position_y=np.zeros(len(rows)),
    )


def resources(*rows: tuple[int, int, float, float, float]) -> Resources:
    """Nodes as (step, node, amount, x, y)."""
    return Resources(
        step_number=np.array([row[0] for row in rows], dtype=np.int64),
        resource_id=np.array([row[1] for row in rows], dtype=np.int64),
        amount=np.array([row[2] for row in rows], dtype=float),
        position_x=np.array([row[3] for row in rows], dtype=float),
        position_y=np.array([row[4] for row in rows], dtype=float),
    )


def experiences(*rows: tuple[int, int, str, int, float]) -> Experiences:
    """Experiences as (step, agent, module, choice, reward)."""
    return Experiences(
        step_number=np.array([row[0] for row in rows], dtype=np.int64),
        agent_id=np.array([row[1] for row in rows], dtype=np.int64),
        module_type=Coded.of([row[2] for row in rows]),
        action_taken=np.array([row[3] for row in rows], dtype=np.int64),
        reward=np.array([row[4] for row in rows], dtype=float),
    )


def incidents(*rows: tuple[int, int, float, float, str]) -> Incidents:
    """Incidents as (step, agent, before, after, cause)."""
    return Incidents(
        step_number=np.array([row[0] for row in rows], dtype=np.int64),
        agent_id=np.array([row[1] for row in rows], dtype=np.int64),
        health_before=np.array([row[2] for row in rows], dtype=float),
        health_after=np.array([row[3] for row in rows], dtype=float),
        cause=Coded.of([row[4] for row in rows]),
    )


def reproductions(*rows: tuple[int, int, str]) -> Reproductions:
    """Attempts as (step, agent, reason of failure or nothing)."""
    return Reproductions(
        step_number=np.array([row[0] for row in rows], dtype=np.int64),
        agent_id=np.array([row[1] for row in rows], dtype=np.int64),
        succeeded=np.array([not row[2] for row in rows], dtype=bool),
        failure_reason=Coded.of([row[2] for row in rows]),
    )


def sure(value: T | None) -> T:
    """Return what is known."""
    assert value is not None
    return value


NOBODY = agents()


def run(of: Steps, who: Agents = NOBODY, **tables: object) -> Run:
    return Run(steps=of, agents=who, **tables)  # type: ignore[arg-type]
