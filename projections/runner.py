"""Feeds a group's read tables from the log: page, project, merge, write, checkpoint.

A page is one transaction: first the checkpoint moves by compare-and-set under the
fence of the lease, then the page's changes are written. So every event counts exactly
once, whichever process dies when. The next page is read and decoded while this one is
being written.

Where a page fails because of its data, it is fed again in halves, in one transaction
with savepoints, down to the events that cannot be applied; those are parked with their
keys (see `projections.parking`) and the rest of the page counts. Where it fails because
the database is away, it is fed again from the checkpoint, whatever became of it.
Anything else is a defect and ends the feeder.
"""

import asyncio
import gc
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from events.catalogue import tag
from events.errors import Missing
from events.message import Event, Recorded
from projections import builds, parking
from projections.builds import OutdatedCodeError
from projections.checkpoints import Feed, hold, move, position_of, rearrange
from projections.copying import fill
from projections.leasing import TTL, Lease, LeaseLostError, leased
from projections.parking import (
    Parked,
    UnprojectableError,
    is_poison,
    is_transient,
    told,
)
from projections.projection import Group, Projection
from projections.rows import Changes
from projections.sql import Pool, Session, Sql
from projections.writing import Target


PAGE: Final = 5_000  # events
IDLE: Final = 1.0  # seconds between two looks at a log that rings no bell
FIRST_PAUSE: Final = 0.1  # seconds before a page is fed again after an interruption
LAST_PAUSE: Final = 5.0
ELSEWHERE: Final = 0.05  # seconds between two looks at who else holds the lease

Events = Sequence[Recorded[Event]]
Key = Callable[[Recorded[Event]], str]
Targets = Mapping[str, Sequence[Target]]

log = structlog.get_logger()


class AheadOfLogError(Exception):
    """The read tables show events that the log does not have."""


class Source(Protocol):
    """What is needed of the log; an `EventLog` satisfies it."""

    async def read(self, after: int, limit: int = 1000) -> Events:
        """Return the events at positions `after + 1 ...`, at most `limit`, in order."""
        ...

    async def wait(self, after: int, *, seconds: float) -> int:
        """Return the head's position once it is above `after`, or after `seconds`."""
        ...


@dataclass
class Layout:
    """What is fed, and which keys and events are left out, as of a checkpoint row."""

    number: int
    targets: Targets
    diverted: set[str]
    skipped: frozenset[int]


