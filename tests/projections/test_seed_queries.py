"""The queries that users were promised run as written, in a real database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import msgspec

from events.ids import SetRunId, TrialId
from events.message import ERASED, Event, Recorded
from projections.catalogue import TESTING
from projections.ddl import create_indexes, create_table, create_view, protect
from projections.rows import Changes
from projections.testing import trials
from projections.writing import Target
from tests.given_rows import project
from tests.postgres_ladder import Database
from tests.projections.testing.story import (
    ARTIFACT,
    ERASED_SUBJECT,
    LATER_RUN,
    OTHER_TEST,
    OTHER_TRIAL,
    RUN,
    SET,
    TEST,
    TRIAL,
    counted,
    identifier,
    requested,
    started,
    whole,
)
from tests.recorded import ORG, recorded


PERSONAS: Final = """
SELECT
  name,
  role,
  latest_version_background,
  tags
FROM simulation_personas
WHERE is_deleted = false;
"""
PERSONA_VERSIONS: Final = """
SELECT
  simulation_persona_id,
  version,
  background,
  preferred_language
FROM simulation_persona_versions
ORDER BY version DESC;
"""
SCENARIOS: Final = """
SELECT
  name,
  latest_version_objective,
  latest_version_instructions,
  tags
FROM simulation_scenarios
WHERE is_deleted = false;
"""
SCENARIO_VERSIONS: Final = """
SELECT
  simulation_scenario_id,
  version,
  objective,
  instructions
FROM simulation_scenario_versions
ORDER BY version DESC;
"""
UNIT_TESTS: Final = """
SELECT
  name,
  description,
  service_id,
  persona_id,
  scenario_id,
  success_criterions
FROM simulation_unit_tests
WHERE is_deleted = false;
"""
UNIT_TEST_SETS: Final = """
SELECT
  name,
  description,
  last_triggered_run_id,
  unit_test_runs
FROM simulation_unit_test_sets
WHERE is_deleted = false;
"""
SET_RUNS: Final = """
SELECT
  simulation_unit_test_set_id,
  errored,
  failed_metrics,
  unit_test_run_results,
  created_at
FROM simulation_unit_test_set_runs
ORDER BY created_at DESC;
"""

Rows = list[dict[str, Any]]


async def stored(database: Database, batch: Sequence[Recorded[Event]]) -> None:
    """Make the read tables, write a batch's rows, let the reader read."""
    connection = await asyncpg.connect(database.projector)
    try:
        async with connection.transaction():
            extensions = await connection.fetch("SELECT extname FROM pg_extension")
            for projection in TESTING.projections:
                table, physical = projection.table, projection.table.physical
                await connection.execute(create_table(table, physical))
                for statement in (
                    *create_indexes(table, physical, [name for (name,) in extensions]),
                    *protect(table, physical),
                    *create_view(table, physical),
                ):
                    await connection.execute(statement)
                changes = Changes(table)
                project(projection, batch, changes)
                await Target(table).write(connection, changes)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    await let_read(database, ORG, "viewer")


async def let_read(database: Database, org_id: str, *roles: str) -> None:
    connection = await asyncpg.connect(database.superuser)
    try:
        await connection.execute(
            """
            INSERT INTO access.logins (login, org_id, actor, roles)
            VALUES ('rehearsal_reader', $1, 'user:ana', $2)
            ON CONFLICT (login)
            DO UPDATE SET org_id = excluded.org_id, roles = excluded.roles
            """,
            org_id,
            roles,
        )
    finally:
        await connection.close()


@asynccontextmanager
async def reader(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        database.reader, server_settings={"search_path": "testing"}
    )
    try:
        await connection.set_type_codec(
            "jsonb",
            schema="pg_catalog",
            encoder=str,
            decoder=msgspec.json.decode,
        )
        yield connection
    finally:
        await connection.close()


async def read(database: Database, query: str) -> Rows:
    async with reader(database) as connection:
        return [dict(row) for row in await connection.fetch(query)]


async def test_personas_as_written(database: Database) -> None:
    await stored(database, recorded(*whole()))
    (row,) = await read(database, PERSONAS)
    assert row == {
        "name": "Late reader",
        "role": "borrower",
        "latest_version_background": "Reads a lot",
        "tags": {"desk": "loans"},
    }


async def test_persona_versions_as_written(database: Database) -> None:
    await stored(database, recorded(*whole()))
    (row,) = await read(database, PERSONA_VERSIONS)
    assert (row["version"], row["preferred_language"]) == (1, "en")


async def test_scenarios_as_written(database: Database) -> None:
    await stored(database, recorded(*whole()))
    (row,) = await read(database, SCENARIOS)
    assert row == {
        "name": "Renew a loan",
        "latest_version_objective": "Keep the book",
        "latest_version_instructions": "Ask to renew",
        "tags": {"loans": None},
    }


async def test_scenario_versions_as_written(database: Database) -> None:
    await stored(database, recorded(*whole()))
    (row,) = await read(database, SCENARIO_VERSIONS)
    assert (row["version"], row["objective"]) == (1, "Keep the book")


async def test_unit_tests_as_written(database: Database) -> None:
    await stored(database, recorded(*whole()))
    rows = await read(database, UNIT_TESTS)
    assert sorted(row["name"] for row in rows) == ["Renews", "Returns"]
    assert rows[0]["success_criterions"][0]["value"] == 2


