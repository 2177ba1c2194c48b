"""The dispatcher: follows the log and does what follows from its events.

It works under a lease, page by page: every reaction to the page's events is asked, then
the commands are handled, then jobs are added and ended in the transaction that moves
the checkpoint under the lease's fence. A command's id comes from its event, and a job's
from its effect key, so a page that is done twice changes nothing.

Commands to one stream are handled in the order of the log, those to different streams
side by side. What a rule refuses is logged, since no is an answer. What is interrupted
is tried again until it happens. What fails for another reason is tried `TRIES` times;
then its event is parked, with the error, and the log goes on: `retry` does it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from time import perf_counter
from typing import Final, Protocol
from uuid import UUID

import structlog

from events.catalogue import tag
from events.errors import Conflict, Missing, Refused, TooMany, Unavailable
from events.message import Command, Event, Meta, Recorded
from projections import parking
from projections.checkpoints import Feed, begin, hold, move
from projections.leasing import TTL, Lease, LeaseLostError, leased
from projections.parking import is_transient, told
from projections.runner import Source, pages
from projections.sql import Pool, Session, Sql
from services.ports import Job
from services.reactions import Cancel, Close, Reactions, reaction_meta


FEED: Final = Feed("dispatcher")
PAGE: Final = 500
SIDE_BY_SIDE: Final = 64
TRIES: Final = 4
FIRST_PAUSE: Final = 0.1
LAST_PAUSE: Final = 5.0
IDLE: Final = 1.0  # seconds between two looks at a log that rings no bell

Handle = Callable[[Command, Meta], Awaitable[object]]

log = structlog.get_logger()


class Jobs(Protocol):
    """Where jobs are kept: in the database that holds the checkpoint."""

    async def add(self, sql: Sql, jobs: Sequence[Job]) -> int:
        """Add jobs in order, those that are there already left out."""
        ...

    async def end(
        self,
        sql: Sql,
        closes: Sequence[Close],
        cancels: Sequence[tuple[Cancel, int]],
    ) -> int:
        """End jobs; a cancel spares what was asked for after its event's position."""
        ...

    def changed(self) -> None:
        """Say that jobs may have become due, once that is committed."""
        ...


class UnreactableError(Exception):
    """A reaction fails on an event."""


@dataclass
class Asked:
    """A command that follows from an event."""

    recorded: Recorded[Event]
    command: Command
    meta: Meta


@dataclass
class Effects:
    """What follows from a page, in the order of the log."""

    commands: list[Asked] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)
    cancels: list[tuple[Cancel, int]] = field(default_factory=list)
    poison: dict[int, tuple[Recorded[Event], str]] = field(default_factory=dict)


