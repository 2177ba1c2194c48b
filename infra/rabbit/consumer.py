"""Receives messages for ever, one consumer after another.

A consumer ends when its channel or connection breaks, when the broker cancels it, or
when it starves beside a queue that is not empty; the next one takes its place. What was
received and not settled by then is delivered again by the broker, so settling too late
is no error: it makes a duplicate.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from events.errors import Unavailable
from infra.rabbit.connection import (
    CALL_SECONDS,
    SHORTEST,
    SILENCE_SECONDS,
    BrokenError,
    Link,
    RefusedError,
    Unanswered,
    answered,
    backed_off,
)
from infra.rabbit.topology import Queue


IDLE_SECONDS: Final = 30.0
STARVED: Final = 2

_log: Final = structlog.get_logger()


class Received:
    """A message to settle once: acknowledged, refused or given back."""

    def __init__(self, message: AbstractIncomingMessage, consumer: "_Consumer") -> None:
        self.body = message.body
        self.raw_headers: Mapping[str, object] = message.headers
        self.headers = {name: str(value) for name, value in message.headers.items()}
        self.routing_key = message.routing_key or ""
        self.content_type = message.content_type
        self.correlation_id = message.correlation_id
        self.content_encoding = message.content_encoding
        self.message_id = message.message_id
        self.reply_to = message.reply_to
        self.expires_at = _expires_at(message)
        self.redelivered = bool(message.redelivered)
        self._message = message
        self._consumer = consumer
        self._settled = False

    async def ack(self) -> None:
        """Say that the message needs no redelivery."""
        await self._settle(self._message.ack)

    async def refuse(self) -> None:
        """Send the message to the dead queue."""
        await self._settle(partial(self._message.reject, requeue=False))

    async def give_back(self) -> None:
        """Have the message delivered again, to whomever; it counts as an attempt."""
        # A nack would count on no broker of 4.3 or newer, and could go on for ever.
        await self._settle(partial(self._message.reject, requeue=True))

    async def _settle(self, say: Callable[[], Awaitable[None]]) -> None:
        if self._settled:
            return
        self._settled = True
        try:
            async with answered(CALL_SECONDS):
                await say()
        except (Unavailable, RefusedError) as error:
            _log.info("message_settled_late", error=str(error))
        finally:
            self._consumer.settled()


async def receive(
    link: Link, queue: Queue, *, prefetch: int, idle_seconds: float = IDLE_SECONDS
) -> AsyncGenerator[Received, None]:
    """Yield messages until the link is closed; at most `prefetch` are unsettled.

    Closing it gives back what is not settled: settle what was taken before. A silence
    of `idle_seconds` is looked into. Raises `SetupError` where the queue exists
    otherwise than we need it.
    """
    pause = SHORTEST
    while not link.closed:
        try:
            await link.declare(queue)
            async with link.channel() as channel:
                consumer = _Consumer(link, channel, queue, prefetch, idle_seconds)
                await consumer.begin()
                while True:
                    yield await consumer.next()
                    pause = SHORTEST
        except (Unavailable, RefusedError) as error:
            if not link.closed:
                _log.warning("consumer_ended", queue=queue.name, error=str(error))
                link.forget(queue)
                if isinstance(error, Unanswered | BrokenError):
                    await _look_into(link, queue)
                pause = await backed_off(pause)


async def _look_into(link: Link, queue: Queue) -> None:
    try:
        await link.suspect(queue)
    except Unavailable as error:
        _log.warning("queue_not_seen", queue=queue.name, error=str(error))


def _expires_at(message: AbstractIncomingMessage) -> datetime | None:
    """Return when a message is void, if it says when it was sent and for how long."""
    seconds, sent = message.expiration, message.timestamp
    if sent is None or not isinstance(seconds, int | float):
        return None
    try:
        return sent + timedelta(seconds=seconds)
    except OverflowError:
        return None


class _Consumer:
    def __init__(
        self,
        link: Link,
        channel: AbstractChannel,
        queue: Queue,
        prefetch: int,
        idle_seconds: float,
    ) -> None:
        self._link = link
        self._channel = channel
        self._name = queue.name
        self._single = queue.single_active
        self._active = False
        self._prefetch = prefetch
        self._idle_seconds = idle_seconds
        self._arrived: deque[AbstractIncomingMessage] = deque()
        self._changed = asyncio.Event()
        self._unsettled = 0
        self._ended: str | None = None
        self._queue: AbstractQueue | None = None

    async def begin(self) -> None:
        async with self._link.trusted(), answered(CALL_SECONDS):
            self._channel.close_callbacks.add(self._closed)
            below = await self._channel.get_underlay_channel()
            below.on_consumer_cancel_callbacks.add(self._cancelled)
            await self._channel.set_qos(prefetch_count=self._prefetch)
        # The library holds on to a queue weakly, so it is held here.
        self._queue = await self._channel.get_queue(self._name, ensure=False)
        async with answered(SILENCE_SECONDS):
            await self._queue.consume(self._take)

    async def next(self) -> Received:
        starved = 0
        while self._ended is None:
            if self._arrived:
                self._unsettled += 1
                return Received(self._arrived.popleft(), self)
            self._changed.clear()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._changed.wait()
            except TimeoutError:
                starved = starved + 1 if await self._starves() else 0
                if starved >= STARVED:
                    message = "messages wait and none is delivered"
                    raise Unanswered(message) from None
        raise Unavailable(self._ended)

    def settled(self) -> None:
        self._unsettled -= 1

    async def _starves(self) -> bool:
        """Say whether messages wait though we have room, by asking the broker."""
        async with self._link.trusted(), answered(CALL_SECONDS):
            below = await self._channel.get_underlay_channel()
            queue = await below.queue_declare(self._name, passive=True)
        if not queue.consumer_count:
            self._ended = "the broker knows no consumer"
        if self._single and not self._active:
            return False  # another consumer has its turn
        room = self._unsettled + len(self._arrived) < self._prefetch
        return bool(queue.message_count) and room

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self._active = True
        self._arrived.append(message)
        self._changed.set()

    def _closed(self, *_: object) -> None:
        self._end("the channel was closed")

    def _cancelled(self, _frame: object) -> None:
        self._end("the broker cancelled the consumer")

    def _end(self, reason: str) -> None:
        self._ended = self._ended or reason
        self._changed.set()
