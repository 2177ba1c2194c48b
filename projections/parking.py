"""Events that cannot be applied: what they are, where they wait, how they leave.

An event that a feed cannot apply is parked under its key, and from then on every event
of that key is diverted to the park, in the order of the log, while other keys flow.
A retry takes the events of one key from the park and lifts the diversion, in one
transaction; those that still fail are parked again. A skipped event is left out for
good, with who decided so and why.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from asyncpg import InterfaceError, InternalClientError, InvalidCachedStatementError

from events.errors import Unavailable
from events.message import Event, Recorded
from projections.checkpoints import Feed
from projections.rows import DuplicateKeyError, WrongColumnsError
from projections.sql import Sql
from projections.writing import UnwritableError


ERROR_LIMIT: Final = 2_000  # characters of an error that are kept

# Classes of SQLSTATE: what is wrong with the data, and what passes by itself.
DATA: Final = frozenset({"22", "23", "54"})
PASSING: Final = frozenset({"08", "25", "40", "53", "55", "57", "58"})


class UnprojectableError(Exception):
    """A projection fails on an event."""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the park; `error` None: it only waits for an earlier one."""

    feed: str
    build: int
    key: str
    position: int
    type: str
    error: str | None
    attempts: int
    parked_at: datetime


def is_poison(error: BaseException) -> bool:
    """Say whether an event is to blame, so that it is parked."""
    if isinstance(
        error,
        UnprojectableError | UnwritableError | DuplicateKeyError | WrongColumnsError,
    ):
        return True
    return _sqlstate_class(error) in DATA


def is_transient(error: BaseException) -> bool:
    """Say whether the same may well succeed later, on another connection."""
    if isinstance(
        error,
        OSError
        | asyncio.TimeoutError
        | Unavailable
        | InterfaceError
        | InternalClientError
        | InvalidCachedStatementError,
    ):
        return True
    return _sqlstate_class(error) in PASSING


def _sqlstate_class(error: BaseException) -> str | None:
    sqlstate = getattr(error, "sqlstate", None)
    return sqlstate[:2] if isinstance(sqlstate, str) else None


def told(error: BaseException) -> str:
    """Return an error with its causes, short enough to keep."""
    parts = []
    cause: BaseException | None = error
    while cause is not None:
        parts.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    return ", since ".join(parts).replace("\0", "")[:ERROR_LIMIT]


async def park(
    sql: Sql,
    feed: Feed,
    events: Sequence[tuple[str, Recorded[Event]]],
    *,
    error: str | None = None,
    attempts: int = 0,
) -> None:
    """Park (key, event) pairs; those without an error wait behind another."""
    await sql.execute(
        """
        INSERT INTO es.parked
            (projection, version, position, key, type, error, attempts)
        SELECT $1, $2, parked.position, parked.key, parked.type, $6, $7
        FROM unnest($3::bigint[], $4::text[], $5::text[])
            AS parked (position, key, type)
        """,
        feed.projection,
        feed.build,
        [recorded.position for _, recorded in events],
        [key for key, _ in events],
        [str(recorded.event.__struct_config__.tag) for _, recorded in events],
        error,
        attempts,
    )


async def divert(sql: Sql, feed: Feed, key: str, position: int) -> None:
    """Divert a key's events from a position on."""
    await sql.execute(
        """
        INSERT INTO es.diverted (projection, version, key, position)
        VALUES ($1, $2, $3, $4)
        """,
        feed.projection,
        feed.build,
        key,
        position,
    )


async def lift(sql: Sql, feed: Feed, key: str) -> Sequence[Parked]:
    """Take a key's events from the park and lift its diversion."""
    rows = await sql.fetch(
        """
        WITH lifted AS (
            DELETE FROM es.diverted
            WHERE projection = $1
              AND version = $2
              AND key = $3
        ), taken AS (
            DELETE FROM es.parked
            WHERE projection = $1
              AND version = $2
              AND key = $3
            RETURNING *
        )
        SELECT *
        FROM taken
        ORDER BY position
        """,
        feed.projection,
        feed.build,
        key,
    )
    return [_parked(row) for row in rows]


async def parked(
    sql: Sql, projection: str | None = None, *, waiting: bool = False
) -> Sequence[Parked]:
    """Return what is parked, of a group or projection or of all, in the log's order.

    Those that only wait behind an error are left out unless asked for.
    """
    rows = await sql.fetch(
        """
        SELECT *
        FROM es.parked
        WHERE ($1::text IS NULL OR projection = $1)
          AND ($2 OR error IS NOT NULL)
        ORDER BY projection, version, position
        """,
        projection,
        waiting,
    )
    return [_parked(row) for row in rows]


async def under(sql: Sql, feed: Feed, key: str) -> Sequence[Parked]:
    """Return what a feed has parked under a key, in the log's order."""
    rows = await sql.fetch(
        """
        SELECT *
        FROM es.parked
        WHERE projection = $1
          AND version = $2
          AND key = $3
        ORDER BY position
        """,
        feed.projection,
        feed.build,
        key,
    )
    return [_parked(row) for row in rows]


async def keys(sql: Sql, feed: Feed) -> Sequence[str]:
    """Return the keys that a feed diverts, the longest parked first."""
    rows = await sql.fetch(
        """
        SELECT key
        FROM es.diverted
        WHERE projection = $1
          AND version = $2
        ORDER BY position
        """,
        feed.projection,
        feed.build,
    )
    return [row["key"] for row in rows]


async def skip(sql: Sql, feed: Feed, event: Parked, *, by: str, reason: str) -> None:
    """Record that an event is left out, by whom and why."""
    await sql.execute(
        """
        INSERT INTO es.skipped
            (projection, version, position, key, error, by, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        feed.projection,
        feed.build,
        event.position,
        event.key,
        event.error,
        by,
        reason,
    )


async def skipped(sql: Sql, *feeds: Feed) -> frozenset[int]:
    """Return the positions that any of the feeds leaves out."""
    rows = await sql.fetch(
        """
        SELECT position
        FROM es.skipped
        WHERE (projection, version) IN (
            SELECT * FROM unnest($1::text[], $2::int[])
        )
        """,
        [feed.projection for feed in feeds],
        [feed.build for feed in feeds],
    )
    return frozenset(row["position"] for row in rows)


def _parked(row: Any) -> Parked:  # noqa: ANN401 - a record of the driver
    return Parked(
        feed=row["projection"],
        build=row["version"],
        key=row["key"],
        position=row["position"],
        type=row["type"],
        error=row["error"],
        attempts=row["attempts"],
        parked_at=row["parked_at"],
    )
