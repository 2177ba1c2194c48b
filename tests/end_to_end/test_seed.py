"""The seven promised tables, filled by commands over HTTP, read with SQL."""

import pytest

from events.errors import Refused
from events.message import Event
from services.client.client import Client
from services.testing.personas import DeletePersona
from services.testing.unit_tests import ChangeUnitTest
from tests.end_to_end.stack import ORG, OTHER_ORG, Row, Stack
from tests.end_to_end.story import REPORT, Story, tell
from tests.projections.test_seed_queries import (
    PERSONA_VERSIONS,
    PERSONAS,
    SCENARIO_VERSIONS,
    SCENARIOS,
    SET_RUNS,
    UNIT_TEST_SETS,
    UNIT_TESTS,
)
from tests.projections.test_seed_tables import PROMISED


EMPTY: tuple[object, ...] = (None, "", [], {})
TOLD = [table for table in PROMISED if table.startswith("testing.")]


@pytest.fixture(scope="module")
async def story(stack: Stack) -> Story:
    async with stack.client() as client:
        told = await tell(client)
    async with stack.client(org=OTHER_ORG) as client:
        await tell(client)
    await stack.caught_up()
    return told


@pytest.mark.parametrize("table", [*TOLD, "audit.audit_log", "playgrounds.audit_log"])
async def test_every_column_is_filled_by_commands(
    table: str, stack: Stack, story: Story
) -> None:
    del story
    rows = await stack.sql(f"SELECT * FROM {table}")  # noqa: S608 - a name of ours
    empty = {
        column
        for column in PROMISED[table.replace("playgrounds", "audit")]
        if all(row[column] in EMPTY for row in rows)
    }
    assert empty == set()


@pytest.mark.parametrize("table", TOLD)
async def test_flags_are_seen_both_ways(table: str, stack: Stack, story: Story) -> None:
    del story
    rows = await stack.sql(f"SELECT * FROM {table}")  # noqa: S608 - a name of ours
    flags = [name for name, kind in PROMISED[table].items() if kind == "boolean"]
    assert all({row[name] for row in rows} == {False, True} for name in flags)


@pytest.mark.parametrize("table", TOLD)
async def test_http_shows_the_rows_that_sql_shows(
    table: str, stack: Stack, story: Story
) -> None:
    del story
    fields = [name for name, kind in PROMISED[table].items() if kind != "timestamptz"]
    rows = await stack.sql(f"SELECT * FROM {table} ORDER BY _id")  # noqa: S608 - a name of ours
    async with stack.client() as client:
        shown = [
            row async for row in client.rows(table, fields=fields, sort="_id", page=2)
        ]
    assert shown == [{name: row[name] for name in fields} for row in rows]


async def test_personas_as_promised(stack: Stack, story: Story) -> None:
    del story
    assert await stack.sql(PERSONAS) == [
        {
            "name": "Later reader",
            "role": "borrower",
            "latest_version_background": "Has two books that are due.",
            "tags": {"desk": "loans"},
        }
    ]


async def test_persona_versions_as_promised(stack: Stack, story: Story) -> None:
    rows = await stack.sql(PERSONA_VERSIONS)
    mine = [row for row in rows if row["simulation_persona_id"] == str(story.persona)]
    assert [(row["version"], row["preferred_language"]) for row in mine] == [
        (2, "nl-BE"),
        (1, "nl-BE"),
    ]


async def test_scenarios_as_promised(stack: Stack, story: Story) -> None:
    del story
    assert await stack.sql(SCENARIOS) == [
        {
            "name": "Renew a loan",
            "latest_version_objective": "Keep the book.",
            "latest_version_instructions": "Ask to renew both.",
            "tags": {"loans": None},
        }
    ]


async def test_scenario_versions_as_promised(stack: Stack, story: Story) -> None:
    rows = await stack.sql(SCENARIO_VERSIONS)
    mine = [row for row in rows if row["simulation_scenario_id"] == str(story.scenario)]
    assert [row["instructions"] for row in mine] == [
        "Ask to renew both.",
        "Ask to renew.",
    ]


