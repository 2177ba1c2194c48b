"""A worker: leases kept and lost, errors, and a graceful end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from events.errors import Fenced, Unavailable
from infra.clock import now
from infra.memory.transport import MemoryDelivery, MemoryQueues, MemoryTransport
from infra.memory.work import MemoryWork
from services.ports import Job, Lease
from services.work.working import ConsumerEndedError, Kind, Worker
from tests.builders import new_id
from tests.suites.work import LATER, PATIENCE, asked, id_of


SHORT = timedelta(seconds=0.06)

Run = Callable[[Lease, None], Awaitable[None]]


class Away(MemoryWork):
    """Work whose database is away for some calls."""

    interruptions = 0

    async def claim(self, *asked: object, **more: object) -> Lease | None:
        self._interrupt()
        return await super().claim(*asked, **more)  # type: ignore[arg-type]

    async def close(self, lease: Lease) -> None:
        self._interrupt()
        await super().close(lease)

    def _interrupt(self) -> None:
        if self.interruptions:
            self.interruptions -= 1
            raise Unavailable


class Bench:
    """A worker on work and queues in memory."""

    def __init__(self) -> None:
        self.work = Away(clock=now, again=LATER)
        self.transport = MemoryTransport(MemoryQueues())
        self.stop = asyncio.Event()

    async def publish(self, *jobs: Job) -> None:
        await self.work.add(jobs)
        await self.transport.publish("trial", [id_of(job) for job in jobs])

    @asynccontextmanager
    async def working(
        self,
        run: Run,
        *,
        slots: int = 2,
        ttl: timedelta = LATER,
        grace: float = PATIENCE,
        pause: timedelta = LATER,
        silence: timedelta = LATER,
    ) -> AsyncGenerator[Worker[None], None]:
        kind = Kind(name="trial", run=run, slots=slots, ttl=ttl, first_pause=pause)
        worker = Worker(
            [kind],
            None,
            work=self.work,
            transport=self.transport,
            owner=new_id(),
            clock=now,
            grace=grace,
            silence=silence,
        )
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.run(self.stop))
            yield worker
            self.stop.set()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_no_more_jobs_run_at_a_time_than_there_are_slots(bench: Bench) -> None:
    started: asyncio.Queue[Lease] = asyncio.Queue()
    going_on = asyncio.Event()

    async def run(lease: Lease, _tools: None) -> None:
        started.put_nowait(lease)
        await going_on.wait()

    jobs = [asked() for _ in range(5)]
    await bench.publish(*jobs)
    async with bench.working(run, slots=2) as worker:
        await started.get()
        await started.get()
        assert (worker.busy, started.qsize()) == (2, 0)
        going_on.set()
        for _ in range(3):
            await started.get()


async def test_a_job_is_closed_when_its_run_returns(bench: Bench) -> None:
    ran = asyncio.Event()

    async def run(_lease: Lease, _tools: None) -> None:
        ran.set()

    job = asked(7)
    await bench.publish(job)
    with capture_logs() as lines:
        async with bench.working(run):
            await ran.wait()
    assert await bench.work.end([]) == 0
    assert await bench.work.claim(id_of(job), owner=new_id(), ttl=LATER) is None
    (line,) = [line for line in lines if line["event"] == "job_finished"]
    assert line["outcome"] == "done"
    assert (line["position"], line["attempt"], line["fence"]) == (7, 1, 1)


async def test_a_lease_is_renewed_while_its_job_runs(bench: Bench) -> None:
    leases: list[Lease] = []

    async def run(lease: Lease, _tools: None) -> None:
        leases.append(lease)
        while (now() - lease.expires_at) < SHORT * 2:
            await asyncio.sleep(SHORT.total_seconds() / 6)
            assert await bench.work.sweep() == 0

    await bench.publish(asked())
    async with bench.working(run, ttl=SHORT * 3):
        while not leases:  # noqa: ASYNC110 - nothing rings
            await asyncio.sleep(0)
    assert [lease.fence for lease in leases] == [1]
    assert await bench.work.dead_letters() == []


async def test_a_run_whose_lease_was_taken_away_is_cancelled(bench: Bench) -> None:
    cancelled = asyncio.Event()
    job = asked()

    async def run(lease: Lease, _tools: None) -> None:
        await bench.work.hand_back(lease)
        await bench.work.claim(id_of(job), owner=new_id(), ttl=LATER)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await bench.publish(job)
    with capture_logs() as lines:
        async with bench.working(run, ttl=SHORT):
            await cancelled.wait()
    assert "lost" in {line.get("outcome") for line in lines}
    assert not bench.work.fenced((id_of(job), 2))


async def test_a_run_that_the_log_refuses_as_stale_settles_nothing(
    bench: Bench,
) -> None:
    ran = asyncio.Event()

    async def run(_lease: Lease, _tools: None) -> None:
        ran.set()
        raise Fenced

    job = asked(max_attempts=1)
    await bench.publish(job)
    async with bench.working(run):
        await ran.wait()
    assert not bench.work.fenced((id_of(job), 1))
    assert await bench.work.dead_letters() == []


async def test_a_run_that_raises_is_tried_again_until_its_attempts_are_used_up(
    bench: Bench,
) -> None:
    attempts: list[int] = []
    job = asked(max_attempts=3)

    async def run(lease: Lease, _tools: None) -> None:
        attempts.append(lease.attempt)
        raise ZeroDivisionError("no")

    await bench.publish(job)
    async with bench.working(run, pause=timedelta()):
        while not await bench.work.failures(1):
            for each in await bench.work.offer(10):
                await bench.transport.publish(each.kind, [each.job_id])
            await asyncio.sleep(0)
    assert attempts == [1, 2, 3]
    (letter,) = await bench.work.dead_letters()
    assert letter.error == "ZeroDivisionError: no"


def test_pauses_between_attempts_double_up_to_a_limit() -> None:
    async def run(_lease: Lease, _tools: None) -> None: ...

    kind = Kind(
        name="trial",
        run=run,
        first_pause=timedelta(seconds=2),
        last_pause=timedelta(seconds=10),
    )
    pauses = [kind.pause(attempt).total_seconds() for attempt in (1, 2, 3, 4, 99)]
    assert pauses == [2, 4, 8, 10, 10]


async def test_an_interrupted_database_costs_no_job(bench: Bench) -> None:
    ran: list[Lease] = []
    bench.work.interruptions = 2

    async def run(lease: Lease, _tools: None) -> None:
        ran.append(lease)
        bench.work.interruptions = 2

    job = asked()
    await bench.publish(job)
    async with bench.working(run):
        while not ran or not bench.work.fenced(ran[0].token):  # noqa: ASYNC110 - nothing rings
            await asyncio.sleep(0.01)
    assert [lease.attempt for lease in ran] == [1]


async def test_what_runs_finishes_when_it_is_told_to_stop(bench: Bench) -> None:
    started, going_on = asyncio.Event(), asyncio.Event()

    async def run(_lease: Lease, _tools: None) -> None:
        started.set()
        await going_on.wait()

    running, waiting = asked(), asked()
    await bench.publish(running, waiting)
    async with bench.working(run, slots=1) as worker:
        await started.wait()
        bench.stop.set()
        await asyncio.sleep(0)
        assert worker.busy == 1
        going_on.set()
    assert bench.work.fenced((id_of(running), 1))
    lease = await bench.work.claim(id_of(waiting), owner=new_id(), ttl=LATER)
    assert lease is not None


async def test_what_does_not_finish_in_time_is_handed_back(bench: Bench) -> None:
    started = asyncio.Event()

    async def run(_lease: Lease, _tools: None) -> None:
        started.set()
        await asyncio.Event().wait()

    job = asked(max_attempts=1)
    await bench.publish(job)
    with capture_logs() as lines:
        async with bench.working(run, grace=0):
            await started.wait()
    (line,) = [line for line in lines if line["event"] == "job_finished"]
    assert line["outcome"] == "handed_back"
    lease = await bench.work.claim(id_of(job), owner=new_id(), ttl=LATER)
    assert lease is not None
    assert (lease.attempt, lease.fence) == (1, 2)


async def test_a_free_worker_asks_for_what_its_transport_lost(bench: Bench) -> None:
    ran = asyncio.Event()

    async def run(_lease: Lease, _tools: None) -> None:
        ran.set()

    await bench.work.add([asked()])
    assert len(await bench.work.offer(9)) == 1
    async with bench.working(run, silence=timedelta(milliseconds=1)):
        while not (offered := await bench.work.offer(9)):
            await bench.work.wait(seconds=PATIENCE)
        await bench.transport.publish("trial", [each.job_id for each in offered])
        await ran.wait()


async def test_a_transport_that_ends_is_a_crash(bench: Bench) -> None:
    class Ending(MemoryTransport):
        async def deliveries(
            self, kind: str, *, slots: int
        ) -> AsyncGenerator[MemoryDelivery, None]:
            async with aclosing(super().deliveries(kind, slots=slots)) as deliveries:
                yield await anext(deliveries)

    bench.transport = Ending(MemoryQueues())

    async def run(_lease: Lease, _tools: None) -> None: ...

    await bench.publish(asked())
    with pytest.raises(ExceptionGroup) as raised:
        async with bench.working(run):
            await asyncio.Event().wait()
    assert raised.group_contains(ConsumerEndedError)
