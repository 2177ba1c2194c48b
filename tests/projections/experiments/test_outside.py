"""Rows of simulations that run elsewhere, in the tables of those that are made here."""

import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from infra.postgres.pool import open_pool
from projections.builds import ensure
from projections.catalogue import EXPERIMENTS
from tests.postgres_ladder import Database
from tests.projections.experiments.world import Shown
from tests.projections.test_seed_queries import let_read
from tests.services.experiments.outside_examples import (
    DESCRIBE,
    ELSEWHERE,
    GROUP,
    STORY,
)
from tests.services.work.floor import Floor


pytestmark = pytest.mark.furnished


@pytest.fixture
async def elsewhere(database: Database) -> AsyncIterator[Shown]:
    """A simulation that was recorded of somebody's own model."""
    floor = Floor()
    await floor.ask(*STORY)
    pool = await open_pool(
        database.projector, min_size=1, max_size=2, application_name="tests"
    )
    async with pool:
        async with pool.acquire() as connection, connection.transaction():
            await ensure(connection, EXPERIMENTS)
        await let_read(database, "acme", "viewer")
        made = Shown(floor=floor, database=database, pool=pool)
        await made.feed()
        yield made


async def test_a_simulation_says_where_it_comes_from(elsewhere: Shown) -> None:
    (row,) = await elsewhere.read("SELECT * FROM simulations")
    assert row["_id"] == str(ELSEWHERE)
    assert row["external_id"] == "sim_001"
    assert row["engine"] == "recorded: meadow 2.1"
    assert (row["status"], row["step"]) == ("completed", 4)
    assert row["experiment_id"] == str(GROUP)
    assert row["parameters"] == {"rain": 0.1}
    assert row["results_summary"] == {"final_population": 1}
    assert row["latest"]["average_agent_age"] == 1.5
    (config,) = await elsewhere.read("SELECT * FROM simulation_config")
    assert config["simulation_id"] == row["simulation_id"]
    assert json.loads(config["config_data"]) == {"width": 100}


async def test_an_experiment_says_what_was_last_said_of_it(elsewhere: Shown) -> None:
    (row,) = await elsewhere.read("SELECT * FROM experiments")
    assert (row["external_id"], row["status"]) == ("dry", "running")
    assert row["variables"] == {"rain": [0.1, 0.4]}
    await elsewhere.floor.ask(replace(DESCRIBE, status="completed"))
    await elsewhere.feed()
    (row,) = await elsewhere.read("SELECT * FROM experiments")
    assert (row["status"], row["name"]) == ("completed", "Dry summers")


async def test_what_comes_again_takes_the_place_of_the_earlier(
    elsewhere: Shown,
) -> None:
    agents = await elsewhere.read("SELECT * FROM agents ORDER BY agent_id")
    assert [
        (row["agent_id"], row["agent_type"], row["death_time"], row["death_cause"])
        for row in agents
    ] == [
        ("ant", "control", 4, "heat"),
        ("bee", None, None, None),
        ("cat", None, None, None),
        ("dog", None, None, None),
    ]
    assert [row["generation"] for row in agents] == [None, 0, None, 1]
    steps = await elsewhere.read(
        "SELECT step_number, total_agents, average_agent_age, mean_agent_age, elsewhere"
        " FROM simulation_steps ORDER BY step_number"
    )
    assert [tuple(row.values()) for row in steps] == [
        (0, 2, None, None, True),
        (1, 1, None, None, True),
        (2, 2, 2, 1.5, True),
    ]
    states = await elsewhere.read("SELECT * FROM agent_states ORDER BY id")
    assert [(row["id"], row["total_reward"]) for row in states] == [
        ("bee-1", 0.3),
        ("bee-2", 1e300),
    ]
    resources = await elsewhere.read(
        "SELECT resource_id, id, amount FROM resource_states ORDER BY resource_id"
    )
    assert [tuple(row.values()) for row in resources] == [(7, 71, 3.5), (8, 2, 2.5)]


async def test_actions_lessons_and_incidents_are_as_they_were_said(
    elsewhere: Shown,
) -> None:
    first, second = await elsewhere.read(
        "SELECT * FROM agent_actions ORDER BY step_number"
    )
    assert (first["action_id"], second["action_id"]) == (501, 2)
    assert (first["action_type"], first["action_target_id"]) == ("dance", "ant")
    assert (first["state_before_id"], first["state_after_id"]) == ("bee-0", "bee-1")
    assert json.loads(first["details"]) == {"turns": 3}
    assert (second["reward"], second["details"], second["action"]) == (None, None, None)
    (lesson,) = await elsewhere.read("SELECT * FROM learning_experiences")
    assert (lesson["experience_id"], lesson["module_id"]) == (1, "bee-dancing")
    assert (lesson["action_taken"], lesson["action_taken_mapped"]) == (2, "waggle")
    (incident,) = await elsewhere.read("SELECT * FROM health_incidents")
    assert (incident["incident_id"], incident["cause"]) == (1, "rain")
    assert (incident["health_before"], incident["health_after"]) == (1.0, 0.75)


async def test_every_row_has_a_key_of_its_own(elsewhere: Shown) -> None:
    for projection in EXPERIMENTS.projections:
        listed = ", ".join(projection.table.shown_key)
        (row,) = await elsewhere.read(
            f"SELECT count(*), count(DISTINCT ({listed})) AS keys,"  # noqa: S608 - ours
            f" count(*) FILTER (WHERE ({listed}) IS NULL) AS without"
            f" FROM {projection.table.name}"
        )
        assert row["keys"] == row["count"], projection.name
        assert row["without"] == 0


async def test_others_see_none_of_it(elsewhere: Shown) -> None:
    await let_read(elsewhere.database, "other", "admin")
    for projection in EXPERIMENTS.projections:
        name = projection.table.name
        assert await elsewhere.value(f"SELECT count(*) FROM {name}") == 0  # noqa: S608
