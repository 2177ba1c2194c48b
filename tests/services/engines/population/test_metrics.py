"""Each formula by hand, over three nodes and four agents of two genomes."""

import math

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
from services.engines.population.recording import record_step
from services.engines.population.rules import Capture, captured


UNIT = 10_000


@pytest.fixture
def recorded() -> np.ndarray:
    agents, nodes = records(Agent, 4), records(Node, 3)
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
    for place, amount in enumerate((2, 0, 6)):
        nodes[place].amount = amount * UNIT
    counters = records(Counters, 1)
    counters[0].step, counters[0].alive = 10, 4
    counters[0].distinct, counters[0].dominant = 2, 3
    counters[0].births, counters[0].deaths = 1, 2
    counters[0].encounters, counters[0].successes = 7, 5
    counters[0].shared, counters[0].node_total = 25_000, 9 * UNIT
    counters[0].gathered = 12_500
    tables = Tables(**{name: records(kind, 8) for name, kind in TABLES.items()})
    rows = records(Rows, 1)
    record_step(agents, nodes, counters[0], captured(Capture())[0], tables, rows[0])
    return array_of(tables.steps)[:1]


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


def test_nobody_left_means_no_averages() -> None:
    tables = Tables(**{name: records(kind, 8) for name, kind in TABLES.items()})
    counters, rows = records(Counters, 1), records(Rows, 1)
    capture = captured(Capture())[0]
    record_step(
        records(Agent, 1), records(Node, 0), counters[0], capture, tables, rows[0]
    )
    found = step_metrics(array_of(tables.steps)[:1], nodes=0, ruleset="farm-1")

    assert {float(column[0]) for column in found.values()} == {0.0}