async def test_unit_tests_as_promised(stack: Stack, story: Story) -> None:
    (row,) = await stack.sql(UNIT_TESTS)
    assert (row["name"], row["description"]) == ("Renews a loan", "A reader renews.")
    assert [row[f"{name}_id"] for name in ("service", "persona", "scenario")] == [
        str(story.agent),
        str(story.persona),
        str(story.scenario),
    ]
    assert [each["metric_id"] for each in row["success_criterions"]] == [
        str(story.said),
        str(story.reward),
    ]


async def test_unit_test_sets_as_promised(stack: Stack, story: Story) -> None:
    (row,) = await stack.sql(UNIT_TEST_SETS)
    assert row["description"] == "All of the desk."
    assert row["last_triggered_run_id"] == str(story.later_run)
    (entry,) = row["unit_test_runs"]
    assert entry["run_count"] == 4
    later, first = entry["history"]
    assert (later["run_id"], first["run_id"]) == (str(story.later_run), str(story.run))
    counts = ("passed", "failed", "inconclusive", "errored")
    assert [first[name] for name in counts] == [1, 1, 1, 1]
    assert [later[name] for name in counts] == [0, 0, 0, 0]


async def test_set_runs_as_promised(stack: Stack, story: Story) -> None:
    later, first = await stack.sql(SET_RUNS)
    assert later["created_at"] > first["created_at"]
    assert {row["simulation_unit_test_set_id"] for row in (later, first)} == {
        str(story.unit_test_set)
    }
    assert (later["errored"], first["errored"]) == (False, True)
    (results,) = first["unit_test_run_results"]
    assert [trial["outcome"] for trial in results["trials"]] == [
        "passed",
        "failed",
        "inconclusive",
        "errored",
    ]
    assert results["trials"][3]["error"] == "The line was cut."
    assert failed(first) == {
        (1, "Says that it renewed", False),
        (1, "Reward", 0.0),
        (3, "Says that it renewed", False),
        (3, "Reward", 0.0),
    }


def failed(row: Row) -> set[tuple[int, str, object]]:
    return {
        (each["index"], each["name"], each["value"]) for each in row["failed_metrics"]
    }


async def test_an_artifact_leads_to_its_bytes(stack: Stack, story: Story) -> None:
    async with stack.client() as client:
        row = await client.row("testing.simulation_unit_test_set_runs", story.run)
        (artifact,) = row["artifacts_generated"]
        assert await client.blob(artifact["sha256"]) == REPORT
    assert (artifact["name"], artifact["size"]) == ("report.csv", len(REPORT))


async def test_what_is_referred_to_cannot_be_deleted(
    stack: Stack, story: Story
) -> None:
    before = await stack.events()
    async with stack.client() as client:
        with pytest.raises(Refused):
            await client.send(DeletePersona(persona_id=story.persona))
    assert await stack.events() == before


async def test_every_event_says_who_where_and_why(stack: Stack, story: Story) -> None:
    del story
    for recorded in await stack.events():
        assert isinstance(recorded.event, Event)
        assert recorded.org_id in {ORG, OTHER_ORG}
        assert (recorded.actor, recorded.region) == ("user:ada", "eu-1")
        assert recorded.correlation_id == recorded.command_id
        assert recorded.ip == "127.0.0.1"


async def test_every_command_is_one_act_and_no_other_is(
    stack: Stack, story: Story
) -> None:
    del story
    await stack.caught_up()
    commands = [
        recorded.command_id
        for recorded in await stack.events()
        if recorded.org_id == ORG
    ]
    acts = await stack.sql("SELECT * FROM audit.audit_log ORDER BY position")
    assert [act["command_id"] for act in acts] == list(dict.fromkeys(commands))
    assert all(len(act["facts"]) <= commands.count(act["command_id"]) for act in acts)


async def test_the_tables_say_who_it_was(stack: Stack, story: Story) -> None:
    async with stack.client(subject="user:ben") as client:
        await rename(client, story)
        row = await client.row("testing.simulation_unit_tests", story.unit_test)
    assert (row["creator_user_id"], row["updated_by_user_id"]) == ("ada", "ben")


async def rename(client: Client, story: Story) -> None:
    change = ChangeUnitTest(unit_test_id=story.unit_test, tags={"smoke": "yes"})
    outcome = await client.send(change)
    await client.row(
        "testing.simulation_unit_tests",
        story.unit_test,
        min_position=outcome.position,
    )
