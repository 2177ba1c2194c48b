"""The inbox over RabbitMQ: one queue of commands, and the replies to them.

Exchange `rehearsal.commands`, topic; the routing key is the command's type. One
consumer of all is active at a time, so that what concerns one stream is handled in the
order in which the queue has it; the others stand by.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from infra.rabbit.connection import Link
from infra.rabbit.consumer import Received, receive
from infra.rabbit.publisher import PATIENCE_SECONDS, Outgoing, Publisher
from infra.rabbit.topology import Queue, Topology
from infra.rabbit.transport import opened
from services.intake.answering import Reply
from services.intake.message import Message


DEFAULT: Final = ""
DIRECT: Final = "amq.rabbitmq.reply-to."
DEATHS: Final = "x-death"
OF_DEATHS: Final = ("x-death", "x-first-death-", "x-last-death-")


@dataclass(frozen=True)
class RabbitDelivery:
    """A message that was received, to be acknowledged."""

    message: Message
    received: Received

    async def ack(self) -> None:
        """Say that the message needs no redelivery."""
        await self.received.ack()


class RabbitInbox:
    """An `Inbox` over two links."""

    def __init__(
        self, *, publisher: Publisher, consuming: Link, topology: Topology
    ) -> None:
        self._publisher = publisher
        self._consuming = consuming
        self._topology = topology

    async def commands(self, *, prefetch: int) -> AsyncGenerator[RabbitDelivery, None]:
        """Yield what asks for commands; closing gives back."""
        queue = self._topology.commands
        async with aclosing(receive(self._consuming, queue, prefetch=prefetch)) as all_:
            async for received in all_:
                yield RabbitDelivery(_message(received), received)

    async def given_up(self, *, prefetch: int) -> AsyncGenerator[RabbitDelivery, None]:
        """Yield what the broker gave up."""
        queue = self._dead
        async with aclosing(receive(self._consuming, queue, prefetch=prefetch)) as all_:
            async for received in all_:
                yield RabbitDelivery(_dead_message(received), received)

    async def reply(self, to: str, reply: Reply) -> bool:
        """Return whether a queue took the reply; never one of the system's own."""
        if to.startswith(f"{self._topology.namespace}."):
            return False
        return await self._publisher.offer(
            Outgoing(
                exchange=DEFAULT,
                routing_key=to,
                body=reply.body,
                content_type=reply.content_type,
                correlation_id=reply.correlation_id,
                # Direct reply-to is no queue: the broker would return the reply.
                mandatory=not to.startswith(DIRECT),
            )
        )

    @property
    def _dead(self) -> Queue:
        dead = self._topology.commands.dead
        assert dead is not None, "the queue of commands has dead letters"  # noqa: S101 - for the type checker
        return dead


@asynccontextmanager
async def rabbit_inbox(
    url: str,
    *,
    topology: Topology | None = None,
    declare: bool = True,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[RabbitInbox]:
    """Yield an inbox over the broker at `url`, and close it in order.

    Raises `SetupError` where the broker is not fit or refuses us, `Unavailable` where
    it does not answer.
    """
    async with AsyncExitStack() as stack:
        replying = await opened(stack, url, "rehearsal replies", declare=declare)
        publisher = Publisher(replying, seconds=patience_seconds)
        stack.push_async_callback(publisher.close)
        consuming = await opened(stack, url, "rehearsal intake", declare=declare)
        yield RabbitInbox(
            publisher=publisher,
            consuming=consuming,
            topology=topology or Topology(),
        )


def _message(received: Received) -> Message:
    return Message(
        body=received.body,
        routing_key=received.routing_key,
        headers=received.raw_headers,
        content_type=received.content_type,
        content_encoding=received.content_encoding,
        message_id=received.message_id,
        correlation_id=received.correlation_id,
        reply_to=received.reply_to,
        expires_at=received.expires_at,
    )


def _dead_message(received: Received) -> Message:
    """Return a message as it was before the broker gave it up, and why it did."""
    headers = {
        name: value
        for name, value in received.raw_headers.items()
        if not name.startswith(OF_DEATHS)
    }
    death = _first(received.raw_headers.get(DEATHS))
    return msgspec.structs.replace(
        _message(received),
        headers=headers,
        death=str(death.get("reason", "unknown")),
    )


def _first(deaths: object) -> Mapping[str, object]:
    match deaths:
        case [dict() as latest, *_]:
            return latest
        case _:
            return {}
