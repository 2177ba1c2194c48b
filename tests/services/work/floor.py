"""A whole system in memory: a log, its reactions, work, and workers that do it.

Everything is done in rounds until nothing is left: reactions to what is new in the log,
then as many jobs side by side as there are workers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from events.conversation import MessageAdded
from events.errors import Failure, Fenced, Unavailable
from events.message import Command, Event, Meta, Recorded
from infra.memory.event_log import MemoryBlobs, MemoryEventLog
from infra.memory.work import MemoryWork
from services.experiments.reactions import ROWS, SIMULATE
from services.guard import check_system
from services.handling import Handler
from services.outcome import Outcome
from services.playgrounds.reactions import EXPIRE
from services.ports import Job, Lease, Reference
from services.reactions import Cancel, Close, reaction_meta
from services.routing import DECIDER_OF
from services.testing.reactions import PIN, REPORT, TRIAL
from services.testing.trials import AddTurn
from services.work.cases import Cases
from services.work.expiring import ReleaseExpired
from services.work.following import ON_FAILURE, REACTIONS
from services.work.pinning import PinRun
from services.work.reporting import ReportRun
from services.work.results import failure_meta
from services.work.simulating import Runs, Simulate, SimulateRows
from services.work.trials import HoldTrial
from tests.builders import new_id
from tests.given import meta_of
from tests.services.work.local_populations import LocalPopulations


TTL: Final = timedelta(seconds=30)
START: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)

E = TypeVar("E", bound=Event)
Do = Callable[[Lease], Awaitable[None]]


class Killed(BaseException):
    """The process of a worker died."""


class Floor:
    """One organisation's system, with its clock in hand."""

    def __init__(self, *, workers: int = 1) -> None:
        self.now = START
        self.blobs = MemoryBlobs()
        self.work = MemoryWork(clock=self.clock)
        self.log = MemoryEventLog(clock=self.clock, ids=new_id, fences=self.work.fenced)
        self.handler = Handler(
            log=self.log, deciders=DECIDER_OF, guard=lambda _command, _meta: None
        )
        self.workers = workers
        self.runs = Runs(log=self.log, blobs=self.blobs, populations=LocalPopulations())
        self.jobs: list[Job] = []
        self.kill_after: int | None = None
        self.pause_after: int | None = None
        self.others_work = True
        self.refused = 0
        self.away = False
        self.most_held = 0
        self._held = 0
        self._seen = 0

    def clock(self) -> datetime:
        """Return the moment that the test says it is."""
        return self.now

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    async def pause(self) -> None:
        """Let every lease expire, and others take over what was leased."""
        self.pause_after = None
        self.later(TTL.total_seconds())
        if self.others_work:
            await self.settle()
            return
        await self.work.sweep()
        for reference in await self.work.offer(10_000):
            await self.work.claim(reference.job_id, owner=new_id(), ttl=TTL)

    async def ask(self, *commands: Command, by: str = "user:ada") -> None:
        """Carry out commands of a person."""
        for command in commands:
            await self.handler.handle(command, self.meta(by))

    def meta(self, by: str = "user:ada") -> Meta:
        """Return a new envelope."""
        envelope = meta_of(by)
        command_id = new_id()
        return Meta(
            command_id=command_id,
            org_id=envelope.org_id,
            region=envelope.region,
            actor=by,
            correlation_id=command_id,
            occurred_at=self.now,
            roles=envelope.roles,
        )

    async def settle(self) -> None:
        """Go on until nothing is left to react to and nothing to do."""
        while await self.react() or await self.do():
            pass

    async def react(self) -> int:
        """React to what is new in the log, and return how much that was."""
        page = await self.log.read(self._seen)
        for recorded in page:
            for react in REACTIONS.get(type(recorded.event), ()):
                for number, asked in enumerate(react(recorded)):
                    await self._follow(recorded, asked, f"{react.__name__}/{number}")
            self._seen = recorded.position
        return len(page)

    async def _follow(
        self, recorded: Recorded[Event], asked: object, name: str
    ) -> None:
        match asked:
            case Command():
                await self.handler.handle(asked, reaction_meta(recorded, name))
            case Job():
                self.jobs.append(asked)
                await self.work.add([asked])
            case Close():
                await self.work.end([asked])
            case Cancel():
                await self.work.end([], [(asked, recorded.position)])

    async def do(self) -> int:
        """Do what may be done now, so many jobs side by side as there are workers."""
        await self.work.sweep()
        failures = await self.work.failures(100)
        for failed in failures:
            tell = ON_FAILURE.get(failed.job.kind)
            if tell is not None:
                await self.handler.handle(tell(failed), failure_meta(failed))
            await self.work.reported([failed.job_id])
        offered = list(await self.work.offer(10_000))
        count = len(offered) + len(failures)
        crews = [Worker(self) for _ in range(self.workers)]
        await asyncio.gather(*(crew.run(offered) for crew in crews))
        return count

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Count what is held at the same time."""
        self._held += 1
        self.most_held = max(self.most_held, self._held)
        try:
            yield
        finally:
            self._held -= 1

    async def events(self, kind: type[E]) -> list[E]:
        """Return the events of a kind in order."""
        return [
            recorded.event
            for recorded in await self.log.read(0, 1_000_000)
            if isinstance(recorded.event, kind)
        ]

    async def transcripts(self) -> dict[str, list[str]]:
        """Return what was said in each trial, in order."""
        said: dict[str, list[str]] = {}
        for event in await self.events(MessageAdded):
            said.setdefault(str(event.conversation_id), []).append(
                f"{event.seq} {event.role} {event.engine}: {event.text}"
            )
        return said


class Worker:
    """A process that takes jobs one by one, with caches of its own."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._id = new_id()
        handler = Handler(log=floor.log, deciders=DECIDER_OF, guard=check_system)
        self._handler = handler
        log, blobs, clock = floor.log, floor.blobs, floor.clock
        self._kinds: dict[str, Do] = {
            PIN: PinRun(handler=handler, clock=clock),
            TRIAL: HoldTrial(
                log=log,
                cases=Cases(log=log, blobs=blobs),
                handle=self.handle,
                clock=clock,
            ),
            REPORT: ReportRun(log=log, blobs=blobs, handle=self.handle, clock=clock),
            EXPIRE: ReleaseExpired(handle=self.handle, clock=clock),
            SIMULATE: Simulate(floor.runs, handle=self.handle, clock=clock),
            ROWS: SimulateRows(floor.runs, handle=self.handle, clock=clock),
        }

    async def handle(self, command: Command, meta: Meta) -> Outcome:
        """Handle a command of a job, unless the test kills the process before."""
        await asyncio.sleep(0)
        floor = self._floor
        if floor.kill_after is not None:
            floor.kill_after -= 1
            if floor.kill_after < 0:
                raise Killed
        if floor.pause_after is not None:
            floor.pause_after -= 1
            if floor.pause_after < 0:
                await floor.pause()
        if floor.away and isinstance(command, AddTurn):
            raise Unavailable
        return await self._handler.handle(command, meta)

    async def run(self, offered: list[Reference]) -> None:
        """Take jobs until none is left, or the process dies."""
        work = self._floor.work
        while offered:
            reference = offered.pop(0)
            lease = await work.claim(reference.job_id, owner=self._id, ttl=TTL)
            if lease is None:
                continue
            try:
                with self._floor.holding():
                    await self._kinds[lease.job.kind](lease)
            except Killed:
                return
            except Fenced:
                self._floor.refused += 1
            except Failure as failure:
                await work.fail(lease, error=str(failure), again_at=self._floor.now)
            else:
                await work.close(lease)
