"""The transport in PostgreSQL keeps the promises of every transport."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conftest import RUNGS
from tests.infra.postgres_work import PostgresMedium
from tests.postgres_ladder import Database, Servers
from tests.suites.transport import TransportContract


@pytest.fixture(scope="module")
async def shared(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncIterator[Database]:
    """One database for every promise: none needs it empty."""
    rung = request.config.stash[RUNGS][0]
    async with servers.database(rung, durable=False) as fresh:
        yield fresh


@pytest.fixture
async def medium(shared: Database) -> AsyncIterator[PostgresMedium]:
    superuser = await asyncpg.connect(shared.superuser)
    try:
        yield PostgresMedium(shared, superuser)
    finally:
        await superuser.close()


class TestPostgresTransport(TransportContract):
    """Every promise, in PostgreSQL."""
