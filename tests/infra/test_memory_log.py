"""The log in memory keeps the promises of every event log."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from msgspec import structs
from msgspec.structs import replace

from infra.memory.draft import Fact, Sealed
from infra.memory.event_log import MemoryBlobs, MemoryEventLog
from infra.memory.rows import stored
from infra.memory.vault import MemoryVault
from infra.postgres import hashing
from tests.builders import MOMENT, meta, new_id, new_stream, told
from tests.suites.event_log import EventLogContract, SealedEventLogContract
from tests.suites.event_log_model import check_event_log


class TickingClock:
    """A clock that is a millisecond further on whenever it is asked."""

    def __init__(self) -> None:
        self._ticks: Iterator[int] = count()

    def __call__(self) -> datetime:
        return datetime(2031, 1, 1, tzinfo=UTC) + timedelta(
            milliseconds=next(self._ticks)
        )


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(clock=TickingClock(), ids=new_id)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault(ids=new_id)


@pytest.fixture
def sealing_log(vault: MemoryVault) -> MemoryEventLog:
    return MemoryEventLog(clock=TickingClock(), ids=new_id, vault=vault)


class TestMemoryEventLog(EventLogContract):
    """Every promise, in memory."""


class TestSealedMemoryEventLog(SealedEventLogContract):
    """Every promise about personal text, in memory."""


def test_any_mixture_of_appends_agrees_with_a_model() -> None:
    @asynccontextmanager
    async def open_log() -> AsyncIterator[MemoryEventLog]:
        yield MemoryEventLog(clock=TickingClock(), ids=new_id)

    check_event_log(open_log, examples=100)


async def test_time_stands_still_where_the_clock_goes_back() -> None:
    moments = iter([3, 1, 2, 4])
    log = MemoryEventLog(
        clock=lambda: datetime(2031, 1, next(moments), tzinfo=UTC), ids=new_id
    )
    days = [(await log.append(told(new_stream(), "a"))).recorded_at for _ in range(4)]

    assert [day.day for day in days if day] == [3, 3, 3, 4]


def test_the_hash_covers_every_column_as_in_postgres() -> None:
    sealed = Sealed(event_id=new_id(), kind="x", data=b'{"type":"x"}', key_id=new_id())
    envelope = replace(
        meta(), causation_id=new_id(), ip="::1", headers={"traceparent": "00-1-2-3"}
    )
    fact = Fact(stream_id="testing.trial-1", version=3, sealed=sealed, meta=envelope)
    row = {
        **structs.asdict(envelope),
        **structs.asdict(sealed),
        "position": 7,
        "version": 3,
        "recorded_at": MOMENT,
        "slice": hashing.slice_of(fact.stream_id),
        "stream_id": fact.stream_id,
        "data": sealed.data.decode(),
        "headers": '{"traceparent":"00-1-2-3"}',
    }

    assert stored(fact, position=7, recorded_at=MOMENT).hash == hashing.event_hash(row)
