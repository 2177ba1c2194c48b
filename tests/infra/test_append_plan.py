"""Hot statements of the log keep to their indexes, however little the planner knows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from events.log import PRESENT, Append, Status
from infra.postgres.columns import Columns
from infra.postgres.event_log import (
    APPEND_BULK,
    HEAD,
    POSITION_AT,
    READ,
    READ_STREAM,
    open_event_log,
)
from infra.postgres.flusher import APPEND, APPEND_SINGLES
from infra.postgres.hashing import microseconds
from tests.builders import OTHER_BODY, new_id, new_stream, told
from tests.infra.test_postgres_log import arguments, small_partitions
from tests.postgres_ladder import Database


if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

pytestmark = pytest.mark.every_postgres

SCANS: Final = """
SELECT relname, seq_scan
  FROM pg_stat_user_tables
 WHERE schemaname = 'es'
   AND relname <> 'blobs'
"""


@pytest.fixture
async def superuser(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.superuser)
    yield connection
    connection.terminate()


async def plan(connection: Connection, query: str, *values: str) -> str:
    """Return the plan that a prepared query has for any values."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE asked AS {query}")
    rows = await connection.fetch(f"EXPLAIN EXECUTE asked ({', '.join(values)})")
    await connection.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


async def scans(connection: Connection) -> dict[str, int]:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    rows = await connection.fetch(SCANS)
    return {row["relname"]: row["seq_scan"] for row in rows}


async def test_a_page_is_read_in_order_without_sorting(
    database: Database, superuser: Connection
) -> None:
    await small_partitions(database, span=100)

    found = await plan(superuser, READ, "5", "1000")

    assert "Limit" in found
    assert "->  Append" in found
    assert found.count("Index Scan using") == 3
    assert "Sort" not in found
    assert "Seq Scan" not in found


async def test_a_stream_is_read_from_its_own_partitions(
    database: Database, superuser: Connection
) -> None:
    await small_partitions(database, span=100)

    found = await plan(superuser, READ_STREAM, "'x'", "0", "9", "120", "150")

    assert "Subplans Removed: 2" in found
    assert "stream_id_version_key" in found
    assert "Seq Scan" not in found


@pytest.mark.parametrize(("query", "values"), [(HEAD, ()), (POSITION_AT, ("now()",))])
async def test_the_head_is_one_probe_of_an_index(
    superuser: Connection, query: str, values: tuple[str, ...]
) -> None:
    await superuser.execute(
        "INSERT INTO es.flushes "
        "SELECT n, now() + n * interval '1 ms', decode(repeat('00', 32), 'hex') "
        "FROM generate_series(1, 20000) AS n"
    )
    await superuser.execute("ANALYZE es.flushes")
    query = query.replace("$1", values[0]) if values else query

    found = await superuser.fetch(f"EXPLAIN {query}")

    text = "\n".join(row[0] for row in found)
    assert "Index" in text
    assert "Sort" not in text
    assert "Seq Scan" not in text


async def test_appending_never_scans_a_table(
    database: Database, superuser: Connection
) -> None:
    async with open_event_log(database.app) as log:
        known = [told(new_stream(), str(n)) for n in range(300)]
        await log.append_bulk(known)
    stream = known[0].writes[0].stream_id
    reused = Append(meta=known[1].meta, body_hash=OTHER_BODY, writes=())
    before = await scans(superuser)

    for statement in (APPEND, APPEND_BULK):
        for _ in range(3):
            commands = [
                told(new_stream(), "new"),
                told(stream, "more", "and more", expected=PRESENT),
                known[2],
                told(known[3].writes[0].stream_id, "late", expected=7),
                reused,
            ]
            rows = await superuser.fetch(statement, *arguments(*commands))
            assert {row["status"] for row in rows} == {
                Status.OK,
                Status.DUPLICATE,
                Status.CONFLICT,
                Status.MISMATCH,
            }
        commands = [told(new_stream(), "new"), told(stream, "more"), known[2]]
        await superuser.fetch(statement, *arguments(*commands))

    for _ in range(3):
        singles = [told(new_stream(), "new"), told(stream, "more", expected=PRESENT)]
        for commands in (singles, [told(new_stream(), "new"), known[2]]):
            columns = Columns(commands, ids=new_id)
            assert columns.are_single
            await superuser.fetch(APPEND_SINGLES, *columns.single_arguments())

    assert await scans(superuser) == before


async def test_a_hash_costs_one_expression_and_no_call(
    superuser: Connection,
) -> None:
    rows = await superuser.fetch(
        "EXPLAIN (VERBOSE) SELECT es.placed(es.event_digest("
        "event_id, occurred_at, slice, stream_id, org_id, region, command_id, "
        "correlation_id, causation_id, actor, ip, key_id, data::text, headers::text), "
        "position, version, timestamptz_send(recorded_at)) FROM es.events"
    )

    text = "\n".join(row[0] for row in rows)
    assert "sha256(" in text
    for called in ("placed(", "event_digest(", "es.field("):
        assert called not in text


async def test_a_moment_costs_one_expression_and_no_call(
    superuser: Connection,
) -> None:
    rows = await superuser.fetch(
        "EXPLAIN (VERBOSE) SELECT es.moment(position) FROM es.events"
    )

    assert "es.moment(" not in "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 22, 10, 35, 0, 123_457, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
async def test_a_moment_is_exact_in_every_year(
    moment: datetime, superuser: Connection
) -> None:
    given = microseconds(moment)
    assert await superuser.fetchval("SELECT es.moment($1)", given) == moment
