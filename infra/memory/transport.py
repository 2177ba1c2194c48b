"""References to jobs in memory: the same promises as a broker's, for one process."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from events.errors import Unavailable


class MemoryQueues:
    """What transports of one process share; `away` refuses what is published."""

    def __init__(self) -> None:
        self.away = False
        self._queues: defaultdict[str, deque[UUID]] = defaultdict(deque)
        self._consumers: set[MemoryConsumer] = set()

    def put(self, kind: str, job_ids: Sequence[UUID]) -> None:
        """Keep references."""
        self._queues[kind].extend(job_ids)
        self._wake(kind)

    def take(self, kind: str) -> UUID | None:
        """Return the next reference of a kind, if any."""
        queue = self._queues[kind]
        return queue.popleft() if queue else None

    def join(self, consumer: "MemoryConsumer") -> None:
        """Let a consumer be woken."""
        self._consumers.add(consumer)

    def leave(self, consumer: "MemoryConsumer") -> None:
        """Take back what a consumer holds, and wake it no more."""
        self._consumers.discard(consumer)
        self._take_back(consumer)

    def cut(self) -> None:
        """Take back what anybody holds, as if all connections were lost."""
        for consumer in list(self._consumers):
            self._take_back(consumer)

    def _take_back(self, consumer: "MemoryConsumer") -> None:
        held = [delivery.job_id for delivery in consumer.held]
        consumer.held.clear()
        self._queues[consumer.kind].extendleft(reversed(held))
        self._wake(consumer.kind)

    def _wake(self, kind: str) -> None:
        for consumer in self._consumers:
            if consumer.kind == kind:
                consumer.changed.set()


class MemoryConsumer:
    """Takes references of a kind and holds at most `slots` of them."""

    def __init__(self, queues: MemoryQueues, kind: str, *, slots: int) -> None:
        self.kind = kind
        self.held: list[MemoryDelivery] = []
        self.changed = asyncio.Event()
        self._queues = queues
        self._slots = slots

    async def next(self) -> "MemoryDelivery":
        """Return the next reference, once there is one and a slot for it."""
        while True:
            self.changed.clear()
            if not self._queues.away and len(self.held) < self._slots:
                job_id = self._queues.take(self.kind)
                if job_id is not None:
                    delivery = MemoryDelivery(self, job_id)
                    self.held.append(delivery)
                    return delivery
            await self.changed.wait()


class MemoryDelivery:
    """A reference that a consumer holds."""

    def __init__(self, consumer: MemoryConsumer, job_id: UUID) -> None:
        self._consumer = consumer
        self._job_id = job_id

    @property
    def kind(self) -> str:
        """Return the job's kind."""
        return self._consumer.kind

    @property
    def job_id(self) -> UUID:
        """Return the job's id."""
        return self._job_id

    async def ack(self) -> None:
        """Say that the message needs no redelivery."""
        if self in self._consumer.held:
            self._consumer.held.remove(self)
            self._consumer.changed.set()


class MemoryTransport:
    """A `Transport` that lives and ends with the process."""

    def __init__(self, queues: MemoryQueues) -> None:
        self._queues = queues

    async def publish(self, kind: str, job_ids: Sequence[UUID]) -> None:
        """Return when every reference is kept, or raise `Unavailable`."""
        if self._queues.away:
            raise Unavailable
        self._queues.put(kind, job_ids)

    async def deliveries(
        self, kind: str, *, slots: int
    ) -> AsyncGenerator[MemoryDelivery, None]:
        """Yield deliveries for ever; closing gives back."""
        consumer = MemoryConsumer(self._queues, kind, slots=slots)
        self._queues.join(consumer)
        try:
            while True:
                yield await consumer.next()
        finally:
            self._queues.leave(consumer)
