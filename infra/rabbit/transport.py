"""The transport over RabbitMQ: one quorum queue for each kind of work.

A message names a job and holds nothing of it, so that it may be lost to the dead queue
or arrive twice without harm to the job. Publishing and consuming have a connection
each: the broker blocks publishers while it is short of memory or disk, and consumers
must go on, for they relieve it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec
import structlog

from events.errors import Unavailable
from infra.rabbit.connection import Link
from infra.rabbit.consumer import Received, receive
from infra.rabbit.publisher import PATIENCE_SECONDS, Outgoing, Publisher
from infra.rabbit.topology import Topology
from services.ports import Reference


REASON: Final = "x-reason"

_log: Final = structlog.get_logger()


@dataclass(frozen=True)
class RabbitDelivery:
    """A reference that was received, to be acknowledged."""

    kind: str
    job_id: UUID
    received: Received

    async def ack(self) -> None:
        """Say that the message needs no redelivery."""
        await self.received.ack()


class RabbitTransport:
    """A `Transport` over two links."""

    def __init__(
        self, *, publisher: Publisher, consuming: Link, topology: Topology
    ) -> None:
        self._publisher = publisher
        self._consuming = consuming
        self._topology = topology

    async def publish(self, kind: str, job_ids: Sequence[UUID]) -> None:
        """Return when every reference is kept, or raise `Unavailable`."""
        queue = self._topology.work(kind)
        await self._publisher.publish(
            [
                Outgoing(
                    exchange=queue.exchange.name,
                    routing_key=kind,
                    body=ENCODER.encode(Reference(kind=kind, job_id=job_id)),
                )
                for job_id in job_ids
            ],
            into=queue,
        )

    async def deliveries(
        self, kind: str, *, slots: int
    ) -> AsyncGenerator[RabbitDelivery, None]:
        """Yield deliveries through reconnections, until the transport is closed."""
        queue = self._topology.work(kind)
        async with aclosing(receive(self._consuming, queue, prefetch=slots)) as all_:
            async for received in all_:
                try:
                    reference = _reference(received, kind)
                except msgspec.DecodeError as error:
                    await self._bury(received, kind, str(error))
                else:
                    yield RabbitDelivery(kind, reference.job_id, received)

    async def _bury(self, received: Received, kind: str, reason: str) -> None:
        """Put a message that names no job on the dead queue, with the reason."""
        _log.warning("message_buried", kind=kind, reason=reason)
        dead = self._topology.dead
        copy = Outgoing(
            exchange=dead.exchange.name,
            routing_key=received.routing_key,
            body=received.body,
            content_type=received.content_type or "application/octet-stream",
            headers={**received.headers, REASON: reason},
        )
        try:
            await self._publisher.publish([copy], into=dead)
        except Unavailable:
            await received.refuse()
        else:
            await received.ack()


@asynccontextmanager
async def rabbit_transport(
    url: str,
    *,
    topology: Topology | None = None,
    declare: bool = True,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[RabbitTransport]:
    """Yield a transport over the broker at `url`, and close it in order.

    Where exchanges and queues are defined by hand, `declare=False` only looks whether
    they are there. A publish is tried again for `patience_seconds`. Raises `SetupError`
    where the broker is not fit or refuses us, `Unavailable` where it does not answer.
    """
    async with AsyncExitStack() as stack:
        publishing = await opened(stack, url, "rehearsal publish", declare=declare)
        publisher = Publisher(publishing, seconds=patience_seconds)
        stack.push_async_callback(publisher.close)
        consuming = await opened(stack, url, "rehearsal consume", declare=declare)
        yield RabbitTransport(
            publisher=publisher,
            consuming=consuming,
            topology=topology or Topology(),
        )


async def opened(stack: AsyncExitStack, url: str, name: str, *, declare: bool) -> Link:
    """Return an open link that is closed with the stack."""
    link = Link(url, name=name, declare=declare)
    await link.open()
    stack.push_async_callback(link.close)
    return link


def _reference(received: Received, kind: str) -> Reference:
    reference = DECODER.decode(received.body)
    if reference.kind != kind:
        message = f"the reference is to work of kind {reference.kind} - at `$.kind`"
        raise msgspec.ValidationError(message)
    return reference


ENCODER: Final = msgspec.json.Encoder()
DECODER: Final = msgspec.json.Decoder(Reference)
