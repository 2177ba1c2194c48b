"""What work promises when a transport carries it: jobs, relay, transport and workers.

The subclass's module offers the fixtures `desk` (see `tests.suites.work`) and `medium`
(see `tests.suites.transport`); both may be interrupted in the middle.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import pytest

from events.errors import Malformed
from events.message import Command, Meta
from infra.clock import now
from services.ports import Job, Lease
from services.work.relaying import Relay
from services.work.working import Kind, Worker
from tests.builders import new_id
from tests.suites.transport import Medium, new_kind
from tests.suites.work import EXPIRED, LATER, Desk, asked, claimed, id_of


PATIENCE: Final = 20
AT_ONCE: Final = timedelta()


class Floor:
    """Workers and a relay at work, and what they did."""

    def __init__(self, desk: Desk, medium: Medium) -> None:
        self.desk = desk
        self.medium = medium
        self.kind = new_kind()
        self.ran: list[Job] = []
        self.ended: list[Job] = []
        self.running: Counter[str | None] = Counter()
        self.most: Counter[str | None] = Counter()
        self._changed = asyncio.Event()

    def job(self, position: int, **details: Any) -> Job:  # noqa: ANN401 - as `asked`
        return asked(position, kind=self.kind, **details)

    async def run(self, lease: Lease, poison: frozenset[str]) -> None:
        """Run a job: it fails where its effect key is poison."""
        job = lease.job
        self.ran.append(job)
        for name in (job.key, job.group_key):
            self.running[name] += 1
            self.most[name] = max(self.most[name], self.running[name])
        await asyncio.sleep(0)
        for name in (job.key, job.group_key):
            self.running[name] -= 1
        if job.effect_key in poison:
            raise Malformed("poison")
        self.ended.append(job)
        self._changed.set()

    async def until(self, met: Callable[[], bool]) -> None:
        """Return once something is so of what has ended."""
        async with asyncio.timeout(PATIENCE):
            while not met():
                await self._changed.wait()
                self._changed.clear()

    def positions(self, key: str) -> list[int]:
        """Return the positions of a key's jobs, in the order in which they ended."""
        return [job.position for job in self.ended if job.key == key]

    @asynccontextmanager
    async def open(
        self, *, workers: int = 2, poison: frozenset[str] = frozenset()
    ) -> AsyncGenerator[None, None]:
        """Run workers and a relay while inside."""
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            tasks: list[asyncio.Task[None]] = []
            publisher = await stack.enter_async_context(self.medium.open())
            relay = Relay(
                self.desk.brisk, publisher, on_failure={}, handle=handle_nothing
            )
            tasks.append(asyncio.create_task(relay.run(stop)))
            for _ in range(workers):
                transport = await stack.enter_async_context(self.medium.open())
                worker = Worker(
                    [
                        Kind(
                            name=self.kind,
                            run=self.run,
                            slots=3,
                            first_pause=AT_ONCE,
                        )
                    ],
                    poison,
                    work=self.desk.brisk,
                    transport=transport,
                    owner=new_id(),
                    clock=now,
                )
                tasks.append(asyncio.create_task(worker.run(stop)))
            try:
                yield
            finally:
                stop.set()
                async with asyncio.timeout(PATIENCE):
                    await asyncio.gather(*tasks)


async def handle_nothing(_command: Command, _meta: Meta) -> None:
    """Handle what no kind here asks for."""


class CarriedWorkContract:
    """The promises of work over a transport, one sentence each."""

    @pytest.fixture
    def floor(self, desk: Desk, medium: Medium) -> Floor:
        return Floor(desk, medium)

    async def test_every_job_runs_once_and_in_the_order_of_its_key(
        self, floor: Floor
    ) -> None:
        jobs = [
            floor.job(n, key=f"k{n % 5}", group_key="run", group_limit=4)
            for n in range(1, 61)
        ]
        await floor.desk.add(*jobs)
        async with floor.open():
            await floor.until(lambda: len(floor.ended) == len(jobs))

        assert sorted(job.position for job in floor.ran) == list(range(1, 61))
        for key in {job.key for job in jobs}:
            assert floor.positions(key) == sorted(floor.positions(key))
            assert floor.most[key] == 1
        assert floor.most["run"] <= 4

    async def test_work_goes_on_after_interruptions(self, floor: Floor) -> None:
        first = [floor.job(n, key=f"k{n % 3}") for n in range(1, 16)]
        second = [floor.job(n, key=f"k{n % 3}") for n in range(16, 31)]
        await floor.desk.add(*first)
        async with floor.open():
            await floor.until(lambda: len(floor.ended) >= 5)
            await floor.medium.interrupt()
            await floor.desk.add(*second)
            async with floor.medium.outage():
                pass
            await floor.until(lambda: len(floor.ended) == 30)

        for key in ("k0", "k1", "k2"):
            assert floor.positions(key) == sorted(floor.positions(key))

    async def test_what_a_dead_worker_held_is_run_by_another(
        self, floor: Floor
    ) -> None:
        held, after = floor.job(1, key="k"), floor.job(2, key="k")
        await floor.desk.add(held, after)
        await claimed(floor.desk.brisk, held, ttl=EXPIRED)
        async with floor.open():
            await floor.until(lambda: len(floor.ended) == 2)
        assert floor.positions("k") == [1, 2]

    async def test_a_job_waits_for_its_time(self, floor: Floor) -> None:
        due = now() + timedelta(seconds=0.3)
        timer = floor.job(1, not_before=due)
        never = floor.job(2, not_before=now() + LATER)
        await floor.desk.add(timer, never, floor.job(3))
        async with floor.open():
            await floor.until(lambda: len(floor.ended) == 2)
            assert now() >= due
        assert [job.position for job in floor.ended] == [3, 1]

    async def test_poison_is_put_aside_and_its_key_goes_on(self, floor: Floor) -> None:
        poison = floor.job(1, key="k", max_attempts=3)
        others = [floor.job(n, key="k") for n in (2, 3)]
        await floor.desk.add(poison, *others, floor.job(4))
        async with floor.open(poison=frozenset({poison.effect_key})):
            await floor.until(lambda: len(floor.ended) == 3)

        assert floor.positions("k") == [2, 3]
        assert [job.position for job in floor.ran].count(1) == 3
        (letter,) = await floor.desk.brisk.dead_letters()
        assert letter.job.effect_key == poison.effect_key
        assert letter.error == "Malformed: poison"

    async def test_references_to_nothing_and_to_the_same_are_harmless(
        self, floor: Floor
    ) -> None:
        job = floor.job(1)
        await floor.desk.add(job)
        async with floor.medium.open() as transport, floor.open():
            for _ in range(3):
                await transport.publish(floor.kind, [new_id(), id_of(job)])
            await floor.until(lambda: len(floor.ended) == 1)
            await floor.desk.add(floor.job(2))
            await floor.until(lambda: len(floor.ended) == 2)
        assert [each.position for each in floor.ran] == [1, 2]
