"""A producer that knows AMQP alone, and a stack's intake to talk to."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from infra.embedded.broker import Carrier
from infra.messaging import taking
from infra.rabbit.connection import Link
from infra.rabbit.topology import Topology
from tests.builders import new_id
from tests.end_to_end.stack import Stack
from tests.gate import Gate


PATIENCE: Final = 30.0
AMQP: Final = 5672
JSON: Final = "application/json"
GOOD: Final = object()


@dataclass
class Producer:
    """Sends messages and reads what comes back to a queue of its own."""

    stack: Stack
    url: str
    topology: Topology
    channel: AbstractChannel
    replies: AbstractQueue
    waiting: dict[str, asyncio.Future[AbstractIncomingMessage]]

    async def send(
        self,
        body: object,
        *,
        key: str | None = None,
        command_id: object = GOOD,
        token: object = GOOD,
        headers: Mapping[str, Any] | None = None,
        content_type: str | None = JSON,
        reply_to: object = GOOD,
        **properties: Any,  # noqa: ANN401 - of the library
    ) -> str:
        """Publish a message; return the correlation id that its reply will have."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        bearer = self.stack.token() if token is GOOD else token
        given: dict[str, Any] = (
            {} if bearer is None else {"authorization": f"Bearer {bearer}"}
        )
        command = new_id() if command_id is GOOD else command_id
        correlation_id = properties.pop("correlation_id", str(new_id()))
        if key is None:
            assert isinstance(body, dict)
            key = body["type"]
        message = aio_pika.Message(
            raw,
            headers=given | dict(headers or {}),
            content_type=content_type,
            message_id=None if command is None else str(command),
            correlation_id=correlation_id,
            reply_to=self.replies.name if reply_to is GOOD else reply_to,  # type: ignore[arg-type]
            **properties,
        )
        exchange = await self.channel.get_exchange(
            self.topology.commands.exchange.name, ensure=False
        )
        self.waiting[correlation_id] = asyncio.get_running_loop().create_future()
        await exchange.publish(message, key)
        return str(correlation_id)

    async def reply(self, correlation_id: str) -> AbstractIncomingMessage:
        """Return the reply with a correlation id."""
        async with asyncio.timeout(PATIENCE):
            return await self.waiting[correlation_id]

    async def ask(self, body: object, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - see send
        """Send a message and return what its reply holds."""
        reply = await self.reply(await self.send(body, **given))
        found: dict[str, Any] = msgspec.json.decode(reply.body)
        return found

    async def ask_many(
        self,
        bodies: Iterable[object],
        **given: Any,  # noqa: ANN401 - see send
    ) -> list[dict[str, Any]]:
        """Send messages one after the other and return what their replies hold."""
        sent = [await self.send(body, **given) for body in bodies]
        return [msgspec.json.decode((await self.reply(each)).body) for each in sent]


@asynccontextmanager
async def producing(
    stack: Stack, url: str, topology: Topology
) -> AsyncIterator[Producer]:
    """Yield a producer, and remove what is under the topology's names after."""
    waiting: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}

    async def take(message: AbstractIncomingMessage) -> None:
        future = waiting.get(message.correlation_id or "")
        if future is not None and not future.done():
            future.set_result(message)

    link = Link(url, name="tests")
    await link.open()
    await link.declare(topology.commands)
    await link.close()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        replies = await channel.declare_queue(exclusive=True)
        await replies.consume(take, no_ack=True)
        yield Producer(stack, url, topology, channel, replies, waiting)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        dead = topology.commands.dead
        assert dead is not None
        for queue in (topology.commands, dead):
            await channel.queue_delete(queue.name)
            await channel.exchange_delete(queue.exchange.name)
        await channel.exchange_delete(topology.events.name)


def carrier(url: str, topology: Topology) -> Carrier:
    return Carrier(name="tests", url=url, namespace=topology.namespace)


@dataclass
class Gated:
    """A broker behind a gate."""

    url: str
    gate: Gate


@asynccontextmanager
async def gated(url: str) -> AsyncIterator[Gated]:
    """Yield a broker whose connections can be cut."""
    parts = urlsplit(url)
    gate = Gate(parts.hostname or "localhost", parts.port or AMQP)
    await gate.open()
    login, _, _ = parts.netloc.rpartition("@")
    through = parts._replace(netloc=f"{login}@127.0.0.1:{gate.port}").geturl()
    try:
        yield Gated(through, gate)
    finally:
        await gate.shut()


@asynccontextmanager
async def amqp(
    stack: Stack, url: str, *, running: bool = True
) -> AsyncIterator[Producer]:
    """Yield a producer, beside a running intake or none, under names of their own."""
    topology = Topology(namespace=f"tests.{new_id().hex}")
    async with AsyncExitStack() as opened:
        producer = await opened.enter_async_context(producing(stack, url, topology))
        if running:
            await opened.enter_async_context(
                taking(
                    stack.settings,
                    stack.urls,
                    stack.api,
                    carrier=carrier(url, topology),
                )
            )
        yield producer
