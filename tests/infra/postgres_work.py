"""Work in PostgreSQL and what carries it there, as tests may treat them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from datetime import timedelta
from uuid import UUID

import asyncpg

from events.errors import Unavailable
from infra.postgres.chime import CHANNEL, Chime, open_chime
from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool, open_pool
from infra.postgres.transport import PostgresTransport, open_transport
from infra.postgres.work import PostgresWork
from services.ports import Job
from services.reactions import Cancel, Close
from tests.postgres_ladder import Database
from tests.suites.work import LATER, PATIENCE, SECOND


HOLD = timedelta(seconds=0.9)


class PostgresMedium:
    """A database, whose connections a test may cut."""

    def __init__(self, database: Database, superuser: asyncpg.Connection) -> None:
        self._database = database
        self._superuser = superuser

    def open(self) -> AbstractAsyncContextManager[PostgresTransport]:
        return open_transport(self._database.app, hold=HOLD)

    async def interrupt(self) -> None:
        await self._superuser.execute(
            """
            SELECT pg_terminate_backend(pid)
            FROM pg_stat_activity
            WHERE datname = current_database()
              AND pid <> pg_backend_pid()
            """
        )

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        await self._limit(0)
        await self.interrupt()
        try:
            yield
        finally:
            await self._limit(-1)

    async def spoil(self, kind: str) -> None:
        await self._superuser.execute("SELECT pg_notify($1, $2)", CHANNEL, kind)
        await self._superuser.execute("SELECT pg_notify($1, $2)", CHANNEL, "\x01{")

    async def _limit(self, connections: int) -> None:
        name = await self._superuser.fetchval("SELECT current_database()")
        await self._superuser.execute(
            f'ALTER DATABASE "{name}" CONNECTION LIMIT {connections}'
        )


class PostgresDesk:
    """Work in a database, as a test may treat it."""

    def __init__(self, app: Pool, projector: Pool, chime: Chime) -> None:
        self.work = PostgresWork(app, chime, again=LATER)
        self.hasty = PostgresWork(app, chime, again=timedelta())
        self.brisk = PostgresWork(app, chime, again=SECOND)
        self._pool = projector

    async def add(self, *jobs: Job) -> int:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await self._add(jobs)
                except Unavailable:
                    await asyncio.sleep(0.02)

    async def end(
        self, closes: Sequence[Close] = (), cancels: Sequence[tuple[Cancel, int]] = ()
    ) -> int:
        async with self._pool.acquire() as session, session.transaction():
            ended = await self.work.end(session, closes, cancels)
        self.work.changed()
        return ended

    async def _add(self, jobs: Sequence[Job]) -> int:
        with reaching_database():
            async with self._pool.acquire() as session, session.transaction():
                added = await self.work.add(session, jobs)
        self.work.changed()
        return added

    async def fenced(self, *tokens: tuple[UUID, int]) -> list[bool]:
        answers: list[bool] = await self._pool.fetchval(
            "SELECT es.fenced($1, $2)",
            [id_ for id_, _ in tokens],
            [fence for _, fence in tokens],
        )
        return answers


@asynccontextmanager
async def open_desk(database: Database) -> AsyncIterator[PostgresDesk]:
    """Open work with connections of its own."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        app, projector = [
            await enter(
                await open_pool(dsn, min_size=1, max_size=8, application_name="tests")
            )
            for dsn in (database.app, database.projector)
        ]
        chime = await enter(open_chime(app, database.app))
        yield PostgresDesk(app, projector, chime)
