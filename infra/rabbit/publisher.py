"""Publishes messages that the broker confirms, many in flight at a time.

A publish returns when every message is routed to a queue and kept by a majority of its
replicas. Until then it is sent again, each time under a new message id, for as long as
the caller was promised; a message may therefore arrive twice, and is never lost. Where
none is confirmed for long, the queue itself is looked into.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError

from events.errors import Unavailable
from infra.clock import new_id
from infra.rabbit.connection import (
    SHORTEST,
    SILENCE_SECONDS,
    Link,
    RefusedError,
    Unanswered,
    answered,
    backed_off,
    close_channel,
)
from infra.rabbit.topology import Exchange, Queue


IN_FLIGHT: Final = 200
PATIENCE_SECONDS: Final = 10.0
HEADER_LENGTH: Final = 8_000

_log: Final = structlog.get_logger()


@dataclass(frozen=True)
class Outgoing:
    """A message to publish; without `mandatory` it may be routed to no one.

    Its id is a new one for each attempt unless given: a return names the attempt by the
    id, so one that may be returned is in flight once at a time.
    """

    exchange: str
    routing_key: str
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    correlation_id: str | None = None
    reply_to: str | None = None
    message_id: str | None = None
    mandatory: bool = True


class Publisher:
    """Publishes over a link of its own, which the broker may block."""

    def __init__(
        self,
        link: Link,
        *,
        in_flight: int = IN_FLIGHT,
        seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._link = link
        self._in_flight = in_flight
        self._free = asyncio.Semaphore(in_flight)
        self._seconds = seconds
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def publish(
        self,
        messages: Sequence[Outgoing],
        *,
        into: Queue | Exchange | None = None,
        in_order: bool = False,
    ) -> None:
        """Return when all are kept, or raise `Unavailable`: then some may be.

        What they go into is made sure of first. They are sent in order; where one is
        not kept it is sent again, and with `in_order` all that were sent after it.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        pending, pause = list(messages), SHORTEST
        while pending:
            failed = await self._attempt(pending, until, into)
            if not failed:
                return
            first = min(failed)
            failure = failed[first]
            pending = (
                pending[first:] if in_order else [pending[at] for at in sorted(failed)]
            )
            if self._link.closed or loop.time() + pause >= until:
                count = f"{len(pending)} of {len(messages)}"
                message = f"{count} messages are not confirmed: {failure}"
                raise Unavailable(message) from failure
            pause = await backed_off(pause)

    async def offer(self, message: Outgoing) -> bool:
        """Return whether a queue took a message, or raise `Unavailable`."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._seconds, SHORTEST
        while True:
            failure = (await self._attempt([message], until, None)).get(0)
            if failure is None:
                return True
            if isinstance(failure, Unroutable):
                return False
            if self._link.closed or loop.time() + pause >= until:
                raise failure
            pause = await backed_off(pause)

    async def close(self) -> None:
        """Close the channel; the link is its owner's."""
        if self._channel is not None:
            await close_channel(self._channel)

    async def _attempt(
        self,
        pending: Sequence[Outgoing],
        until: float,
        into: Queue | Exchange | None,
    ) -> dict[int, Unavailable]:
        """Publish what is pending, and return by its place the failure of each."""
        remaining = until - asyncio.get_running_loop().time()
        try:
            async with answered(remaining):
                await self._link.unblocked()
                await self._make_sure(into)
                channel = await self._open_channel()
        except Unavailable as error:
            return dict.fromkeys(range(len(pending)), error)
        began = asyncio.get_running_loop().time()
        left, failed = enumerate(pending), dict[int, Unavailable]()

        async def send() -> None:
            for place, message in left:
                try:
                    await self._send(channel, message, until)
                except Unavailable as error:
                    failed[place] = error

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(pending), self._in_flight)):
                group.create_task(send())
        nothing_kept = len(failed) == len(pending)
        if any(isinstance(one, Unroutable) for one in failed.values()):
            if into is not None:
                self._link.forget(into)
        elif nothing_kept and _silence(list(failed.values()), began):
            await self._look_into(into if isinstance(into, Queue) else None)
        return failed

    async def _make_sure(self, into: Queue | Exchange | None) -> None:
        match into:
            case Queue():
                await self._link.declare(into)
            case Exchange():
                await self._link.declare_exchange(into)
            case None:
                pass

    async def _look_into(self, queue: Queue | None) -> None:
        try:
            await self._link.suspect(queue)
        except Unavailable as error:
            name = None if queue is None else queue.name
            _log.warning("queue_not_seen", queue=name, error=str(error))

    async def _send(
        self, channel: AbstractChannel, message: Outgoing, until: float
    ) -> None:
        async with self._free:
            remaining = until - asyncio.get_running_loop().time()
            try:
                async with answered(min(remaining, SILENCE_SECONDS)):
                    exchange = await channel.get_exchange(
                        message.exchange, ensure=False
                    )
                    try:
                        await exchange.publish(
                            _as_sent(message),
                            message.routing_key,
                            mandatory=message.mandatory,
                        )
                    except PublishError as error:
                        raise Unroutable from error
                    except DeliveryError as error:
                        raise Unavailable("the queue is full") from error
            except RefusedError as error:
                raise Unroutable(str(error)) from error

    async def _open_channel(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._link.open_channel(confirms=True)
            return self._channel


class Unroutable(Unavailable):
    """No queue takes the message."""


def _silence(failures: Sequence[Unavailable], began: float) -> bool:
    """Say whether these came of a long wait for answers, all of them."""
    long = asyncio.get_running_loop().time() - began >= SILENCE_SECONDS
    return long and all(isinstance(one, Unanswered) for one in failures)


def _as_sent(message: Outgoing) -> Message:
    return Message(
        message.body,
        content_type=message.content_type,
        headers={name: text[:HEADER_LENGTH] for name, text in message.headers.items()},
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id or str(new_id()),
        delivery_mode=DeliveryMode.PERSISTENT,
    )