def spare_collector() -> None:
    """Let the garbage collector look seldom, in a process whose work is feeding.

    A page is thousands of objects that die together without cycles; looking for cycles
    among them takes as long as feeding them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def by_stream(recorded: Recorded[Event]) -> str:
    """Return the stream of an event: the key that is parked unless told otherwise."""
    return recorded.stream_id


@dataclass(frozen=True, kw_only=True)
class Skip:
    """The decision to leave an event out."""

    by: str
    reason: str


class Feeder:
    """Feeds projections from the log under one checkpoint.

    `load(sql, position)` returns the tables to feed, in the feeder's transaction.
    Events that the feed `given` has skipped are left out as well.
    """

    def __init__(
        self,
        feed: Feed,
        projections: Iterable[Projection],
        load: Callable[[Sql, int], Awaitable[Targets]],
        *,
        key: Key = by_stream,
        given: Feed | None = None,
    ) -> None:
        self.feed = feed
        self._load = load
        self._key = key
        self._skipping = (feed,) if given is None else (feed, given)
        self._layout: Layout | None = None
        self._projections = {each.name: each for each in projections}
        self._filling = {
            name: each
            for name, each in self._projections.items()
            if each.fill is not None
        }
        self._routes: dict[type[Event], list[str]] = {}
        for name, projection in self._projections.items():
            for kind in projection.events:
                self._routes.setdefault(kind, []).append(name)

    async def page(
        self, session: Session, lease: Lease, events: Events, upto: int
    ) -> None:
        """Feed a page that ends at `upto`, and move the checkpoint there.

        Raises `LeaseLostError` where another feeder has taken over.
        """
        began = perf_counter()
        wanted = [event for event in events if type(event.event) in self._routes]
        try:
            changes = await self._whole(session, lease, wanted, upto)
        except Exception as error:
            self._layout = None
            if not is_poison(error):
                raise
            changes = await self._halves(session, lease, wanted, upto)
        lease.position = upto
        log.info(
            "batch_projected",
            feed=str(self.feed),
            position=upto,
            events=len(events),
            changes=changes,
            seconds=round(perf_counter() - began, 6),
        )

    async def retry(
        self, session: Session, source: Source, key: str, skip: Skip | None = None
    ) -> Sequence[Parked]:
        """Apply a key's parked events in order, and return those that stay parked.

        With `skip` the first of them is left out, on record. The feed is held
        meanwhile, so that no later event of the key gets between them.
        """
        async with session.transaction():
            position = await hold(session, self.feed)
            taken = await parking.lift(session, self.feed, key)
            if position is None or not taken:
                message = f"{self.feed} has nothing parked under {key!r}"
                raise Missing(message)
            if skip is not None:
                by, reason = skip.by, skip.reason
                await parking.skip(session, self.feed, taken[0], by=by, reason=reason)
            layout = await self._read_layout(session, 0, position)
            attempts = {each.position: each.attempts for each in taken}
            events = await _at(source, list(attempts))
            await self._sift(session, layout, events, attempts)
            await rearrange(session, self.feed)
            return await parking.under(session, self.feed, key)

    async def _whole(
        self, session: Session, lease: Lease, events: Events, upto: int
    ) -> int:
        """Feed a page on the assumption that all of it can be applied."""
        layout = self._layout
        flowing, waiting = self._part(events, layout)
        batches = self._project(flowing)
        async with session.transaction():
            number = await self._move(session, lease, upto)
            if layout is None or layout.number != number:
                layout = await self._read_layout(session, number, lease.position)
                flowing, waiting = self._part(events, layout)
                batches = self._project(flowing)
            changes = await self._fill(session, layout, flowing)
            changes += await self._write(session, layout, batches)
            await self._park(session, waiting)
        self._layout = layout
        return changes

    async def _halves(
        self, session: Session, lease: Lease, events: Events, upto: int
    ) -> int:
        """Feed a page of which something cannot be applied."""
        async with session.transaction():
            number = await self._move(session, lease, upto)
            layout = await self._read_layout(session, number, lease.position)
            changes = await self._sift(session, layout, events, {})
            await rearrange(session, self.feed)
        return changes

    async def _sift(
        self,
        session: Session,
        layout: Layout,
        events: Events,
        attempts: Mapping[int, int],
    ) -> int:
        """Apply what can be, in order, and park the rest with its keys."""
        flowing, waiting = self._part(events, layout)
        await self._park(session, waiting)
        if not flowing:
            return 0
        try:
            async with session.transaction():
                filled = await self._fill(session, layout, flowing)
                changes = self._project(flowing)
                return filled + await self._write(session, layout, changes)
        except Exception as error:
            if not is_poison(error):
                raise
            if len(flowing) == 1:
                await self._divert(session, layout, flowing[0], error, attempts)
                return 0
        middle = len(flowing) // 2
        first = await self._sift(session, layout, flowing[:middle], attempts)
        return first + await self._sift(session, layout, flowing[middle:], attempts)

    async def _divert(
        self,
        session: Session,
        layout: Layout,
        recorded: Recorded[Event],
        error: Exception,
        attempts: Mapping[int, int],
    ) -> None:
        key, text = self._key(recorded), told(error)
        tried = attempts.get(recorded.position, 0) + 1
        await parking.divert(session, self.feed, key, recorded.position)
        await parking.park(
            session, self.feed, [(key, recorded)], error=text, attempts=tried
        )
        layout.diverted.add(key)
        log.error(
            "event_parked",
            feed=str(self.feed),
            position=recorded.position,
            event_type=tag(type(recorded.event)),
            key=key,
            attempts=tried,
            error=text,
        )

    def _part(self, events: Events, layout: Layout | None) -> tuple[Events, Events]:
        """Return the events to apply and those that wait behind a parked one."""
        if layout is None:
            return (), ()
        if layout.skipped:
            events = [each for each in events if each.position not in layout.skipped]
        if not layout.diverted:
            return events, ()
        flowing: list[Recorded[Event]] = []
        waiting: list[Recorded[Event]] = []
        for event in events:
            diverted = self._key(event) in layout.diverted
            (waiting if diverted else flowing).append(event)
        return flowing, waiting

    def _project(self, events: Events) -> Mapping[str, Changes]:
        batches: dict[str, list[Recorded[Event]]] = {}
        for event in events:
            for name in self._routes[type(event.event)]:
                batch = batches.get(name)
                if batch is None:
                    batches[name] = [event]
                else:
                    batch.append(event)
        collected = {}
        for name, batch in batches.items():
            projection = self._projections[name]
            changes = collected[name] = Changes(projection.table)
            try:
                projection.project(batch, changes)
            except Exception as error:
                raise UnprojectableError(name) from error
        return collected

    async def _fill(self, sql: Sql, layout: Layout, events: Events) -> int:
        """Copy what bodies hold into the tables that get their rows so."""
        wanted = [
            (projection, target)
            for name, projection in self._filling.items()
            for target in layout.targets.get(name, ())
        ]
        return await fill(sql, wanted, events) if wanted else 0

    async def _write(
        self, sql: Sql, layout: Layout, collected: Mapping[str, Changes]
    ) -> int:
        written = 0
        for name, changes in collected.items():
            for target in layout.targets.get(name, ()):
                written += await target.write(sql, changes)
        return written

    async def _park(self, sql: Sql, waiting: Events) -> None:
        if waiting:
            pairs = [(self._key(event), event) for event in waiting]
            await parking.park(sql, self.feed, pairs)

    async def _move(self, sql: Sql, lease: Lease, upto: int) -> int:
        number = await move(
            sql, self.feed, old=lease.position, new=upto, fence=lease.fence
        )
        if number is None:
            message = f"{self.feed} is not at {lease.position} with {lease.fence}"
            raise LeaseLostError(message)
        return number

    async def _read_layout(self, sql: Sql, number: int, position: int) -> Layout:
        return Layout(
            number=number,
            targets=await self._load(sql, position),
            diverted=set(await parking.keys(sql, self.feed)),
            skipped=await parking.skipped(sql, *self._skipping),
        )


class Runner:
    """Runs a feeder under a lease, through interruptions and takeovers.

    Every process that may feed has an `owner` of its own. The pool needs two
    connections for each runner.
    """

    def __init__(
        self,
        feeder: Feeder,
        source: Source,
        pool: Pool,
        *,
        owner: UUID,
        ttl: timedelta = TTL,
        page: int = PAGE,
    ) -> None:
        self._feeder = feeder
        self._source = source
        self._pool = pool
        self._owner = owner
        self._ttl = ttl
        self._page = page

    async def run(self, stop: asyncio.Event) -> None:
        """Feed until told to stop; finish the page in hand, and give the lease back."""
        pause = FIRST_PAUSE
        while not stop.is_set():
            try:
                if await self._hold_lease(stop):
                    pause = FIRST_PAUSE
                else:
                    await _either(stop.wait(), _pause(self._ttl.total_seconds() / 3))
            except OutdatedCodeError as error:
                log.warning(
                    "code_outdated", feed=str(self._feeder.feed), error=str(error)
                )
                await _either(stop.wait(), _pause(self._ttl.total_seconds()))
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning(
                    "projection_interrupted",
                    feed=str(self._feeder.feed),
                    error=told(error),
                )
                await _either(stop.wait(), _pause(pause))
                pause = min(pause * 2, LAST_PAUSE)

    async def catch_up(
        self, upto: int, progress: Callable[[int], None] | None = None
    ) -> int:
        """Return the feed's position once it is at `upto`, which the log must reach.

        Feeds under the lease, or waits while another process does. `progress` is told
        the position after each page.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                position = await self._reach(upto, progress)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning(
                    "projection_interrupted",
                    feed=str(self._feeder.feed),
                    error=told(error),
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, LAST_PAUSE)
                continue
            if position >= upto:
                return position
            await asyncio.sleep(ELSEWHERE)

    async def _hold_lease(self, stop: asyncio.Event) -> bool:
        """Feed while the lease is ours; return whether it ever was."""
        feeder, source = self._feeder, self._source
        async with leased(
            self._pool, feeder.feed, owner=self._owner, ttl=self._ttl
        ) as lease:
            if lease is None:
                return False
            await self._check_head(lease)
            async with self._pool.acquire() as session:
                while not (stop.is_set() or lease.lost.is_set()):
                    await self._feed(session, lease, None, stop=stop)
                    await _either(
                        source.wait(lease.position, seconds=IDLE),
                        stop.wait(),
                        lease.lost.wait(),
                    )
        return True

    async def _check_head(self, lease: Lease) -> None:
        head = await self._source.wait(lease.position, seconds=0)
        if head < lease.position:
            message = (
                f"{self._feeder.feed} is at {lease.position} and the log ends at "
                f"{head}: the log was restored without its read tables"
            )
            raise AheadOfLogError(message)

    async def _reach(self, upto: int, progress: Callable[[int], None] | None) -> int:
        feeder = self._feeder
        async with self._pool.acquire() as session:
            position = await position_of(session, feeder.feed)
        if position >= upto:
            return position
        async with (
            leased(self._pool, feeder.feed, owner=self._owner, ttl=self._ttl) as lease,
            self._pool.acquire() as session,
        ):
            if lease is None:
                return await position_of(session, feeder.feed)
            await self._feed(session, lease, upto, progress=progress)
            return lease.position

    async def _feed(
        self,
        session: Session,
        lease: Lease,
        upto: int | None,
        *,
        stop: asyncio.Event | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Feed what the log has, up to a position."""
        reading = pages(self._source, lease.position, upto=upto, limit=self._page)
        async with aclosing(reading):
            async for page in reading:
                try:
                    await self._feeder.page(session, lease, page, page[-1].position)
                except LeaseLostError:
                    lease.lost.set()
                    log.warning("lease_lost", feed=str(self._feeder.feed))
                    return
                if progress is not None:
                    progress(lease.position)
                if stop is not None and stop.is_set():
                    return


class GroupRunner(Runner):
    """Feeds a group's live read tables, and those that are kept beside them."""

    def __init__(
        self,
        group: Group,
        source: Source,
        pool: Pool,
        *,
        owner: UUID,
        ttl: timedelta = TTL,
        page: int = PAGE,
        key: Key = by_stream,
    ) -> None:
        super().__init__(
            group_feeder(group, key=key),
            source,
            pool,
            owner=owner,
            ttl=ttl,
            page=page,
        )


def group_feeder(group: Group, *, key: Key = by_stream) -> Feeder:
    """Return the feeder of a group's tables."""
    return Feeder(
        Feed(group.name),
        group.projections,
        lambda sql, position: builds.settle(sql, group, position),
        key=key,
    )


async def pages(
    source: Source, after: int, *, upto: int | None = None, limit: int = PAGE
) -> AsyncGenerator[Events, None]:
    """Yield the pages of a log after a position, reading one ahead, to its end."""

    def size() -> int:
        return limit if upto is None else min(limit, upto - after)

    asked = size()
    reading = asyncio.ensure_future(source.read(after, asked)) if asked > 0 else None
    try:
        while reading is not None:
            page = await reading
            reading = None
            if not page:
                return
            after = page[-1].position
            full, asked = len(page) == asked, size()
            if full and asked > 0:
                reading = asyncio.ensure_future(source.read(after, asked))
            yield page
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _at(source: Source, positions: Sequence[int]) -> Events:
    """Return the events at ascending positions, a read for each unbroken run."""
    events: list[Recorded[Event]] = []
    start = 0
    for i in range(1, len(positions) + 1):
        if i == len(positions) or positions[i] != positions[i - 1] + 1:
            events.extend(await source.read(positions[start] - 1, i - start))
            start = i
    return events


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _either(*waits: Coroutine[Any, Any, object]) -> None:
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
