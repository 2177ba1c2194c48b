"""The read tables of experiments: what was promised, and true in every column."""

import json
import math
from typing import Final

import pytest

from events.experiments.columnar import decoded, unpacked
from events.experiments.simulations import ChunkRecorded
from events.experiments.vocabulary import MODULES
from projections.catalogue import EXPERIMENTS, TABLES
from services.experiments.simulations import RequestRows
from tests.projections.experiments.world import Shown
from tests.projections.test_seed_queries import let_read
from tests.services.experiments.examples import (
    BRANCH,
    EXPERIMENT,
    SIMULATION,
    STRENGTH,
    THOUGHTFUL,
)
from tests.services.experiments.outside_examples import STORY


pytestmark = pytest.mark.furnished
TEXT: Final = "text"
INTEGER: Final = "integer"
BIGINT: Final = "bigint"
DOUBLE: Final = "double precision"
JSON: Final = "jsonb"
MOMENT: Final = "timestamptz"
BOOLEAN: Final = "boolean"

PROMISED: Final = {
    "experiments": {
        "experiment_id": TEXT,
        "name": TEXT,
        "description": TEXT,
        "hypothesis": TEXT,
        "status": TEXT,
        "variables": JSON,
        "results_summary": JSON,
    },
    "simulations": {
        "simulation_id": BIGINT,
        "start_time": MOMENT,
        "end_time": MOMENT,
        "status": TEXT,
        "parameters": JSON,
        "results_summary": JSON,
        "simulation_db_path": TEXT,
        "experiment_id": TEXT,
    },
    "simulation_config": {
        "simulation_id": BIGINT,
        "config_id": BIGINT,
        "timestamp": BIGINT,
        "config_data": TEXT,
    },
    "simulation_steps": {
        "simulation_id": BIGINT,
        "step_number": INTEGER,
        "total_agents": INTEGER,
        "system_agents": INTEGER,
        "independent_agents": INTEGER,
        "control_agents": INTEGER,
        "total_resources": DOUBLE,
        "average_agent_resources": DOUBLE,
        "births": INTEGER,
        "deaths": INTEGER,
        "current_max_generation": INTEGER,
        "resource_efficiency": DOUBLE,
        "resource_distribution_entropy": DOUBLE,
        "average_agent_health": DOUBLE,
        "average_agent_age": INTEGER,
        "average_reward": DOUBLE,
        "combat_encounters": INTEGER,
        "successful_attacks": INTEGER,
        "resources_shared": DOUBLE,
        "genetic_diversity": DOUBLE,
        "dominant_genome_ratio": DOUBLE,
        "resources_consumed": DOUBLE,
    },
    "agents": {
        "simulation_id": BIGINT,
        "agent_id": TEXT,
        "birth_time": INTEGER,
        "death_time": INTEGER,
        "agent_type": TEXT,
        "position_x": DOUBLE,
        "position_y": DOUBLE,
        "initial_resources": DOUBLE,
        "starting_health": DOUBLE,
        "starvation_threshold": INTEGER,
        "genome_id": TEXT,
        "generation": INTEGER,
    },
    "agent_states": {
        "simulation_id": BIGINT,
        "id": TEXT,
        "step_number": INTEGER,
        "agent_id": TEXT,
        "position_x": DOUBLE,
        "position_y": DOUBLE,
        "position_z": DOUBLE,
        "resource_level": DOUBLE,
        "current_health": DOUBLE,
        "is_defending": BOOLEAN,
        "total_reward": DOUBLE,
        "age": INTEGER,
    },
    "resource_states": {
        "simulation_id": BIGINT,
        "id": BIGINT,
        "step_number": INTEGER,
        "resource_id": INTEGER,
        "amount": DOUBLE,
        "position_x": DOUBLE,
        "position_y": DOUBLE,
    },
    "agent_actions": {
        "simulation_id": BIGINT,
        "action_id": BIGINT,
        "step_number": INTEGER,
        "agent_id": TEXT,
        "action_type": TEXT,
        "action_target_id": TEXT,
        "state_before_id": TEXT,
        "state_after_id": TEXT,
        "resources_before": DOUBLE,
        "resources_after": DOUBLE,
        "reward": DOUBLE,
        "details": TEXT,
    },
    "learning_experiences": {
        "simulation_id": BIGINT,
        "experience_id": BIGINT,
        "step_number": INTEGER,
        "agent_id": TEXT,
        "module_type": TEXT,
        "module_id": TEXT,
        "action_taken": "smallint",
        "action_taken_mapped": TEXT,
        "reward": DOUBLE,
    },
    "health_incidents": {
        "simulation_id": BIGINT,
        "incident_id": BIGINT,
        "step_number": INTEGER,
        "agent_id": TEXT,
        "health_before": DOUBLE,
        "health_after": DOUBLE,
        "cause": TEXT,
        "details": TEXT,
    },
}
COUNTED = {
    "simulation_steps": "steps",
    "agents": "births",
    "agent_deaths": "deaths",
    "agent_states": "states",
    "resource_states": "nodes",
    "agent_actions": "actions",
    "learning_experiences": "lessons",
    "health_incidents": "incidents",
    "reproduction_failures": "refusals",
}


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_table_has_its_promised_columns(name: str) -> None:
    table = TABLES[f"experiments.{name}"]
    columns = {each.name: each.type for each in (*table.columns, *table.view_columns)}
    assert PROMISED[name].items() <= columns.items()


