"""The transport over a real RabbitMQ: the contract, and what a broker does to it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from events.errors import Unavailable
from infra.rabbit.connection import Link
from infra.rabbit.consumer import Received
from infra.rabbit.consumer import receive as received_from
from infra.rabbit.topology import Queue, Topology
from infra.rabbit.transport import (
    REASON,
    RabbitDelivery,
    RabbitTransport,
    rabbit_transport,
)
from infra.settings import SetupError
from tests.builders import new_id
from tests.gate import Gate
from tests.rabbit_ladder import OwnBroker
from tests.suites.transport import (
    PATIENCE,
    TransportContract,
    acked_until,
    new_ids,
    new_kind,
    publish_surely,
)


SHORT: Final = 5.0
AMQP: Final = 5672
SPOILT: Final = cycle(
    [b"", b"hello", b"[]", b'{"kind": "other"}', b'{"kind": 1, "job_id": 1}', b"\xff{"]
)


@dataclass(frozen=True)
class PassingTopology(Topology):
    """Remembers the queues that it named, to be deleted."""

    named: set[str] = field(default_factory=set)

    def queue(self, *given: object, **named: object) -> Queue:
        made = super().queue(*given, **named)  # type: ignore[arg-type]
        self.named.add(made.name)
        return made


@dataclass
class RabbitMedium:
    """A broker behind a gate, under names of its own."""

    url: str
    gate: Gate
    topology: Topology

    @asynccontextmanager
    async def open(self) -> AsyncIterator[RabbitTransport]:
        async with rabbit_transport(
            self.through_gate, topology=self.topology, patience_seconds=SHORT
        ) as transport:
            yield transport

    async def interrupt(self) -> None:
        self.gate.cut()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        await self.gate.shut()
        try:
            yield
        finally:
            await self.gate.open()

    async def spoil(self, kind: str) -> None:
        await self.insert(kind, next(SPOILT))

    async def insert(self, kind: str, body: bytes) -> None:
        queue = self.topology.work(kind)
        async with _link(self.url) as link, link.channel() as channel:
            await link.declare(queue)
            exchange = await channel.get_exchange(queue.exchange.name, ensure=False)
            await exchange.publish(aio_pika.Message(body), kind)

    @property
    def through_gate(self) -> str:
        parts = urlsplit(self.url)
        login, _, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{login}@127.0.0.1:{self.gate.port}").geturl()


@pytest.fixture
async def medium(rabbitmq: str) -> AsyncIterator[RabbitMedium]:
    async with _medium(rabbitmq) as medium:
        yield medium


@pytest.fixture
async def own_medium(own_rabbitmq: OwnBroker) -> AsyncIterator[RabbitMedium]:
    async with _medium(own_rabbitmq.url) as medium:
        yield medium


@asynccontextmanager
async def _medium(url: str) -> AsyncIterator[RabbitMedium]:
    parts = urlsplit(url)
    gate = Gate(parts.hostname or "localhost", parts.port or AMQP)
    await gate.open()
    topology = PassingTopology(namespace=f"tests.{new_id().hex}")
    try:
        yield RabbitMedium(url, gate, topology)
    finally:
        await gate.shut()
        async with _channel(url) as channel:
            for name in (*topology.named, topology.dead.name):
                await channel.queue_delete(name)
            for name in (f"{topology.namespace}.work", topology.dead.exchange.name):
                await channel.exchange_delete(name)


@asynccontextmanager
async def _channel(url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


async def _dead_letter(medium: RabbitMedium) -> AbstractIncomingMessage:
    async with _channel(medium.url) as channel, asyncio.timeout(PATIENCE):
        queue = await channel.get_queue(medium.topology.dead.name, ensure=False)
        while True:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                return message


async def _eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(3 * PATIENCE):
        while not condition():  # noqa: ASYNC110 - of several things, not all ours
            await asyncio.sleep(0.01)


class TestRabbitTransport(TransportContract):
    pass


# Poison


async def test_what_is_no_reference_is_kept_with_the_reason(
    medium: RabbitMedium,
) -> None:
    kind, job_ids = new_kind(), new_ids(1)
    async with medium.open() as transport:
        await transport.publish(kind, job_ids)
        await medium.spoil(kind)
        async with aclosing(transport.deliveries(kind, slots=1)) as deliveries:
            await acked_until(deliveries, job_ids)
            waiting = asyncio.create_task(anext(deliveries))
            dead = await _dead_letter(medium)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    assert dead.headers[REASON]
    assert dead.routing_key == kind


async def test_a_reference_to_another_kind_is_no_reference(
    medium: RabbitMedium,
) -> None:
    kind = new_kind()
    async with medium.open() as transport:
        await transport.publish(kind, new_ids(1))
        async with aclosing(transport.deliveries(kind, slots=2)) as deliveries:
            await (await anext(deliveries)).ack()
            body = b'{"kind":"other","job_id":"%s"}' % str(new_id()).encode()
            await medium.insert(kind, body)
            waiting = asyncio.create_task(anext(deliveries))
            dead = await _dead_letter(medium)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    assert "$.kind" in str(dead.headers[REASON])


async def test_what_is_given_back_too_often_dies(medium: RabbitMedium) -> None:
    topology = PassingTopology(medium.topology.namespace, delivery_limit=2)
    kind, job_ids = new_kind(), new_ids(1)
    async with (
        rabbit_transport(medium.url, topology=topology) as transport,
        _link(medium.url) as link,
    ):
        await transport.publish(kind, job_ids)
        queue = topology.work(kind)
        async with aclosing(received_from(link, queue, prefetch=1)) as all_:
            for _ in range(3):
                await (await anext(all_)).give_back()
            dead = await _dead_letter(medium)
        medium.topology.work(kind)

    assert str(job_ids[0]).encode() in dead.body
    deaths = dead.headers["x-death"]
    assert isinstance(deaths, list)
    assert isinstance(deaths[0], dict)
    assert deaths[0]["reason"] == "delivery_limit"


# Queues


async def test_a_full_queue_refuses_and_drops_nothing(medium: RabbitMedium) -> None:
    topology = PassingTopology(medium.topology.namespace, longest=5)
    kind, kept = new_kind(), list[UUID]()
    medium.topology.work(kind)
    async with rabbit_transport(
        medium.url, topology=topology, patience_seconds=SHORT
    ) as transport:

        async def fill() -> None:
            for job_id in new_ids(50):
                await transport.publish(kind, [job_id])
                kept.append(job_id)

        with pytest.raises(Unavailable, match="full"):
            await fill()
        async with aclosing(transport.deliveries(kind, slots=10)) as deliveries:
            assert set(await acked_until(deliveries, kept)) >= set(kept)


async def test_a_queue_that_was_deleted_is_made_again(medium: RabbitMedium) -> None:
    kind, before, after = new_kind(), new_ids(1), new_ids(1)
    async with (
        medium.open() as transport,
        aclosing(transport.deliveries(kind, slots=1)) as deliveries,
    ):
        await transport.publish(kind, before)
        await acked_until(deliveries, before)
        waiting = asyncio.create_task(acked_until(deliveries, after))
        async with _channel(medium.url) as channel:
            await channel.queue_delete(medium.topology.work(kind).name)

        await publish_surely(transport, kind, after)

        assert after[0] in await waiting


async def test_a_queue_that_exists_otherwise_is_refused(medium: RabbitMedium) -> None:
    other = Topology(medium.topology.namespace, delivery_limit=7)
    kind = new_kind()
    async with medium.open() as transport:
        await transport.publish(kind, new_ids(1))
    async with rabbit_transport(medium.url, topology=other) as transport:
        with pytest.raises(SetupError, match="as we need it"):
            await transport.publish(kind, new_ids(1))


async def test_where_queues_are_defined_by_hand_none_is_made(
    medium: RabbitMedium,
) -> None:
    kind, job_ids = new_kind(), new_ids(1)
    async with rabbit_transport(
        medium.url, topology=medium.topology, declare=False
    ) as looking:
        with pytest.raises(SetupError):
            await looking.publish(kind, job_ids)
        async with medium.open() as making:
            await making.publish(kind, new_ids(1))
        await looking.publish(kind, job_ids)
        async with aclosing(looking.deliveries(kind, slots=5)) as deliveries:
            assert job_ids[0] in await acked_until(deliveries, job_ids)


# Connections


async def test_publishing_and_consuming_have_a_connection_each(
    medium: RabbitMedium,
) -> None:
    async with medium.open():
        assert medium.gate.connections == 2
    await _eventually(lambda: medium.gate.connections == 0)


async def test_a_wrong_password_is_refused(rabbitmq: str) -> None:
    parts = urlsplit(rabbitmq)
    _, _, where = parts.netloc.rpartition("@")
    wrong = parts._replace(netloc=f"nobody:guessed@{where}").geturl()
    with pytest.raises(SetupError, match="refuses us"):
        async with rabbit_transport(wrong):
            pass


async def test_a_broker_that_does_not_answer_is_unavailable(
    medium: RabbitMedium,
) -> None:
    async with medium.outage():
        with pytest.raises(Unavailable):
            async with medium.open():
                pass


async def test_closing_ends_the_deliveries(medium: RabbitMedium) -> None:
    async with medium.open() as transport:
        kind, job_ids = new_kind(), new_ids(1)
        deliveries = transport.deliveries(kind, slots=1)
        await transport.publish(kind, job_ids)
        await acked_until(deliveries, job_ids)
        waiting = asyncio.create_task(_all(deliveries))
    async with asyncio.timeout(PATIENCE):
        assert await waiting == []


async def test_a_consumer_that_is_ended_while_it_makes_its_queue_ends(
    medium: RabbitMedium, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _link(medium.url) as link:
        opened = link.open_channel

        async def open_channel() -> AbstractChannel:
            channel = await opened()
            below = await channel.get_underlay_channel()
            # Where the answer to its close and our cancel meet, the library errs.
            below.closing.add_done_callback(lambda _: waiting.cancel())
            return channel

        monkeypatch.setattr(link, "open_channel", open_channel)
        queue = medium.topology.work(new_kind())
        waiting = asyncio.create_task(_received(link, queue))
        await asyncio.wait([waiting], timeout=PATIENCE)
        assert waiting.cancelled()


async def test_a_consumer_notices_that_the_broker_fell_silent(
    medium: RabbitMedium, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("connection", "consumer"):
        monkeypatch.setattr(f"infra.rabbit.{module}.CALL_SECONDS", 0.5)
    for module in ("connection", "consumer", "publisher"):
        monkeypatch.setattr(f"infra.rabbit.{module}.SILENCE_SECONDS", 0.5)
    kind, job_ids = new_kind(), new_ids(2)
    async with medium.open() as publishing, _link(medium.through_gate) as link:
        await publishing.publish(kind, job_ids[:1])
        queue = medium.topology.work(kind)
        received = received_from(link, queue, prefetch=1, idle_seconds=0.2)
        async with aclosing(received):
            await (await anext(received)).ack()
            waiting = asyncio.create_task(anext(received))
            async with medium.gate.silent():
                await publish_surely(publishing, kind, job_ids[1:])
                async with asyncio.timeout(PATIENCE):
                    assert str(job_ids[1]).encode() in (await waiting).body


# The broker's own troubles


async def test_nothing_confirmed_is_lost_when_the_broker_is_killed(
    own_rabbitmq: OwnBroker, own_medium: RabbitMedium
) -> None:
    kind = new_kind()
    confirmed: set[UUID] = set()
    seen: set[UUID] = set()
    stopping = asyncio.Event()

    async def publish(transport: RabbitTransport) -> None:
        while not stopping.is_set():
            batch = new_ids(20)
            try:
                await transport.publish(kind, batch)
            except Unavailable:
                continue
            confirmed.update(batch)

    async def consume(transport: RabbitTransport) -> None:
        async with aclosing(transport.deliveries(kind, slots=20)) as deliveries:
            async for delivery in deliveries:
                seen.add(delivery.job_id)
                await delivery.ack()

    async with own_medium.open() as publishing, own_medium.open() as consuming:
        consumer = asyncio.create_task(consume(consuming))
        publishers = [asyncio.create_task(publish(publishing)) for _ in range(4)]
        try:
            # RabbitMQ 3.10 may leave a younger queue stuck: see below.
            await _eventually(lambda: len(confirmed) > 3_000)
            await own_rabbitmq.crash()
            await own_rabbitmq.start()
            after = len(confirmed)
            await _eventually(lambda: len(confirmed) > after + 200)
            stopping.set()
            await asyncio.gather(*publishers)
            await _eventually(lambda: confirmed <= seen)
        finally:
            for task in (consumer, *publishers):
                task.cancel()
            await asyncio.gather(consumer, *publishers, return_exceptions=True)


async def test_a_queue_that_is_stuck_after_the_broker_was_killed_is_replaced(
    own_rabbitmq: OwnBroker, own_medium: RabbitMedium
) -> None:
    kind, before, after = new_kind(), new_ids(1), new_ids(50)
    async with (
        own_medium.open() as publishing,
        own_medium.open() as consuming,
        aclosing(consuming.deliveries(kind, slots=9)) as deliveries,
    ):
        await publishing.publish(kind, before)
        await acked_until(deliveries, before)
        await own_rabbitmq.crash()
        await own_rabbitmq.start()

        receiving = asyncio.create_task(_acked(deliveries, after))
        async with asyncio.timeout(3 * PATIENCE):
            while not receiving.done():
                with suppress(Unavailable):
                    await publishing.publish(kind, after)
                await asyncio.wait([receiving], timeout=1)
            await receiving


async def test_a_broker_short_of_memory_stops_publishers_and_not_consumers(
    own_rabbitmq: OwnBroker, own_medium: RabbitMedium
) -> None:
    kind, before, during, after = new_kind(), *(new_ids(2) for _ in range(3))
    async with own_medium.open() as transport:
        await transport.publish(kind, before)
        await own_rabbitmq.control("set_vm_memory_high_watermark", "0.000001")
        try:
            with pytest.raises(Unavailable):
                await transport.publish(kind, during)
            deliveries = transport.deliveries(kind, slots=1)
            async with aclosing(deliveries):
                assert set(await acked_until(deliveries, before)) == set(before)
        finally:
            await own_rabbitmq.control("set_vm_memory_high_watermark", "0.4")

        await publish_surely(transport, kind, after)
        async with aclosing(transport.deliveries(kind, slots=9)) as deliveries:
            assert set(await acked_until(deliveries, after)) <= {*during, *after}


@asynccontextmanager
async def _link(url: str) -> AsyncIterator[Link]:
    link = Link(url, name="tests")
    await link.open()
    try:
        yield link
    finally:
        await link.close()


async def _received(link: Link, queue: Queue) -> Received:
    async with aclosing(received_from(link, queue, prefetch=1)) as received:
        return await anext(received)


async def _acked(
    deliveries: AsyncGenerator[RabbitDelivery, None], wanted: Sequence[UUID]
) -> None:
    missing = set(wanted)
    while missing:
        delivery = await anext(deliveries)
        await delivery.ack()
        missing.discard(delivery.job_id)


async def _all(items: AsyncGenerator[object, None]) -> list[object]:
    return [item async for item in items]
