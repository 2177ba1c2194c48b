"""The relay: tells other services what happened, in the order of the log.

It reads the log from its checkpoint and publishes page by page. The checkpoint moves
once the broker has confirmed the page, under the fence of a lease, so one of all relays
is at work and another takes over where it was. After an interruption what was sent
since the checkpoint is sent again, in order: each event arrives at least once.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import aclosing
from datetime import timedelta
from time import perf_counter
from typing import Final, Protocol
from uuid import UUID

import structlog

from events.errors import Unavailable
from events.message import Event, Recorded
from projections.checkpoints import Feed, begin, move
from projections.leasing import TTL, Lease, LeaseLostError, leased
from projections.parking import is_transient, told
from projections.runner import Source, pages
from projections.sql import Pool, Session
from services.telling.cloudevents import CloudEvent, cloud_event


FEED: Final = Feed("relay")
PAGE: Final = 200
FIRST_PAUSE: Final = 0.1
LAST_PAUSE: Final = 5.0
IDLE: Final = 1.0  # seconds between two looks at a log that rings no bell

log = structlog.get_logger()


class Outlet(Protocol):
    """Where events are published."""

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Return when all are kept, sent in order, or raise `Unavailable`."""
        ...


class EventRelay:
    """Publishes a log; the pool needs two connections."""

    def __init__(
        self,
        source: Source,
        pool: Pool,
        outlet: Outlet,
        *,
        owner: UUID,
        ttl: timedelta = TTL,
        page: int = PAGE,
    ) -> None:
        self._source = source
        self._pool = pool
        self._outlet = outlet
        self._owner = owner
        self._ttl = ttl
        self._page = page

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until told to stop, and give the lease back."""
        pause = FIRST_PAUSE
        while not stop.is_set():
            try:
                if await self._hold_lease(stop):
                    pause = FIRST_PAUSE
                else:
                    wait = self._ttl.total_seconds() / 3
                    await _either(stop.wait(), asyncio.sleep(wait))
            except Exception as error:
                if not (isinstance(error, Unavailable) or is_transient(error)):
                    raise
                log.warning("relay_interrupted", error=told(error))
                await _either(stop.wait(), asyncio.sleep(pause))
                pause = min(pause * 2, LAST_PAUSE)

    async def _hold_lease(self, stop: asyncio.Event) -> bool:
        async with self._pool.acquire() as session:
            await begin(session, FEED)
        async with leased(self._pool, FEED, owner=self._owner, ttl=self._ttl) as lease:
            if lease is None:
                return False
            async with self._pool.acquire() as session:
                while not (stop.is_set() or lease.lost.is_set()):
                    await self._feed(session, lease, stop)
                    await _either(
                        self._source.wait(lease.position, seconds=IDLE),
                        stop.wait(),
                        lease.lost.wait(),
                    )
        return True

    async def _feed(self, session: Session, lease: Lease, stop: asyncio.Event) -> None:
        reading = pages(self._source, lease.position, limit=self._page)
        async with aclosing(reading):
            async for page in reading:
                try:
                    await self._publish(session, lease, page)
                except LeaseLostError:
                    lease.lost.set()
                    log.warning("lease_lost", feed=str(FEED))
                if stop.is_set() or lease.lost.is_set():
                    return

    async def _publish(
        self, session: Session, lease: Lease, page: Sequence[Recorded[Event]]
    ) -> None:
        began = perf_counter()
        await self._outlet.publish([cloud_event(recorded) for recorded in page])
        upto = page[-1].position
        async with session.transaction():
            moved = await move(
                session, FEED, old=lease.position, new=upto, fence=lease.fence
            )
            if moved is None:
                message = f"{FEED} is not at {lease.position} with {lease.fence}"
                raise LeaseLostError(message)
        lease.position = upto
        log.info(
            "batch_published",
            position=upto,
            events=len(page),
            seconds=round(perf_counter() - began, 6),
        )


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
