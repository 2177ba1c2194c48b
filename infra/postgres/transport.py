"""References to jobs, carried by PostgreSQL where no broker is.

A published reference is a row of es.deliveries until it is acked. A consumer takes rows
with SKIP LOCKED for the time `hold`, under a new token, and extends that while it
lives; what it has not acked is free again when it closes, when it loses its connection,
or when its time has passed. Consumers are woken by the chime, and look for themselves
at intervals that grow up to `LONGEST`. Only publishing waits for the disk: what a crash
undoes of the rest is delivered again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from events.errors import Unavailable
from infra.postgres.chime import Chime, open_chime
from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool, open_pool


HOLD: Final = timedelta(seconds=10)
SHORTEST: Final = 0.05
LONGEST: Final = 1.0

PUBLISH: Final = "SELECT es.publish_references_v1($1, $2::uuid[])"
TAKE: Final = "SELECT job_id, token FROM es.take_references_v1($1, $2, $3)"
ACK: Final = """
DELETE FROM es.deliveries
 WHERE job_id = $1
   AND token = $2
RETURNING set_config('synchronous_commit', 'off', true)
"""
EXTEND: Final = """
UPDATE es.deliveries AS held
   SET free_at = clock_timestamp() + $3::interval
  FROM unnest($1::uuid[], $2::uuid[]) AS ours (job_id, token)
 WHERE held.job_id = ours.job_id
   AND held.token = ours.token
"""
FREE: Final = """
UPDATE es.deliveries AS held
   SET free_at = clock_timestamp(),
       token = NULL
  FROM unnest($1::uuid[], $2::uuid[]) AS ours (job_id, token)
 WHERE held.job_id = ours.job_id
   AND held.token = ours.token
"""

log: Final = structlog.get_logger()


class PostgresDelivery:
    """A reference that a consumer holds."""

    def __init__(self, consumer: "Consumer", job_id: UUID, token: UUID) -> None:
        self._consumer = consumer
        self._job_id = job_id
        self._token = token

    @property
    def kind(self) -> str:
        """Return the job's kind."""
        return self._consumer.kind

    @property
    def job_id(self) -> UUID:
        """Return the job's id."""
        return self._job_id

    async def ack(self) -> None:
        """Say that the message needs no redelivery; best effort, never an error."""
        await self._consumer.ack(self._job_id, self._token)


class PostgresTransport:
    """A `Transport` on the table es.deliveries; `open_transport` makes one."""

    def __init__(self, pool: Pool, chime: Chime, *, hold: timedelta = HOLD) -> None:
        self._pool = pool
        self._chime = chime
        self._hold = hold

    async def publish(self, kind: str, job_ids: Sequence[UUID]) -> None:
        """Return when every reference is kept, or raise `Unavailable`."""
        if not job_ids:
            return
        with reaching_database():
            await self._pool.execute(PUBLISH, kind, job_ids)
        self._chime.call(kind)

    async def deliveries(
        self, kind: str, *, slots: int
    ) -> AsyncGenerator[PostgresDelivery, None]:
        """Yield deliveries for ever, through reconnections; closing gives back."""
        consumer = Consumer(self._pool, self._chime, kind, slots=slots, hold=self._hold)
        try:
            while True:
                yield await consumer.next()
        finally:
            await consumer.close()


class Consumer:
    """Takes references of a kind and holds at most `slots` of them."""

    def __init__(
        self, pool: Pool, chime: Chime, kind: str, *, slots: int, hold: timedelta
    ) -> None:
        self.kind = kind
        self._pool = pool
        self._chime = chime
        self._slots = slots
        self._hold = hold
        self._held: set[tuple[UUID, UUID]] = set()
        self._ready: deque[tuple[UUID, UUID]] = deque()
        self._acked = asyncio.Event()
        self._losses = chime.losses
        self._holding = asyncio.create_task(self._keep(), name=f"hold {kind}")

    async def next(self) -> PostgresDelivery:
        """Return the next reference, once there is one and a slot for it."""
        pause = SHORTEST
        while not self._ready:
            free = self._slots - len(self._held)
            if free <= 0:
                self._acked.clear()
                await self._acked.wait()
                continue
            heard = self._chime.heard(self.kind)
            try:
                taken = await self._take(free)
            except Unavailable as error:
                log.warning("references_not_taken", kind=self.kind, error=str(error))
                taken = []
            if taken:
                self._ready.extend(taken)
                self._held.update(taken)
            else:
                await self._chime.wait(self.kind, heard, seconds=pause)
                again = self._chime.heard(self.kind) != heard
                pause = SHORTEST if again else min(pause * 2, LONGEST)
        return PostgresDelivery(self, *self._ready.popleft())

    async def ack(self, job_id: UUID, token: UUID) -> None:
        """Delete a reference that is still held."""
        if (job_id, token) not in self._held:
            return
        try:
            with reaching_database():
                await self._pool.execute(ACK, job_id, token)
        except Unavailable as error:
            log.warning("reference_not_acked", job_id=str(job_id), error=str(error))
        finally:
            self._held.discard((job_id, token))
            self._acked.set()

    async def close(self) -> None:
        """Give back what is not acked."""
        self._holding.cancel()
        await asyncio.gather(self._holding, return_exceptions=True)
        await asyncio.shield(self._give_back())

    async def _take(self, free: int) -> list[tuple[UUID, UUID]]:
        with reaching_database():
            rows = await self._pool.fetch(TAKE, self.kind, free, self._hold)
        return [(job_id, token) for job_id, token in rows]

    async def _keep(self) -> None:
        """Extend the time of what is held, until the connection is lost."""
        pause = self._hold.total_seconds() / 3
        while True:
            await asyncio.sleep(pause)
            if self._chime.losses != self._losses:
                self._losses = self._chime.losses
                await self._give_back()
            elif self._held:
                await self._tell(EXTEND, self._hold)

    async def _give_back(self) -> None:
        held = self._held
        self._ready.clear()
        if held:
            await self._tell(FREE)
            self._held = set()
            self._acked.set()
            self._chime.call(self.kind)

    async def _tell(self, statement: str, *more: object) -> None:
        held = sorted(self._held)
        try:
            with reaching_database():
                await self._pool.execute(
                    statement,
                    [job_id for job_id, _ in held],
                    [token for _, token in held],
                    *more,
                )
        except Unavailable as error:
            log.warning("references_not_held", kind=self.kind, error=str(error))


@asynccontextmanager
async def open_transport(
    dsn: str,
    *,
    direct_dsn: str | None = None,
    hold: timedelta = HOLD,
    connections: int = 4,
    application_name: str = "rehearsal transport",
) -> AsyncIterator[PostgresTransport]:
    """Open a transport of the role `rehearsal_app`, with connections of its own.

    `direct_dsn` is an address without a pooler between, for LISTEN.
    """
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            await open_pool(
                dsn,
                min_size=1,
                max_size=connections,
                application_name=application_name,
            )
        )
        chime = await stack.enter_async_context(
            open_chime(pool, direct_dsn or dsn, application_name=application_name)
        )
        yield PostgresTransport(pool, chime, hold=hold)