async def test_unit_test_sets_as_written(database: Database) -> None:
    later = [requested(LATER_RUN), counted("passed", run=LATER_RUN)]
    await stored(database, recorded(*whole(), *later))
    (row,) = await read(database, UNIT_TEST_SETS)
    assert row["last_triggered_run_id"] == str(LATER_RUN)
    first, second = row["unit_test_runs"]
    assert (first["unit_test_id"], first["run_count"]) == (str(TEST), 2)
    assert (second["unit_test_id"], second["run_count"]) == (str(OTHER_TEST), 1)
    assert first["history"] == [
        {
            "run_id": str(LATER_RUN),
            "started_at": "2026-01-01T00:00:26.000000Z",
            "run_count": 2,
            "passed": 1,
            "failed": 0,
            "inconclusive": 0,
            "errored": 0,
        },
        {
            "run_id": str(RUN),
            "started_at": "2026-01-01T00:00:13.000000Z",
            "run_count": 2,
            "passed": 1,
            "failed": 1,
            "inconclusive": 0,
            "errored": 0,
        },
    ]


async def test_set_runs_as_written(database: Database) -> None:
    await stored(database, recorded(*whole()))
    (row,) = await read(database, SET_RUNS)
    assert row["simulation_unit_test_set_id"] == str(SET)
    assert row["errored"] is False
    assert [
        (each["trial_id"], each["name"], each["outcome"], each["references"])
        for each in row["failed_metrics"]
    ] == [(str(OTHER_TRIAL), "Polite", "failed", [2])]
    first, second = row["unit_test_run_results"]
    assert [
        (each["trial_id"], each["index"], each["outcome"], each["reward"])
        for each in first["trials"]
    ] == [(str(TRIAL), 0, "passed", 1), (str(OTHER_TRIAL), 1, "failed", 0)]
    assert (second["unit_test_id"], second["trials"]) == (str(OTHER_TEST), [])


async def test_a_run_adds_up_its_outcomes_and_lists_its_artifacts(
    database: Database,
) -> None:
    await stored(database, recorded(*whole()))
    (row,) = await read(database, "SELECT * FROM simulation_unit_test_set_runs")
    assert (row["passed_count"], row["failed_count"]) == (1, 1)
    assert (row["inconclusive_count"], row["errored_count"]) == (0, 0)
    (artifact,) = row["artifacts_generated"]
    assert artifact["artifact_id"] == str(ARTIFACT)
    assert artifact["size"] == 5_000_000_000


async def test_a_run_without_trials_has_empty_results(database: Database) -> None:
    await stored(database, recorded(requested()))
    (row,) = await read(database, "SELECT * FROM simulation_unit_test_set_runs")
    assert [each["trials"] for each in row["unit_test_run_results"]] == [[], []]
    assert (row["failed_metrics"], row["artifacts_generated"]) == ([], [])


async def test_an_agent_shows_what_its_version_sets_name(database: Database) -> None:
    await stored(database, recorded(*whole()))
    (row,) = await read(database, "SELECT * FROM agents")
    assert row["version_sets"] == {"release": 1}


async def test_erased_text_is_gone_and_no_arguments_are_made_up(
    database: Database,
) -> None:
    await stored(database, recorded(*whole(), ERASED_SUBJECT))
    rows = await read(
        database, "SELECT kind, text, arguments FROM trial_entries ORDER BY seq"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("message", ERASED, None),
        ("tool_call", ERASED, ERASED),
        ("tool_result", "renewed", None),
    ]


async def test_another_organisation_sees_nothing(database: Database) -> None:
    await stored(database, recorded(*whole()))
    ours = await counts(database)
    assert min(ours.values()) > 0
    await let_read(database, "elsewhere", "viewer")
    assert await counts(database) == dict.fromkeys(ours, 0)


async def test_only_administrators_see_how_an_agent_is_reached(
    database: Database,
) -> None:
    await stored(database, recorded(*whole()))
    query = "SELECT endpoint, secret_ref, settings FROM agent_versions"
    (row,) = await read(database, query)
    assert tuple(row.values()) == ("https://desk.example/turn", None, None)
    await let_read(database, ORG, "admin")
    (row,) = await read(database, query)
    assert tuple(row.values()) == (
        "https://desk.example/turn",
        "desk-key",
        {"timeout": "10"},
    )


async def test_what_a_query_leaves_out_is_not_read(database: Database) -> None:
    await stored(database, recorded(*whole()))
    runs = "FROM simulation_unit_test_set_runs"
    assert "trials" not in await plan(database, f"SELECT _id, status {runs}")
    assert "artifacts" not in await plan(database, f"SELECT failed_metrics {runs}")
    sets = await plan(database, "SELECT _id, name FROM simulation_unit_test_sets")
    assert "history" not in sets


async def test_the_policy_leaves_a_runs_trials_to_their_index(
    database: Database,
) -> None:
    others = [
        started(TrialId(identifier(f"trial {number}")), run=SetRunId(identifier(run)))
        for run in map(str, range(50))
        for number in range(int(run) * 40, int(run) * 40 + 40)
    ]
    await stored(database, recorded(*whole(), *others))
    found = await plan(
        database,
        "SELECT unit_test_run_results FROM simulation_unit_test_set_runs",
    )
    assert f"trials__v{trials.TABLE.version}_run_id_unit_test_id_index" in found
    assert "Seq Scan on trials" not in found


async def counts(database: Database) -> dict[str, int]:
    async with reader(database) as connection:
        return {
            projection.table.name: await connection.fetchval(
                f"SELECT count(*) FROM {projection.table.name}"  # noqa: S608 - declared
            )
            for projection in TESTING.projections
        }


async def plan(database: Database, query: str) -> str:
    async with reader(database) as connection:
        return "\n".join(line for (line,) in await connection.fetch(f"EXPLAIN {query}"))
