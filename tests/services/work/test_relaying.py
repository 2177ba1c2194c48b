"""A relay: what it does when the transport or the log is away, and with failures."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from events.errors import Refused, Unavailable
from events.message import Command, Meta
from infra.clock import now
from infra.memory.transport import MemoryQueues, MemoryTransport
from infra.memory.work import MemoryWork
from services.access.subjects import EraseSubject
from services.ports import Failed, Job
from services.work.relaying import Handle, OnFailure, Relay
from tests.suites.work import EXPIRED, LATER, PATIENCE, asked, claimed, id_of


class Book:
    """Handles commands by writing them down; the first `failing` ones fail."""

    def __init__(self, failing: Sequence[Exception] = ()) -> None:
        self.commands: list[tuple[Command, Meta]] = []
        self._failing = list(failing)

    async def handle(self, command: Command, meta: Meta) -> None:
        if self._failing:
            raise self._failing.pop(0)
        self.commands.append((command, meta))


@pytest.fixture
def work() -> MemoryWork:
    return MemoryWork(clock=now, again=LATER)


@pytest.fixture
def queues() -> MemoryQueues:
    return MemoryQueues()


def relay_of(
    work: MemoryWork,
    queues: MemoryQueues,
    handle: Handle,
    on_failure: OnFailure | None = None,
) -> Relay:
    return Relay(
        work,
        MemoryTransport(queues),
        on_failure={} if on_failure is None else {"trial": on_failure},
        handle=handle,
    )


def erase(failed: Failed) -> Command:
    return EraseSubject(subject_id=failed.job_id, reason=failed.error)  # type: ignore[arg-type]


async def used_up(work: MemoryWork) -> Job:
    """Return a job whose only attempt has failed."""
    job = asked(max_attempts=1)
    await work.add([job])
    lease = await claimed(work, job)
    await work.fail(lease, error="no", again_at=now())
    return job


def published(queues: MemoryQueues, kind: str = "trial") -> list[UUID]:
    return list(iter(lambda: queues.take(kind), None))


async def test_what_may_run_is_published_by_its_kind(
    work: MemoryWork, queues: MemoryQueues
) -> None:
    trials, pins = [asked(n) for n in (1, 2)], [asked(3, kind="pin")]
    await work.add([*trials, *pins])
    relay = relay_of(work, queues, Book().handle)
    assert await relay.relay_once() == 3
    assert await relay.relay_once() == 0
    assert published(queues) == [id_of(job) for job in trials]
    assert published(queues, "pin") == [id_of(job) for job in pins]


async def test_what_cannot_be_published_is_published_later(
    work: MemoryWork, queues: MemoryQueues
) -> None:
    job = asked()
    await work.add([job])
    relay = relay_of(work, queues, Book().handle)
    queues.away = True
    with pytest.raises(Unavailable):
        await relay.relay_once()
    queues.away = False
    assert await relay.relay_once() == 1
    assert published(queues) == [id_of(job)]


async def test_it_runs_through_interruptions_and_sweeps(
    work: MemoryWork, queues: MemoryQueues
) -> None:
    job = asked()
    await work.add([job])
    await claimed(work, job, ttl=EXPIRED)
    queues.away = True
    stop = asyncio.Event()
    with capture_logs() as lines:
        running = asyncio.create_task(relay_of(work, queues, Book().handle).run(stop))
        async with asyncio.timeout(PATIENCE):
            while not lines:  # noqa: ASYNC110 - nothing rings
                await asyncio.sleep(0)
            queues.away = False
            while (taken := queues.take("trial")) is None:  # noqa: ASYNC110 - nothing rings
                await asyncio.sleep(0.01)
            stop.set()
            await running
    assert taken == id_of(job)
    assert {line["event"] for line in lines} == {"relay_interrupted"}


async def test_a_failure_is_told_once(work: MemoryWork, queues: MemoryQueues) -> None:
    job = await used_up(work)
    book = Book()
    relay = relay_of(work, queues, book.handle, erase)
    with capture_logs() as lines:
        await relay.tell_failures()
        await relay.tell_failures()
    ((command, meta),) = book.commands
    assert isinstance(command, EraseSubject)
    assert command.reason == "no"
    assert (meta.org_id, meta.causation_id) == (job.org_id, job.event_id)
    assert meta.fence is None
    assert [line["event"] for line in lines] == ["job_failed"]
    (letter,) = await work.dead_letters()
    assert letter.job_id == id_of(job)


async def test_a_failure_is_told_again_after_a_retry_failed_too(
    work: MemoryWork, queues: MemoryQueues
) -> None:
    job = await used_up(work)
    book = Book()
    relay = relay_of(work, queues, book.handle, erase)
    await relay.tell_failures()
    await work.retry(id_of(job))
    lease = await claimed(work, job)
    await work.fail(lease, error="again", again_at=now())
    await relay.tell_failures()
    assert len({meta.command_id for _, meta in book.commands}) == 2


async def test_a_failure_that_is_refused_counts_as_told(
    work: MemoryWork, queues: MemoryQueues
) -> None:
    await used_up(work)
    book = Book([Refused()])
    await relay_of(work, queues, book.handle, erase).tell_failures()
    assert await work.failures(1) == []


async def test_a_failure_that_cannot_be_told_holds_up_no_other(
    work: MemoryWork, queues: MemoryQueues
) -> None:
    first, second = await used_up(work), await used_up(work)
    book = Book([ZeroDivisionError()])
    relay = relay_of(work, queues, book.handle, erase)
    with capture_logs() as lines:
        await relay.tell_failures()
    assert [line["event"] for line in lines] == ["failure_not_told", "job_failed"]
    assert [each.job_id for each in await work.failures(9)] == [id_of(first)]
    await relay.tell_failures()
    told = [meta.causation_id for _, meta in book.commands]
    assert told == [second.event_id, first.event_id]


async def test_a_failure_waits_while_the_log_is_away(
    work: MemoryWork, queues: MemoryQueues
) -> None:
    await used_up(work)
    book = Book([Unavailable()])
    relay = relay_of(work, queues, book.handle, erase)
    with pytest.raises(Unavailable):
        await relay.tell_failures()
    await relay.tell_failures()
    assert len(book.commands) == 1