class Dispatcher:
    """Runs reactions over a log; one of all processes does at a time.

    `handle` handles a command with the system's own rights; `stream_of` names the
    stream that a command is for. The pool needs two connections.
    """

    def __init__(
        self,
        source: Source,
        pool: Pool,
        *,
        reactions: Reactions,
        handle: Handle,
        stream_of: Callable[[Command, str], str],
        jobs: Jobs,
        owner: UUID,
        ttl: timedelta = TTL,
        page: int = PAGE,
    ) -> None:
        self._source = source
        self._pool = pool
        self._reactions = reactions
        self._handle = handle
        self._stream_of = stream_of
        self._jobs = jobs
        self._owner = owner
        self._ttl = ttl
        self._page = page
        self._slots = asyncio.Semaphore(SIDE_BY_SIDE)

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch until told to stop; finish the page in hand, give the lease back."""
        pause = FIRST_PAUSE
        while not stop.is_set():
            try:
                if await self._hold_lease(stop):
                    pause = FIRST_PAUSE
                else:
                    await _either(stop.wait(), _pause(self._ttl.total_seconds() / 3))
            except Exception as error:
                if not _passes(error):
                    raise
                log.warning("dispatcher_interrupted", error=told(error))
                await _either(stop.wait(), _pause(pause))
                pause = min(pause * 2, LAST_PAUSE)

    async def catch_up(self, upto: int) -> None:
        """Dispatch up to a position, which the log must reach, unless another does."""
        await self._begin()
        async with (
            leased(self._pool, FEED, owner=self._owner, ttl=self._ttl) as lease,
            self._pool.acquire() as session,
        ):
            if lease is not None:
                await self._feed(session, lease, upto)

    async def retry(self, position: int) -> None:
        """Do again what follows from a parked event, or raise `Missing`.

        Raises what fails now; then the event stays parked.
        """
        async with self._pool.acquire() as session:
            waiting = await parking.parked(session, FEED.projection)
            if position not in {each.position for each in waiting}:
                message = f"No event is parked at {position}."
                raise Missing(message)
            (recorded,) = await self._source.read(position - 1, 1)
            effects = self._react([recorded])
            for _, error in effects.poison.values():
                raise UnreactableError(error)
            for asked in effects.commands:
                await self._command(asked)
            async with session.transaction():
                await hold(session, FEED)
                await parking.lift(session, FEED, _key(recorded))
                await self._jobs.add(session, effects.jobs)
                await self._jobs.end(session, effects.closes, effects.cancels)
        self._jobs.changed()

    async def _hold_lease(self, stop: asyncio.Event) -> bool:
        await self._begin()
        async with leased(self._pool, FEED, owner=self._owner, ttl=self._ttl) as lease:
            if lease is None:
                return False
            async with self._pool.acquire() as session:
                while not (stop.is_set() or lease.lost.is_set()):
                    await self._feed(session, lease, None, stop)
                    await _either(
                        self._source.wait(lease.position, seconds=IDLE),
                        stop.wait(),
                        lease.lost.wait(),
                    )
        return True

    async def _begin(self) -> None:
        async with self._pool.acquire() as session:
            await begin(session, FEED)

    async def _feed(
        self,
        session: Session,
        lease: Lease,
        upto: int | None,
        stop: asyncio.Event | None = None,
    ) -> None:
        reading = pages(self._source, lease.position, upto=upto, limit=self._page)
        async with aclosing(reading):
            async for page in reading:
                try:
                    await self._dispatch(session, lease, page)
                except LeaseLostError:
                    lease.lost.set()
                    log.warning("lease_lost", feed=str(FEED))
                    return
                if stop is not None and stop.is_set():
                    return

    async def _dispatch(
        self, session: Session, lease: Lease, page: Sequence[Recorded[Event]]
    ) -> None:
        began = perf_counter()
        effects = self._react(page)
        await self._handle_all(effects, lease)
        upto = page[-1].position
        async with session.transaction():
            moved = await move(
                session, FEED, old=lease.position, new=upto, fence=lease.fence
            )
            if moved is None:
                message = f"{FEED} is not at {lease.position} with {lease.fence}"
                raise LeaseLostError(message)
            for recorded, error in effects.poison.values():
                await parking.park(
                    session,
                    FEED,
                    [(_key(recorded), recorded)],
                    error=error,
                    attempts=TRIES,
                )
            added = await self._jobs.add(session, effects.jobs)
            ended = await self._jobs.end(session, effects.closes, effects.cancels)
        lease.position = upto
        if added or ended:
            self._jobs.changed()
        for recorded, error in effects.poison.values():
            log.error(
                "event_parked",
                feed=str(FEED),
                position=recorded.position,
                event_type=tag(type(recorded.event)),
                key=_key(recorded),
                attempts=TRIES,
                error=error,
            )
        log.info(
            "batch_dispatched",
            position=upto,
            events=len(page),
            commands=len(effects.commands),
            jobs=added,
            ended=ended,
            seconds=round(perf_counter() - began, 6),
        )

    def _react(self, page: Sequence[Recorded[Event]]) -> Effects:
        effects = Effects()
        for recorded in page:
            seen: dict[str, int] = {}
            try:
                following = [
                    reaction
                    for react in self._reactions.get(type(recorded.event), ())
                    for reaction in react(recorded)
                ]
            except Exception as error:  # noqa: BLE001 - a reaction's defect parks its event
                effects.poison[recorded.position] = recorded, told(error)
                continue
            for reaction in following:
                match reaction:
                    case Job():
                        effects.jobs.append(reaction)
                    case Close():
                        effects.closes.append(reaction)
                    case Cancel():
                        effects.cancels.append((reaction, recorded.position))
                    case Command():
                        name = tag(type(reaction))
                        seen[name] = seen.get(name, 0) + 1
                        meta = reaction_meta(recorded, f"{name}#{seen[name]}")
                        effects.commands.append(Asked(recorded, reaction, meta))
        return effects

    async def _handle_all(self, effects: Effects, lease: Lease) -> None:
        """Handle commands, in order for each stream that they are for."""
        queues: dict[str, list[Asked]] = {}
        for asked in effects.commands:
            stream_id = self._stream_of(asked.command, asked.meta.org_id)
            queues.setdefault(stream_id, []).append(asked)

        async def handle(queue: Sequence[Asked]) -> None:
            async with self._slots:
                for asked in queue:
                    error = await self._command_surely(asked, lease)
                    if error is not None:
                        position = asked.recorded.position
                        effects.poison.setdefault(position, (asked.recorded, error))

        await _all([handle(queue) for queue in queues.values()])
        _without_poison(effects)

    async def _command_surely(self, asked: Asked, lease: Lease) -> str | None:
        """Handle a command, and return the error where that cannot be done."""
        pause = FIRST_PAUSE
        tries = 0
        while True:
            if lease.lost.is_set():
                raise LeaseLostError(str(FEED))
            try:
                await self._command(asked)
            except Exception as error:  # noqa: BLE001 - parked with it
                if not _passes(error):
                    tries += 1
                    if tries == TRIES:
                        return told(error)
                log.warning(
                    "reaction_interrupted",
                    position=asked.recorded.position,
                    command_type=tag(type(asked.command)),
                    error=told(error),
                )
                await _either(lease.lost.wait(), _pause(pause))
                pause = min(pause * 2, LAST_PAUSE)
            else:
                return None

    async def _command(self, asked: Asked) -> None:
        try:
            await self._handle(asked.command, asked.meta)
        except Refused as refusal:
            log.info(
                "reaction_refused",
                position=asked.recorded.position,
                command_type=tag(type(asked.command)),
                error=f"{type(refusal).__name__}: {refusal}",
            )


def _without_poison(effects: Effects) -> None:
    """Leave out the jobs of events that are parked: a retry asks for all of it."""
    positions = effects.poison.keys()
    effects.jobs = [job for job in effects.jobs if job.position not in positions]
    effects.cancels = [each for each in effects.cancels if each[1] not in positions]


def _key(recorded: Recorded[Event]) -> str:
    """Return what an event is parked under: itself, so that each is retried alone."""
    return f"{recorded.stream_id}@{recorded.version}"


def _passes(error: BaseException) -> bool:
    return isinstance(error, Unavailable | Conflict | TooMany) or is_transient(error)


async def _all(doing: Sequence[Awaitable[None]]) -> None:
    """Wait for all, and raise the first error once none is running any more."""
    results = await asyncio.gather(*doing, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _either(*waits: Awaitable[object]) -> None:
    """Return when the first of several waits is over, and raise if it failed."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
