"""The log in PostgreSQL keeps the promises of every event log."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from events.log import EventLog
from infra.memory.vault import MemoryVault
from infra.postgres.blobs import PostgresBlobs
from infra.postgres.event_log import PostgresEventLog, open_event_log
from infra.postgres.pool import open_pool
from tests.builders import new_id
from tests.conftest import RUNGS
from tests.postgres_ladder import Database, Servers
from tests.suites.event_log import EventLogContract, SealedEventLogContract
from tests.suites.event_log_model import check_event_log


@pytest.fixture(scope="module")
async def shared(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncIterator[Database]:
    """One database for every promise: none needs it empty."""
    rung = request.config.stash[RUNGS][0]
    async with servers.database(rung, durable=False) as fresh:
        yield fresh


@pytest.fixture
async def log(shared: Database) -> AsyncIterator[PostgresEventLog]:
    async with open_event_log(shared.app) as opened:
        yield opened


@pytest.fixture
async def blobs(shared: Database) -> AsyncIterator[PostgresBlobs]:
    pool = await open_pool(shared.app, min_size=1, max_size=4, application_name="tests")
    async with pool:
        yield PostgresBlobs(pool)


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault(ids=new_id)


@pytest.fixture
async def sealing_log(
    shared: Database, vault: MemoryVault
) -> AsyncIterator[PostgresEventLog]:
    async with open_event_log(shared.app, vault=vault) as opened:
        yield opened


class TestPostgresEventLog(EventLogContract):
    """Every promise, in PostgreSQL."""


class TestSealedPostgresEventLog(SealedEventLogContract):
    """Every promise about personal text, in PostgreSQL."""


def test_any_mixture_of_appends_agrees_with_a_model(shared: Database) -> None:
    def open_log() -> AbstractAsyncContextManager[EventLog]:
        return open_event_log(shared.app)

    check_event_log(open_log, examples=25, steps=20)
