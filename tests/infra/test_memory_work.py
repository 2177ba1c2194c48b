"""Work and its transport in memory keep the promises of every adapter."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from infra.clock import new_id, now
from infra.memory.event_log import MemoryEventLog
from infra.memory.transport import MemoryQueues, MemoryTransport
from infra.memory.work import MemoryWork
from services.ports import Job
from services.reactions import Cancel, Close
from tests.suites.carried_work import CarriedWorkContract
from tests.suites.fenced_log import FencedLogContract
from tests.suites.transport import TransportContract
from tests.suites.work import LATER, SECOND, WorkContract, asked, reference


class MemoryDesk:
    """Work in memory, as a test may treat it."""

    def __init__(self) -> None:
        self.work = MemoryWork(clock=now, again=LATER)
        self.hasty = self.work.paced(timedelta())
        self.brisk = self.work.paced(SECOND)

    async def add(self, *jobs: Job) -> int:
        return await self.work.add(jobs)

    async def end(
        self, closes: Sequence[Close] = (), cancels: Sequence[tuple[Cancel, int]] = ()
    ) -> int:
        return await self.work.end(closes, cancels)

    async def fenced(self, *tokens: tuple[UUID, int]) -> list[bool]:
        return [self.work.fenced(token) for token in tokens]


class MemoryMedium:
    """Queues of this process, as a test may treat them."""

    def __init__(self) -> None:
        self._queues = MemoryQueues()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MemoryTransport]:
        yield MemoryTransport(self._queues)

    async def interrupt(self) -> None:
        self._queues.cut()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self._queues.away = True
        self._queues.cut()
        try:
            yield
        finally:
            self._queues.away = False

    async def spoil(self, kind: str) -> None:
        """Nothing but references can get into memory."""


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def medium() -> MemoryMedium:
    return MemoryMedium()


@pytest.fixture
def fenced_log(desk: MemoryDesk) -> MemoryEventLog:
    return MemoryEventLog(clock=now, ids=new_id, fences=desk.work.fenced)


class TestFencedMemoryLog(FencedLogContract):
    """Every promise to results of work, in memory."""


class TestMemoryWork(WorkContract):
    """Every promise of work, in memory."""


class TestMemoryTransport(TransportContract):
    """Every promise of a transport, in memory."""


class TestCarriedMemoryWork(CarriedWorkContract):
    """Every promise of carried work, in memory."""


async def test_what_waits_for_busy_workers_is_published_once() -> None:
    moments: list[datetime] = [now()]
    work, job = MemoryWork(clock=lambda: moments[-1]), asked()
    await work.add([job])
    assert await work.offer(10) == [reference(job)]
    moments.append(moments[-1] + timedelta(minutes=4))
    assert await work.offer(10) == []
    assert await work.recall("trial", since=timedelta(seconds=5)) == 1
    assert await work.offer(10) == [reference(job)]
