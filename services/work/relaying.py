"""The relay: from jobs that may run to references that wake workers.

Any number of relays may run at a time. What one has taken and did not publish is soon
offered to another; what was published and not claimed is offered again; so a reference
may be published twice, and a job never waits for a relay that died.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import structlog

from events.errors import Conflict, Failure, Refused, TooMany, Unavailable
from events.message import Command, Meta
from services.ports import Failed, Offers, Reference, Transport
from services.work.results import failure_meta


PORTION: Final = 500
IDLE: Final = 0.5  # seconds between two looks where nothing is heard
SWEEP: Final = 1.0
FIRST_PAUSE: Final = 0.1
LAST_PAUSE: Final = 2.0

OnFailure = Callable[[Failed], Command | None]
Handle = Callable[[Command, Meta], Awaitable[object]]

log = structlog.get_logger()


class Relay:
    """Publishes jobs that may run, sweeps, and tells the log which jobs have failed.

    `on_failure` gives for a kind of job the command that tells its failure.
    """

    def __init__(
        self,
        offers: Offers,
        transport: Transport,
        *,
        on_failure: Mapping[str, OnFailure],
        handle: Handle,
    ) -> None:
        self._offers = offers
        self._transport = transport
        self._on_failure = on_failure
        self._handle = handle

    async def run(self, stop: asyncio.Event) -> None:
        """Relay and sweep until told to stop, through interruptions."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._relay, stop))
            tasks.create_task(self._repeat(self._sweep, stop))

    async def relay_once(self) -> int:
        """Publish what may run now, and return how many references that were."""
        published = 0
        while offered := await self._offers.offer(PORTION):
            await self._publish(offered)
            published += len(offered)
        return published

    async def tell_failures(self) -> None:
        """Tell the log which jobs have failed, each once."""
        for failed in await self._offers.failures(PORTION):
            try:
                await self._tell(failed)
            except (Unavailable, Conflict, TooMany):
                raise
            except Exception:
                # It is told again by every sweep; the others must not wait for it.
                log.exception("failure_not_told", job_id=str(failed.job_id))
                continue
            log.error(
                "job_failed",
                kind=failed.job.kind,
                job_id=str(failed.job_id),
                key=failed.job.key,
                attempts=failed.attempts,
                error=failed.error,
            )
            await self._offers.reported([failed.job_id])

    async def _tell(self, failed: Failed) -> None:
        tell = self._on_failure.get(failed.job.kind)
        command = None if tell is None else tell(failed)
        if command is None:
            return
        try:
            await self._handle(command, failure_meta(failed))
        except Refused as refusal:
            log.info("failure_refused", job_id=str(failed.job_id), error=str(refusal))

    async def _relay(self) -> None:
        await self.relay_once()
        await self._offers.wait(seconds=IDLE)

    async def _sweep(self) -> None:
        await self._offers.sweep()
        await self.tell_failures()
        await asyncio.sleep(SWEEP)

    async def _publish(self, offered: Sequence[Reference]) -> None:
        by_kind: dict[str, list[UUID]] = {}
        for reference in offered:
            by_kind.setdefault(reference.kind, []).append(reference.job_id)
        interrupted: Unavailable | None = None
        for kind, job_ids in by_kind.items():
            kept = True
            try:
                await self._transport.publish(kind, job_ids)
            except Unavailable as error:
                kept, interrupted = False, error
            await self._offers.published(job_ids, kept=kept)
        if interrupted is not None:
            raise interrupted

    async def _repeat(
        self, step: Callable[[], Awaitable[None]], stop: asyncio.Event
    ) -> None:
        stopped = asyncio.create_task(stop.wait())
        pause = FIRST_PAUSE
        try:
            while not stopped.done():
                doing = asyncio.ensure_future(step())
                await asyncio.wait(
                    [doing, stopped], return_when=asyncio.FIRST_COMPLETED
                )
                if not doing.done():
                    doing.cancel()
                    await asyncio.gather(doing, return_exceptions=True)
                    return
                try:
                    doing.result()
                    pause = FIRST_PAUSE
                except Failure as failure:
                    log.warning("relay_interrupted", error=str(failure))
                    await asyncio.wait([stopped], timeout=pause)
                    pause = min(pause * 2, LAST_PAUSE)
        finally:
            stopped.cancel()
