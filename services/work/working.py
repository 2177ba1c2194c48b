"""The worker: takes a slot, receives a reference, claims the job, acks, and runs it.

The reference is acked once the claim is decided: from then on the lease stands for it.
The lease is renewed at a third of its time; when it is taken over, or cannot be renewed
for as long as it lasts, the run is cancelled, and the log refuses what it may still be
appending. A run returns when its result is in the log; then the job is closed. If it
raises, the job is given back, to be tried again after a pause that doubles each time.

A worker that is free and receives nothing for long has what was offered before and not
claimed offered again: a transport may have lost it.

Told to stop, a worker takes nothing more, lets what runs finish for `grace` seconds,
and hands back what has not.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
)
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, Final, Generic, Literal, TypeVar
from uuid import UUID

import structlog

from events.errors import Failure, Fenced, Unavailable
from services import log_context
from services.ports import Clock, Delivery, Lease, Transport, Work


TTL: Final = timedelta(seconds=30)
GRACE: Final = 20.0
SILENCE: Final = timedelta(seconds=5)
FIRST_PAUSE: Final = 0.1  # seconds before the database is asked again
LAST_PAUSE: Final = 2.0

Tools = TypeVar("Tools")
Outcome = Literal["done", "failed", "lost", "handed_back"]

log = structlog.get_logger()


class ConsumerEndedError(Exception):
    """A transport stopped delivering, which it never should."""


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[Tools]):
    """How jobs of a kind are run, and how many at a time.

    `run(lease, tools)` returns once the job's result is in the log, appended with
    `lease.token` as its fence. Its units are small: another attempt goes on from what
    is in the log. After attempt n that failed, the next comes `first_pause * 2^(n-1)`
    later, and at most `last_pause`.
    """

    name: str
    run: Callable[[Lease, Tools], Awaitable[None]]
    slots: int = 4
    ttl: timedelta = TTL
    first_pause: timedelta = timedelta(seconds=1)
    last_pause: timedelta = timedelta(minutes=5)

    def pause(self, attempt: int) -> timedelta:
        """Return how long after an attempt that failed the next may come."""
        return min(self.first_pause * (1 << min(attempt - 1, 30)), self.last_pause)


class Worker(Generic[Tools]):
    """Runs jobs of several kinds until told to stop."""

    def __init__(
        self,
        kinds: Iterable[Kind[Tools]],
        tools: Tools,
        *,
        work: Work,
        transport: Transport,
        owner: UUID,
        clock: Clock,
        grace: float = GRACE,
        silence: timedelta = SILENCE,
    ) -> None:
        self._kinds = list(kinds)
        self._tools = tools
        self._work = work
        self._transport = transport
        self._owner = owner
        self._clock = clock
        self._grace = grace
        self._silence = silence
        self._busy: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """Return how many slots are taken."""
        return len(self._busy)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, then finish or hand back what runs."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for kind in self._kinds:
                    tasks.create_task(self._consume(kind, stop), name=kind.name)
        finally:
            await self._drain()

    async def _consume(self, kind: Kind[Tools], stop: asyncio.Event) -> None:
        slots = asyncio.Semaphore(kind.slots)
        # One unacked at a time: what a busy worker has received, no other can run.
        deliveries = self._transport.deliveries(kind.name, slots=1)
        async with aclosing(deliveries):
            while await _unless(stop, slots.acquire()) is not None:
                delivery = await _unless(stop, self._next(deliveries, kind.name))
                if delivery is None:
                    return
                busy = asyncio.create_task(self._take(kind, delivery))
                self._busy.add(busy)
                busy.add_done_callback(lambda task: self._free(task, slots))

    async def _next(
        self, deliveries: AsyncGenerator[Delivery, None], kind: str
    ) -> Delivery:
        """Return the next delivery; where none comes, ask for what may be lost."""
        waiting = asyncio.ensure_future(_first(deliveries, kind))
        try:
            while not waiting.done():
                seconds = self._silence.total_seconds()
                done, _ = await asyncio.wait([waiting], timeout=seconds)
                if not done:
                    await self._recall(kind)
            return waiting.result()
        finally:
            await _cancel(waiting)

    async def _recall(self, kind: str) -> None:
        try:
            recalled = await self._work.recall(kind, since=self._silence)
        except Unavailable as error:
            log.warning("work_unavailable", error=str(error))
            return
        if recalled:
            log.warning("references_recalled", kind=kind, count=recalled)

    def _free(self, task: asyncio.Task[None], slots: asyncio.Semaphore) -> None:
        self._busy.discard(task)
        slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("slot_broken", exc_info=error)

    async def _drain(self) -> None:
        if self._busy:
            await asyncio.wait(self._busy, timeout=self._grace)
        for task in self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy)

    async def _take(self, kind: Kind[Tools], delivery: Delivery) -> None:
        lease = await _persistently(
            lambda: self._work.claim(delivery.job_id, owner=self._owner, ttl=kind.ttl)
        )
        await delivery.ack()
        if lease is None:
            log.debug("job_not_claimed", kind=kind.name, job_id=str(delivery.job_id))
            return
        began = monotonic()
        outcome: Outcome = "handed_back"
        error: BaseException | None = None
        with log_context.bound(
            job_id=str(lease.job_id), correlation_id=str(lease.job.correlation_id)
        ):
            try:
                outcome, error = await self._work_on(kind, lease)
            finally:
                _tell(kind.name, lease, outcome, monotonic() - began, error)

    async def _work_on(
        self, kind: Kind[Tools], lease: Lease
    ) -> tuple[Outcome, BaseException | None]:
        """Run a job under its lease, and settle it."""
        running = asyncio.ensure_future(kind.run(lease, self._tools))
        renewing = asyncio.create_task(self._renew(lease, kind.ttl))
        try:
            await asyncio.wait([running, renewing], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _cancel(running)
            await _cancel(renewing)
            await self._settle(lambda: self._work.hand_back(lease), kind.ttl)
            raise
        if not running.done():
            await _cancel(running)
            return "lost", renewing.exception()
        await _cancel(renewing)
        error = _error_of(running)
        if error is None:
            await self._settle(lambda: self._work.close(lease), kind.ttl)
            return "done", None
        if isinstance(error, Fenced):
            return "lost", error
        again_at = self._clock() + kind.pause(lease.attempt)
        text = f"{type(error).__name__}: {error}"
        await self._settle(
            lambda: self._work.fail(lease, error=text, again_at=again_at), kind.ttl
        )
        return "failed", error

    async def _renew(self, lease: Lease, ttl: timedelta) -> None:
        """Renew a lease for ever; return, or raise `Fenced`, when it is lost."""
        seconds = ttl.total_seconds()
        held_until = monotonic() + seconds
        while monotonic() < held_until:
            await asyncio.sleep(seconds / 3)
            asked = monotonic()
            try:
                async with asyncio.timeout(seconds / 3):
                    await self._work.renew(lease, ttl=ttl)
            except (Unavailable, TimeoutError) as error:
                log.warning(
                    "lease_not_renewed", job_id=str(lease.job_id), error=str(error)
                )
            else:
                held_until = asked + seconds

    async def _settle(
        self, tell: Callable[[], Awaitable[None]], ttl: timedelta
    ) -> None:
        """Tell what became of a job; if that fails for long its lease expires."""
        try:
            async with asyncio.timeout(ttl.total_seconds()):
                await _persistently(tell)
        except TimeoutError:
            log.warning("job_not_settled")


T = TypeVar("T")


async def _first(deliveries: AsyncGenerator[Delivery, None], kind: str) -> Delivery:
    try:
        return await anext(deliveries)
    except StopAsyncIteration:
        raise ConsumerEndedError(kind) from None


async def _persistently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the database answers."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await ask()
        except Unavailable as error:
            log.warning("work_unavailable", error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)


async def _unless(stop: asyncio.Event, wait: Coroutine[Any, Any, T]) -> T | None:
    """Return what a wait gives, or None, and end it, when it is time to stop."""
    waiting = asyncio.ensure_future(wait)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        await _cancel(waiting)
        await _cancel(stopping)


def _error_of(run: asyncio.Future[None]) -> BaseException | None:
    """Return what a run raised; one that cancelled itself counts as an error."""
    return asyncio.CancelledError() if run.cancelled() else run.exception()


async def _cancel(task: asyncio.Future[Any]) -> None:
    """End a task and wait for that; what it raised is not wanted any more."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def _tell(
    kind: str, lease: Lease, outcome: str, seconds: float, error: BaseException | None
) -> None:
    """Log the one line of a job."""
    known = error is None or isinstance(error, Failure)
    tell = log.info if outcome in {"done", "handed_back"} else log.warning
    tell(
        "job_finished",
        kind=kind,
        key=lease.job.key,
        org_id=lease.job.org_id,
        position=lease.job.position,
        attempt=lease.attempt,
        fence=lease.fence,
        outcome=outcome,
        seconds=round(seconds, 6),
        error=None if error is None else f"{type(error).__name__}: {error}",
        exc_info=None if known else error,
    )
