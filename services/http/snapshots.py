"""Several reads of one moment, under the caller's policies, however long they take."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import asyncpg

from services.http.reading import ACQUIRE_SECONDS, Row, introduce, translating
from services.identity import Identity


class Snapshot(Protocol):
    """The read tables as they were when it was opened, as somebody sees them."""

    async def read(self, sql: str, args: Sequence[object], /) -> Sequence[Row]:
        """Return a query's rows."""
        ...

    def pages(
        self, sql: str, args: Sequence[object], rows: int, /
    ) -> AsyncIterator[Sequence[Row]]:
        """Yield a query's rows, so many at a time."""
        ...


class Snapshots(Protocol):
    """Opens snapshots."""

    def snapshot(self, identity: Identity, /) -> AbstractAsyncContextManager[Snapshot]:
        """Open the read tables as somebody sees them now."""
        ...


class PoolSnapshots:
    """Snapshots through a pool whose login is under the row policies.

    Each keeps a connection; raises `Unavailable` where none is free soon.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def snapshot(self, identity: Identity) -> AsyncIterator["PoolSnapshot"]:
        """Open the read tables as somebody sees them now."""
        with translating():
            connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        try:
            with translating():
                transaction = connection.transaction(
                    isolation="repeatable_read", readonly=True
                )
                await transaction.start()
                await introduce(connection, identity)
            try:
                yield PoolSnapshot(connection)
            finally:
                with translating():
                    await transaction.rollback()
        finally:
            await self._pool.release(connection)


class PoolSnapshot:
    """One transaction."""

    def __init__(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    ) -> None:
        self._connection = connection

    async def read(self, sql: str, args: Sequence[object]) -> Sequence[Row]:
        """Return a query's rows."""
        with translating():
            return await self._connection.fetch(sql, *args)

    async def pages(
        self, sql: str, args: Sequence[object], rows: int
    ) -> AsyncIterator[Sequence[Row]]:
        """Yield a query's rows, so many at a time."""
        with translating():
            cursor = await self._connection.cursor(sql, *args)
        while True:
            with translating():
                page = await cursor.fetch(rows)
            if not page:
                return
            yield page
