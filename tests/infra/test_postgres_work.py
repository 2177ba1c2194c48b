"""Work in PostgreSQL keeps the promises of every adapter, under races too."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from infra.postgres.event_log import PostgresEventLog, open_event_log
from tests.conftest import RUNGS
from tests.infra.postgres_work import PostgresDesk, PostgresMedium, open_desk
from tests.postgres_ladder import Database, Servers
from tests.suites.carried_work import CarriedWorkContract
from tests.suites.fenced_log import FencedLogContract
from tests.suites.work import PATIENCE, WorkContract, asked, claimed, reference


@pytest.fixture(scope="module")
async def shared(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncIterator[Database]:
    """One database, emptied of work before each test."""
    rung = request.config.stash[RUNGS][0]
    async with servers.database(rung, durable=False) as fresh:
        yield fresh


@pytest.fixture
async def superuser(shared: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(shared.superuser)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def desk(
    shared: Database, superuser: asyncpg.Connection
) -> AsyncIterator[PostgresDesk]:
    await superuser.execute("TRUNCATE es.work")
    async with open_desk(shared) as opened:
        yield opened


@pytest.fixture
def medium(shared: Database, superuser: asyncpg.Connection) -> PostgresMedium:
    return PostgresMedium(shared, superuser)


@pytest.fixture
async def fenced_log(shared: Database) -> AsyncIterator[PostgresEventLog]:
    async with open_event_log(shared.app) as log:
        yield log


class TestFencedPostgresLog(FencedLogContract):
    """Every promise to results of work, in PostgreSQL."""


async def until_blocked(superuser: asyncpg.Connection) -> None:
    """Return once another session of the database waits for a lock."""
    async with asyncio.timeout(PATIENCE):
        while not await superuser.fetchval(  # noqa: ASYNC110 - locks tell nobody
            """
            SELECT count(*)
            FROM pg_stat_activity
            WHERE datname = current_database()
              AND wait_event_type = 'Lock'
            """
        ):
            await asyncio.sleep(0.01)


class TestPostgresWork(WorkContract):
    """Every promise, in PostgreSQL."""


class TestCarriedPostgresWork(CarriedWorkContract):
    """Every promise of carried work, in PostgreSQL alone."""


async def test_a_lease_is_not_taken_away_while_results_are_appended(
    desk: PostgresDesk, superuser: asyncpg.Connection
) -> None:
    job = asked()
    await desk.add(job)
    lease = await claimed(desk.work, job, ttl=timedelta(seconds=-1))
    async with superuser.transaction():
        await superuser.fetchval("SELECT es.take_head()")
        assert await superuser.fetchval(
            "SELECT es.fenced($1, $2)", [lease.job_id, None], [lease.fence, None]
        ) == [False, False]
        sweeping = asyncio.create_task(desk.work.sweep())
        await until_blocked(superuser)
    assert await sweeping == 1
    assert await desk.fenced(lease.token) == [True]


async def test_what_ends_while_another_is_judged_still_frees_it(
    desk: PostgresDesk, superuser: asyncpg.Connection
) -> None:
    one, two = asked(1, key="k"), asked(2, key="k")
    await desk.add(one, two)
    lease = await claimed(desk.work, one)
    async with superuser.transaction():
        offered = await superuser.fetch(
            "SELECT * FROM es.offer_work_v1(10, interval '1 hour')"
        )
        assert offered == []
        closing = asyncio.create_task(desk.work.close(lease))
        await until_blocked(superuser)
    await closing
    assert await desk.work.offer(10) == [reference(two)]
