"""Events out over a real RabbitMQ: in the order of the log, each at least once."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractIncomingMessage

from events.errors import Malformed
from events.ids import PersonaId
from events.testing.personas import PersonaCreated
from infra.messaging import relaying
from infra.operations.republishing import republished
from infra.postgres.pool import open_pool
from infra.rabbit.connection import Link
from infra.rabbit.events import REPUBLISHED, rabbit_outlet
from infra.rabbit.topology import Topology
from projections.checkpoints import Watch
from services.telling.cloudevents import CloudEvent
from services.telling.relay import FEED, EventRelay
from services.testing.personas import ChangePersonaDetails, CreatePersona
from tests.builders import new_id
from tests.end_to_end.amqp import PATIENCE, carrier, gated
from tests.end_to_end.stack import ORG, Stack


@dataclass
class Subscriber:
    """Another service, which keeps what it is sent."""

    topology: Topology
    messages: list[AbstractIncomingMessage] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, message: AbstractIncomingMessage) -> None:
        self.messages.append(message)
        self.changed.set()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(message.body) for message in self.messages]

    @property
    def positions(self) -> list[int]:
        return [int(event["sequence"]) for event in self.events]

    async def reached(self, position: int) -> None:
        """Return once the event of a position was sent."""
        async with asyncio.timeout(PATIENCE):
            while position not in self.positions:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def subscribed(
    url: str, keys: Iterable[str] = ("#",)
) -> AsyncIterator[Subscriber]:
    """Yield a subscriber to an exchange of its own, which is removed after."""
    subscriber = Subscriber(Topology(namespace=f"tests.{new_id().hex}"))
    exchange = subscriber.topology.events
    link = Link(url, name="tests")
    await link.open()
    await link.declare_exchange(exchange)
    await link.close()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for key in keys:
            await queue.bind(exchange.name, key)
        await queue.consume(subscriber.take, no_ack=True)
        yield subscriber
        await channel.exchange_delete(exchange.name)


def relay(stack: Stack, url: str, topology: Topology) -> Any:  # noqa: ANN401 - a context
    return relaying(stack.urls, stack.api, carrier=carrier(url, topology))


async def write(stack: Stack, count: int) -> int:
    """Append events to several streams; return the position of the last."""
    async with stack.client() as client:
        ids = [PersonaId(new_id()) for _ in range(4)]
        for persona_id in ids:
            await client.send(
                CreatePersona(
                    persona_id=persona_id, name="Ada", role="reader", background=""
                )
            )
        for number in range(count):
            await client.send(
                ChangePersonaDetails(persona_id=ids[number % 4], name=f"Ada {number}")
            )
    return (await stack.api.log.head()).position


def first_appearances(positions: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(positions))


async def test_events_come_in_the_order_of_the_log(stack: Stack, rabbitmq: str) -> None:
    async with subscribed(rabbitmq) as subscriber:
        async with relay(stack, rabbitmq, subscriber.topology):
            last = await write(stack, 30)
            await subscriber.reached(last)
        log = await stack.events()

    events = subscriber.events
    assert subscriber.positions == [each.position for each in log][-len(events) :]
    for event, each in zip(events, log[-len(events) :], strict=True):
        assert event["id"] == str(each.event_id)
        assert event["subject"] == each.stream_id
        assert event["data"]["type"] == event["type"]
    message = subscriber.messages[-1]
    assert message.content_type == "application/cloudevents+json"
    assert message.message_id == events[-1]["id"]
    assert message.routing_key == f"{events[-1]['type']}.{ORG}"


async def test_a_cut_connection_repeats_and_loses_nothing(
    stack: Stack, rabbitmq: str
) -> None:
    async with subscribed(rabbitmq) as subscriber, gated(rabbitmq) as gate:
        before = (await stack.api.log.head()).position
        async with relay(stack, gate.url, subscriber.topology):
            writing = asyncio.create_task(write(stack, 200))
            for place in (5, 60, 120):
                await subscriber.reached(before + place)
                gate.gate.cut()
            await subscriber.reached(await writing)

    found = first_appearances(subscriber.positions)
    assert found == list(range(found[0], found[-1] + 1))
    assert found[0] <= before + 1


async def test_another_relay_goes_on_where_one_stopped(
    stack: Stack, rabbitmq: str
) -> None:
    async with subscribed(rabbitmq) as subscriber:
        before = (await stack.api.log.head()).position
        async with AsyncExitStack() as first, AsyncExitStack() as second:
            for one in (first, second):
                await one.enter_async_context(
                    relay(stack, rabbitmq, subscriber.topology)
                )
            await subscriber.reached(await write(stack, 10))
            await first.aclose()
            last = await write(stack, 10)
            await subscriber.reached(last)

    assert subscriber.positions == list(range(before + 1, last + 1))


@dataclass
class Stalled:
    """An outlet whose first page takes until it is told."""

    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Event = field(default_factory=asyncio.Event)
    published: list[int] = field(default_factory=list)

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        if not self.stalled.is_set():
            self.stalled.set()
            await self.free.wait()
        self.published += [int(event.sequence) for event in events]


async def test_a_relay_that_was_taken_over_moves_nothing(stack: Stack) -> None:
    last = await write(stack, 5)
    slow, quick, stop = Stalled(), Stalled(), asyncio.Event()
    quick.stalled.set()
    async with await open_pool(
        stack.urls.projector, min_size=1, max_size=6, application_name="tests"
    ) as pool:
        relays = [
            EventRelay(stack.api.log, pool, outlet, owner=new_id())
            for outlet in (slow, quick)
        ]
        watch = Watch(pool)
        running = [asyncio.create_task(relays[0].run(stop))]
        await slow.stalled.wait()
        await stack.as_superuser(
            "UPDATE es.leases SET expires_at = now() WHERE resource = 'relay'"
        )
        running.append(asyncio.create_task(relays[1].run(stop)))
        assert await watch.wait_for(FEED.projection, last, PATIENCE) >= last
        later = await write(stack, 1)
        slow.free.set()
        assert await watch.wait_for(FEED.projection, later, PATIENCE) >= later
        stop.set()
        await asyncio.gather(*running)

    assert quick.published[-1] == later
    assert later not in slow.published


async def test_a_range_is_sent_again_and_says_so(stack: Stack, rabbitmq: str) -> None:
    last = await write(stack, 5)
    looked: list[int] = []
    async with subscribed(rabbitmq) as subscriber:
        async with rabbit_outlet(rabbitmq, topology=subscriber.topology) as outlet:
            sent = await republished(
                stack.api.log, outlet, first=last - 3, last=last, told=looked.append
            )
            assert sent == looked[-1] == 4
            with pytest.raises(Malformed, match="ends at"):
                await republished(
                    stack.api.log, outlet, first=1, last=last + 1, told=looked.append
                )
            some = await republished(
                stack.api.log,
                outlet,
                first=1,
                last=last,
                kinds=["testing.PersonaCreated"],
                told=looked.append,
            )
        await subscriber.reached(last)
    assert 0 < some < last
    assert subscriber.positions[:4] == [last - 3, last - 2, last - 1, last]
    assert all(event["republished"] for event in subscriber.events)
    assert all(each.headers[REPUBLISHED] == "true" for each in subscriber.messages)


async def test_a_subscriber_binds_what_it_wants(stack: Stack, rabbitmq: str) -> None:
    async with (
        subscribed(rabbitmq, ["testing.PersonaCreated.#"]) as subscriber,
        rabbit_outlet(rabbitmq, topology=subscriber.topology) as outlet,
    ):
        last = await write(stack, 3)
        log = stack.api.log
        await republished(log, outlet, first=1, last=last, told=lambda _: None)
        created = [
            each.position
            for each in await stack.events()
            if isinstance(each.event, PersonaCreated)
        ]
        await subscriber.reached(created[-1])
    assert subscriber.positions == created
