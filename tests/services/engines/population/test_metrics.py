"""Each formula by hand, over three nodes and four agents of two genomes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from events.experiments.metrics import step_metrics
from services.engines.population.columns import (
    TABLES,
    Agent,
    Counters,
    Node,
    Rows,
    Tables,
    array_of,
    records,
)
from services.engines.population.configuration import configuration
from services.engines.population.recording import record_step
from services.engines.population.rules import Capture, captured
from services.engines.population.simulation import Simulation


UNIT = 10_000


@pytest.fixture
def recorded() -> np.ndarray:
    return record((2, 0, 6), before=9)


def record(amounts: Sequence[int], *, before: int, steps: int = 1) -> np.ndarray:
    """Write down so many steps, over nodes that held `before` units in all."""
    agents, nodes = records(Agent, 4), records(Node, len(amounts))
    held = [
        # kind, resources, health, birth, reward, generation
        (0, 2.0, 100, 0, 1.0, 0),
        (0, 4.0, 50, 5, -0.5, 2),
        (1, 0.0, 90, 10, 0.0, 1),
        (2, 6.0, 80, 9, 3.5, 0),
    ]
    for place, (kind, resources, health, birth, reward, generation) in enumerate(held):
        agent = agents[place]
        agent.uid, agent.kind, agent.birth = place, kind, birth
        agent.resources, agent.health = round(resources * UNIT), health * UNIT
        agent.reward, agent.generation = round(reward * UNIT), generation
    for place, amount in enumerate(amounts):
        nodes[place].amount = amount * UNIT
    counters = records(Counters, 1)
    counters[0].step, counters[0].alive = 10, 4
    counters[0].distinct, counters[0].dominant = 2, 3
    counters[0].births, counters[0].deaths = 1, 2
    counters[0].encounters, counters[0].successes = 7, 5
    counters[0].shared, counters[0].node_total = 25_000, before * UNIT
    counters[0].gathered = 12_500
    tables = Tables(**{name: records(kind, 8) for name, kind in TABLES.items()})
    rows = records(Rows, 1)
    for _ in range(steps):
        record_step(agents, nodes, counters[0], captured(Capture())[0], tables, rows[0])
        counters[0].step += 1
    return array_of(tables.steps)[:steps]


def test_a_step_has_the_documented_metrics(recorded: np.ndarray) -> None:
    metrics = step_metrics(recorded, nodes=3, ruleset="farm-1")
    found = {name: column[0] for name, column in metrics.items()}

    assert found == pytest.approx(
        {
            "step_number": 10,
            "total_agents": 4,
            "system_agents": 2,
            "independent_agents": 1,
            "control_agents": 1,
            "total_resources": 8,
            "average_agent_resources": 3,
            "births": 1,
            "deaths": 2,
            "current_max_generation": 2,
            "resource_efficiency": 8 / 90,
            "resource_distribution_entropy": -(
                0.25 * math.log(0.25) + 0.75 * math.log(0.75)
            ),
            "average_agent_health": 80,
            "average_agent_age": 4,
            "average_reward": 1,
            "combat_encounters": 7,
            "successful_attacks": 5,
            "resources_shared": 2.5,
            "genetic_diversity": 0.5,
            "dominant_genome_ratio": 0.75,
            "resources_consumed": 1.25,
        }
    )


def test_the_compatible_rules_count_what_the_nodes_lost(recorded: np.ndarray) -> None:
    found = step_metrics(recorded, nodes=3, ruleset="agentfarm-2025-07")

    assert found["resources_consumed"][0] == 1


def test_what_the_nodes_gained_is_no_consumption() -> None:
    grown = step_metrics(
        record((2, 0, 6), before=5), nodes=3, ruleset="agentfarm-2025-07"
    )

    assert grown["resources_consumed"][0] == 0


@pytest.mark.parametrize(
    ("amounts", "efficiency", "entropy"),
    [
        ((45, 45, 45, 45), 1.5, math.log(4)),  # nothing limits growth
        ((0, 12), 0.2, 0.0),
        ((0, 0), 0.0, 0.0),
        ((10, 20), 0.5, math.log(3) - 2 / 3 * math.log(2)),
    ],
)
def test_nodes_are_as_full_and_as_even_as_they_are(
    amounts: Sequence[int], efficiency: float, entropy: float
) -> None:
    rows = record(amounts, before=0)
    found = step_metrics(rows, nodes=len(amounts), ruleset="agentfarm-2025-07")

    assert found["resource_efficiency"][0] == pytest.approx(efficiency)
    assert found["resource_distribution_entropy"][0] == pytest.approx(entropy)


def test_fights_and_gifts_add_up_while_births_and_deaths_are_those_of_a_step() -> None:
    rows = record((2, 0, 6), before=9, steps=2)
    found = step_metrics(rows, nodes=3, ruleset="agentfarm-2025-07")

    assert found["combat_encounters"].tolist() == [7, 7]
    assert found["successful_attacks"].tolist() == [5, 5]
    assert found["resources_shared"].tolist() == [2.5, 2.5]
    assert found["births"].tolist() == [1, 0]
    assert found["deaths"].tolist() == [2, 0]
    assert found["resources_consumed"].tolist() == [1, 0]


def test_the_founders_are_births_of_step_0_and_generations_may_fall() -> None:
    made = configuration({"ruleset": "agentfarm-2025-07"})
    rows = array_of(Simulation.begin(made, 8).run(600).tables.steps)
    found = step_metrics(rows, nodes=20, ruleset="agentfarm-2025-07")

    assert (found["step_number"][0], found["births"][0]) == (0, 30)
    assert np.diff(found["current_max_generation"]).min() < 0


def test_nobody_left_means_no_averages() -> None:
    tables = Tables(**{name: records(kind, 8) for name, kind in TABLES.items()})
    counters, rows = records(Counters, 1), records(Rows, 1)
    capture = captured(Capture())[0]
    record_step(
        records(Agent, 1), records(Node, 0), counters[0], capture, tables, rows[0]
    )
    found = step_metrics(array_of(tables.steps)[:1], nodes=0, ruleset="farm-1")

    assert {float(column[0]) for column in found.values()} == {0.0}
