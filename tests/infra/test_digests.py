"""Digests: who appends makes them, and a log keeps none that are of other columns."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from infra.operations.verify import verify
from infra.postgres.columns import ARGUMENTS, Columns
from infra.postgres.event_log import APPEND_BULK, open_event_log
from infra.postgres.flusher import APPEND, APPEND_SINGLES
from infra.postgres.hashing import HASHED, earlier_hash, event_hash
from tests.builders import new_id, new_stream, told
from tests.infra.test_verify import bad, failed, tamper, unguarded
from tests.postgres_ladder import Database


if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

pytestmark = pytest.mark.every_postgres

# What a process of the version before sends: everything but the digests.
BEFORE_DIGESTS: Final = (
    f"SELECT * FROM es.append_v3({ARGUMENTS.removesuffix(', $27::bytea')})"  # noqa: S608
)
ROWS: Final = "SELECT * FROM es.events ORDER BY position"
CHECKED_EVERY: Final = 1024


@pytest.fixture
async def app(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.app)
    yield connection
    connection.terminate()


async def events(database: Database) -> int:
    async with unguarded(database) as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM es.events")
    return found


@pytest.mark.parametrize("given", [bytes(64), b"", bytes(16)])
@pytest.mark.parametrize("statement", [APPEND, APPEND_BULK, APPEND_SINGLES])
async def test_digests_of_other_columns_are_not_appended(
    database: Database, app: Connection, statement: str, given: bytes
) -> None:
    columns = Columns([told(new_stream(), "a"), told(new_stream(), "b")], ids=new_id)
    *others, digests = (
        columns.single_arguments()
        if statement is APPEND_SINGLES
        else columns.arguments()
    )
    assert isinstance(digests, bytes)
    assert len(digests) == 64

    with pytest.raises(asyncpg.InternalServerError, match="event at position 1 is not"):
        await app.fetch(statement, *others, given)

    assert await events(database) == 0
    await app.fetch(statement, *others, digests)
    assert (await verify(database.owner)).ok


async def test_a_log_takes_no_thousand_of_other_digests(
    database: Database, app: Connection
) -> None:
    async with open_event_log(database.app) as log:
        await log.append_bulk(
            [told(new_stream(), str(n)) for n in range(CHECKED_EVERY - 1)]
        )

    *others, digests = Columns(
        [told(new_stream(), "a"), told(new_stream(), "b")], ids=new_id
    ).single_arguments()
    assert isinstance(digests, bytes)
    with pytest.raises(asyncpg.InternalServerError, match="position 1025"):
        await app.fetch(APPEND_SINGLES, *others, digests[:32] + bytes(32))

    assert await events(database) == CHECKED_EVERY - 1


async def test_events_that_the_version_before_appends_are_verified_beside_others(
    database: Database, app: Connection
) -> None:
    known = new_stream()
    async with open_event_log(database.app) as log:
        await log.append(told(known, "a"))
        before = Columns([told(known, "b", "c"), told(new_stream(), "d")], ids=new_id)
        await app.fetch(BEFORE_DIGESTS, *before.arguments()[:-1])
        await log.append(told(known, "e"))

    async with unguarded(database) as connection:
        rows = await connection.fetch(ROWS)
    ways = [
        [way.__name__ for way in (earlier_hash, event_hash) if way(row) == row["hash"]]
        for row in rows
    ]
    assert ways == [["event_hash"], *[["earlier_hash"]] * 3, ["event_hash"]]
    report = await verify(database.owner)
    assert report.ok, report.first_bad


@pytest.mark.parametrize("column", [*HASHED])
async def test_a_change_to_what_the_version_before_appended_is_named(
    database: Database, app: Connection, column: str
) -> None:
    commands = [told(new_stream(), "a"), told(new_stream(), "b")]
    before = Columns(commands, ids=new_id)
    await app.fetch(BEFORE_DIGESTS, *before.arguments()[:-1])
    changed = {
        "position": "7",
        "version": "2",
        "slice": "(slice + 1) % 1024",
        "occurred_at": "occurred_at - interval '1 us'",
        "recorded_at": "recorded_at + interval '1 us'",
        "data": "(data::text || ' ')::json",
        "headers": "'{}'",
    }
    if column.endswith("_id") and column not in {"stream_id", "org_id"}:
        to = "gen_random_uuid()"
    else:
        to = changed.get(column, f"coalesce({column}, '') || 'x'")

    await tamper(
        database,
        f"UPDATE es.events SET {column} = {to} WHERE position = 2",  # noqa: S608 - ours
    )

    report = await verify(database.owner)
    assert "hashes" in failed(report)
    assert bad(report, "hashes").position == (7 if column == "position" else 2)