async def test_every_promised_column_has_a_value_somewhere(shown: Shown) -> None:
    for name, columns in PROMISED.items():
        counts = ", ".join(f"count({column}) AS {column}" for column in columns)
        (row,) = await shown.read(f"SELECT {counts} FROM {name}")  # noqa: S608 - ours
        assert [column for column, count in row.items() if not count] == [], name


async def test_every_recorded_row_is_in_its_table(shown: Shown) -> None:
    recorded = await shown.floor.events(ChunkRecorded)
    for name, source in COUNTED.items():
        expected = sum(chunk.rows.get(source, 0) for chunk in recorded)
        found = await shown.value(f"SELECT count(*) FROM {name}")  # noqa: S608 - ours
        assert found == expected, name


async def test_a_view_gives_the_types_that_it_promises(shown: Shown) -> None:
    for name, columns in PROMISED.items():
        table = TABLES[f"experiments.{name}"]
        declared = {
            each.name: each.type for each in (*table.columns, *table.view_columns)
        }
        found = await shown.read(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'experiments' AND table_name = $1",
            name,
        )
        types = {
            row["column_name"]: row["data_type"].replace(
                "timestamp with time zone", MOMENT
            )
            for row in found
        }
        assert types == declared
        assert columns.keys() <= types.keys()


async def test_states_are_those_that_the_engine_recorded(shown: Shown) -> None:
    chunk = next(
        chunk
        for chunk in await shown.floor.events(ChunkRecorded)
        if chunk.simulation_id == SIMULATION
    )
    rows = decoded(unpacked(await shown.floor.blobs.get(chunk.body))["states"])
    found = await shown.read(
        "SELECT * FROM agent_states WHERE simulation_id = $1"
        " ORDER BY step_number, agent",
        chunk.simulation,
    )

    assert len(found) == len(rows)
    for row, state in zip(found[::97], rows[::97], strict=True):
        assert row["id"] == f"agent_{state['agent']}-{state['step']}"
        assert row["position_x"] == state["x"] / 10_000
        assert row["resource_level"] == state["resources"] / 10_000
        assert row["total_reward"] == state["reward"] / 10_000
        assert row["is_defending"] == bool(state["defending"])
        assert (row["position_z"], row["org_id"]) == (0, "acme")


async def test_actions_refer_to_states_that_are_there(shown: Shown) -> None:
    missing = await shown.value(
        """
        SELECT count(*)
        FROM agent_actions AS a
        LEFT JOIN agent_states AS b
            ON b.simulation_id = a.simulation_id AND b.id = a.state_before_id
        LEFT JOIN agent_states AS c
            ON c.simulation_id = a.simulation_id AND c.id = a.state_after_id
        WHERE b.id IS NULL
        OR (c.id IS NULL) <> (a.state_after_id IS NULL)
        """
    )
    assert missing == 0


async def test_actions_say_what_they_were_and_became(shown: Shown) -> None:
    rows = await shown.read(
        "SELECT action_type, action_target_id, reward, details FROM agent_actions"
    )
    kinds = {row["action_type"] for row in rows}
    assert kinds == {"move", "gather", "share", "attack", "reproduce", "defend"}
    for row in rows:
        details = json.loads(row["details"])
        assert {"outcome", "choice", "amount"} <= details.keys()
        if row["action_type"] == "gather" and details["outcome"] == "done":
            assert 0 <= details["resource_id"] < 20
            assert row["action_target_id"] is None
        if row["action_type"] == "attack" and details["outcome"] == "done":
            assert row["action_target_id"].startswith("agent_")
        if row["action_type"] == "defend":
            assert details["choice"] == "defend"


async def test_agents_that_died_say_when_and_of_what(shown: Shown) -> None:
    rows = await shown.read(
        """
        SELECT a.death_time, a.death_cause, d.killer_id, i.health_after, i.cause
        FROM agents AS a
        JOIN agent_deaths AS d USING (simulation_id, agent)
        LEFT JOIN health_incidents AS i
            ON i.simulation_id = a.simulation_id
            AND i.agent = a.agent
            AND i.step_number = a.death_time
            AND i.health_after = 0
        """
    )
    assert {row["death_cause"] for row in rows} >= {"starvation", "combat"}
    for row in rows:
        assert row["health_after"] == 0
        assert row["cause"] == row["death_cause"]
        assert (row["killer_id"] is None) == (row["death_cause"] != "combat")


