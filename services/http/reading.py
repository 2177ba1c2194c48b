"""Reads under the caller's policies: one transaction, the identity set inside it.

The settings end with the transaction, so a connection never carries one caller's
identity to the next, whatever stands between us and the database.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import asyncpg

from events.errors import Malformed, Unavailable
from events.roles import Scope
from services.identity import Identity


ACQUIRE_SECONDS: Final = 5.0
OPENED: Final[Scope] = (
    "events"  # to whom the log is open, what people said in tables is
)

IDENTIFY: Final = """
SELECT
    set_config('rehearsal.org_id', $1, true),
    set_config('rehearsal.actor', $2, true),
    set_config('rehearsal.roles', $3, true),
    set_config('rehearsal.email', $4, true),
    set_config('rehearsal.opened', $5, true)
"""


class Row(Protocol):
    """A row, by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any:  # noqa: ANN401 - as asyncpg
        """Return a column's value."""
        ...


class Reader(Protocol):
    """Runs one query as somebody."""

    async def read(
        self, identity: Identity, sql: str, args: Sequence[object], /
    ) -> Sequence[Row]:
        """Return the rows that the identity may see."""
        ...


@contextmanager
def translating() -> Iterator[None]:
    """Raise the driver's exceptions as failures of ours."""
    try:
        yield
    except asyncpg.DataError as error:
        raise Malformed("A value is beyond what its column holds.") from error
    except (asyncpg.UndefinedColumnError, asyncpg.UndefinedTableError) as error:
        message = (
            f"A read table is not of this version ({error}): see `rehearsal doctor`."
        )
        raise Unavailable(message) from error
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as error:
        message = f"PostgreSQL cannot be read: {error!r}"
        raise Unavailable(message) from error


class PoolReader:
    """Reads through a pool whose login is under the row policies."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def read(
        self, identity: Identity, sql: str, args: Sequence[object]
    ) -> Sequence[Row]:
        """Return the rows that the identity may see.

        Raises `Unavailable` where the database is away, slow, or has no such table or
        column yet, and `Malformed` where a value is beyond its type.
        """
        with translating():
            try:
                return await self._read(identity, sql, args)
            except (
                asyncpg.InvalidCachedStatementError,
                asyncpg.OutdatedSchemaCacheError,
            ):
                return await self._read(identity, sql, args)

    async def _read(
        self, identity: Identity, sql: str, args: Sequence[object]
    ) -> Sequence[Row]:
        async with (
            self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection,
            connection.transaction(readonly=True),
        ):
            await introduce(connection, identity)
            return await connection.fetch(sql, *args)


async def introduce(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    identity: Identity,
) -> None:
    """Tell the policies of a transaction who is asking."""
    roles = ",".join(sorted(identity.roles))
    email = (identity.email or "").casefold()
    opened = "on" if OPENED in identity.scopes else ""
    await connection.execute(
        IDENTIFY, identity.org_id, identity.actor, roles, email, opened
    )