async def test_lessons_have_stable_modules_and_readable_choices(shown: Shown) -> None:
    rows = await shown.read(
        "SELECT DISTINCT module_type, action_taken, action_taken_mapped, "
        "module_id = agent_id || ':' || module_type AS stable "
        "FROM learning_experiences JOIN simulations USING (simulation_id) "
        "WHERE _id <> $1",
        str(THOUGHTFUL),
    )
    assert all(row["stable"] for row in rows)
    mapped = {(row["module_type"], row["action_taken_mapped"]) for row in rows}
    assert {("move", "left"), ("select", "gather"), ("attack", "defend")} <= mapped


async def test_lessons_of_networks_name_those_that_the_population_shares(
    shown: Shown,
) -> None:
    rows = await shown.read(
        """
        SELECT DISTINCT module_type, module_id, action_taken_mapped
        FROM learning_experiences
        JOIN simulations USING (simulation_id)
        WHERE _id = $1
        """,
        str(THOUGHTFUL),
    )
    assert {(row["module_type"], row["module_id"]) for row in rows} == {
        (module, f"population:{module}") for module in MODULES
    }
    mapped = {(row["module_type"], row["action_taken_mapped"]) for row in rows}
    assert {("move", "left"), ("select", "gather"), ("reproduce", "wait")} <= mapped


async def test_ids_are_unique_within_a_simulation(shown: Shown) -> None:
    for name, column in (
        ("agent_states", "id"),
        ("resource_states", "id"),
        ("agent_actions", "action_id"),
        ("learning_experiences", "experience_id"),
        ("health_incidents", "incident_id"),
        ("agents", "agent_id"),
    ):
        twice = await shown.value(
            f"SELECT count(*) - count(DISTINCT (simulation_id, {column})) FROM {name}"  # noqa: S608 - ours
        )
        assert twice == 0, name


async def test_steps_are_whole_and_metrics_plausible(shown: Shown) -> None:
    rows = await shown.read(
        """
        SELECT simulation_id, min(step_number), max(step_number), count(*),
               bool_and(total_agents = system_agents + independent_agents
                        + control_agents) AS sums,
               max(resource_distribution_entropy) AS entropy
        FROM simulation_steps
        GROUP BY simulation_id
        """
    )
    assert len(rows) == 7
    for row in rows:
        assert row["count"] == row["max"] - row["min"] + 1
        assert row["sums"]
        assert row["entropy"] <= math.log(20) + 1e-9


async def test_an_experiment_shows_what_came_out(shown: Shown) -> None:
    (row,) = await shown.read("SELECT * FROM experiments")
    assert (row["status"], row["simulations"], row["counted"]) == ("completed", 4, 4)
    assert row["variables"]["grid"] == {STRENGTH: [2, 40]}
    conditions = row["results_summary"]["conditions"]
    assert [each["runs"] for each in conditions] == [2, 2]
    runs = await shown.read(
        "SELECT number, parameters, status FROM simulations"
        " WHERE experiment_id = $1 ORDER BY number",
        str(EXPERIMENT),
    )
    assert [row["parameters"][STRENGTH] for row in runs] == [2, 2, 40, 40]


async def test_a_branch_knows_where_it_comes_from(shown: Shown) -> None:
    (row,) = await shown.read("SELECT * FROM simulations WHERE _id = $1", str(BRANCH))
    assert (row["parent_key"], row["branch_step"]) == (str(SIMULATION), 300)
    assert (row["status"], row["step"], row["seed"]) == ("completed", 400, 7)
    config = await shown.value(
        "SELECT config_data FROM simulation_config WHERE simulation_id = $1",
        row["simulation_id"],
    )
    assert json.loads(config)["combat"]["base_attack_strength"] == 60
    assert len(config) <= 4_096


async def test_rows_that_were_asked_for_take_the_place_of_others(shown: Shown) -> None:
    asked = RequestRows(simulation_id=SIMULATION, first_step=100, last_step=140)
    before = await shown.read(
        "SELECT * FROM agent_states WHERE step_number BETWEEN 100 AND 120"
        " ORDER BY step_number, agent"
    )
    await shown.floor.ask(asked, asked)
    await shown.floor.settle()
    await shown.feed()
    steps = await shown.read(
        "SELECT DISTINCT step_number FROM agent_actions ORDER BY step_number"
    )
    after = await shown.read(
        "SELECT * FROM agent_states WHERE step_number BETWEEN 100 AND 120"
        " ORDER BY step_number, agent"
    )

    assert [row["step_number"] for row in steps] == list(range(1, 141))
    assert after == before


async def test_rebuilt_tables_equal_the_live_ones(shown: Shown) -> None:
    await shown.floor.ask(*STORY)
    await shown.feed()
    on = shown.operations
    await on.rebuild()
    for projection in EXPERIMENTS.projections:
        difference = await on.diff(projection.name)
        assert difference.equal, projection.name
        assert difference.rows, projection.name


async def test_other_organisations_see_none_of_it(shown: Shown) -> None:
    await let_read(shown.database, "other", "admin")
    for name in PROMISED:
        assert await shown.value(f"SELECT count(*) FROM {name}") == 0  # noqa: S608
