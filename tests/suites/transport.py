"""What every transport promises; an adapter's tests subclass `TransportContract`.

The subclass's module offers the fixture `medium`: what keeps references while their
publishers and consumers come and go. It need not be empty: each test has kinds of its
own.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Final, Protocol
from uuid import UUID

import pytest

from events.errors import Unavailable
from infra.clock import new_id
from services.ports import Delivery, Transport


PATIENCE: Final = 20


class Medium(Protocol):
    """Where references are kept, as a test may treat it."""

    def open(self) -> AbstractAsyncContextManager[Transport]:
        """Open a transport with connections of its own, as a process has them."""
        ...

    async def interrupt(self) -> None:
        """Cut every connection of every transport, once; new ones are let in."""
        ...

    def outage(self) -> AbstractAsyncContextManager[None]:
        """Be away while inside: connections are cut, and none are let in."""
        ...

    async def spoil(self, kind: str) -> None:
        """Put something that is no reference where a kind's consumers find it."""
        ...


def new_kind() -> str:
    return f"contract.{new_id().hex}"


def new_ids(count: int) -> list[UUID]:
    return [new_id() for _ in range(count)]


async def publish_surely(
    transport: Transport, kind: str, job_ids: Sequence[UUID]
) -> None:
    """Publish, again and again while the medium is away."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await transport.publish(kind, job_ids)
            except Unavailable:
                await asyncio.sleep(0.02)


async def receive(
    deliveries: AsyncGenerator[Delivery, None], count: int = 1
) -> list[Delivery]:
    """Return the next deliveries, not acked."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(deliveries) for _ in range(count)]


async def acked_until(
    deliveries: AsyncGenerator[Delivery, None], wanted: Sequence[UUID]
) -> list[UUID]:
    """Ack what comes until all that is wanted has come; return all that came."""
    seen: list[UUID] = []
    async with asyncio.timeout(PATIENCE):
        while not set(wanted) <= set(seen):
            delivery = await anext(deliveries)
            await delivery.ack()
            seen.append(delivery.job_id)
    return seen


@asynccontextmanager
async def consuming(
    medium: Medium, kind: str, *, slots: int = 10
) -> AsyncGenerator[AsyncGenerator[Delivery, None], None]:
    """Consume a kind through a transport of its own."""
    async with (
        medium.open() as transport,
        aclosing(transport.deliveries(kind, slots=slots)) as deliveries,
    ):
        yield deliveries


class TransportContract:
    """The promises of `services.ports.Transport`, one sentence each."""

    @pytest.fixture
    async def transport(self, medium: Medium) -> AsyncGenerator[Transport, None]:
        async with medium.open() as opened:
            yield opened

    async def test_what_is_published_is_delivered(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, (job_id,) = new_kind(), new_ids(1)
        async with consuming(medium, kind) as deliveries:
            await transport.publish(kind, [job_id])

            (delivery,) = await receive(deliveries)

            assert (delivery.kind, delivery.job_id) == (kind, job_id)
            await delivery.ack()

    async def test_what_is_published_while_nobody_consumes_is_kept(
        self, medium: Medium
    ) -> None:
        kind, job_ids = new_kind(), new_ids(3)
        async with medium.open() as passing:
            await passing.publish(kind, job_ids)

        async with consuming(medium, kind) as deliveries:
            seen = await acked_until(deliveries, job_ids)

        assert sorted(seen) == sorted(job_ids)

    async def test_publishing_nothing_is_harmless(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(1)
        await transport.publish(kind, [])
        await transport.publish(kind, job_ids)

        async with consuming(medium, kind) as deliveries:
            assert await acked_until(deliveries, job_ids) == job_ids

    async def test_a_consumer_sees_its_own_kind_only(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, other = new_kind(), new_kind()
        ours, theirs = new_ids(5), new_ids(5)
        await transport.publish(other, theirs)
        await transport.publish(kind, ours)

        async with consuming(medium, kind) as deliveries:
            assert sorted(await acked_until(deliveries, ours)) == sorted(ours)
        async with consuming(medium, other) as deliveries:
            assert sorted(await acked_until(deliveries, theirs)) == sorted(theirs)

    async def test_a_thousand_references_reach_two_consumers(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(1_000)
        missing = set(job_ids)
        complete = asyncio.Event()

        async def consume() -> None:
            async with consuming(medium, kind, slots=50) as deliveries:
                async for delivery in deliveries:
                    await delivery.ack()
                    missing.discard(delivery.job_id)
                    if not missing:
                        complete.set()

        consumers = [asyncio.create_task(consume()) for _ in range(2)]
        await transport.publish(kind, job_ids)
        async with asyncio.timeout(PATIENCE):
            await complete.wait()
        for consumer in consumers:
            consumer.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)

    async def test_what_was_acked_does_not_come_again(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, done, marker = new_kind(), new_ids(5), new_ids(1)
        await transport.publish(kind, done)
        async with consuming(medium, kind) as deliveries:
            await acked_until(deliveries, done)

        await transport.publish(kind, marker)

        async with consuming(medium, kind) as deliveries:
            assert await acked_until(deliveries, marker) == marker

    async def test_publishing_twice_delivers_at_least_once(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(3)
        await transport.publish(kind, job_ids)
        await transport.publish(kind, job_ids)

        async with consuming(medium, kind) as deliveries:
            seen = await acked_until(deliveries, job_ids)

        assert set(seen) == set(job_ids)

    async def test_what_is_published_again_while_it_is_held_comes_again(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(1)
        await transport.publish(kind, job_ids)
        async with consuming(medium, kind) as deliveries:
            (held,) = await receive(deliveries)
            await transport.publish(kind, job_ids)
            await held.ack()

            assert await acked_until(deliveries, job_ids) == job_ids

    async def test_acking_twice_changes_nothing(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, first, second = new_kind(), new_ids(1), new_ids(1)
        await transport.publish(kind, first)
        async with consuming(medium, kind) as deliveries:
            (delivery,) = await receive(deliveries)
            await delivery.ack()
            await delivery.ack()
            await transport.publish(kind, second)

            assert await acked_until(deliveries, second) == second

    # Redelivery

    async def test_what_a_closed_consumer_did_not_ack_comes_again(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(4)
        await transport.publish(kind, job_ids)
        async with consuming(medium, kind) as deliveries:
            await receive(deliveries, 4)

        async with consuming(medium, kind) as deliveries:
            seen = await acked_until(deliveries, job_ids)

        assert set(seen) == set(job_ids)

    async def test_what_a_dead_consumer_did_not_ack_comes_again(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(4)
        await transport.publish(kind, job_ids)
        async with consuming(medium, kind, slots=4) as dying:
            await receive(dying, 4)
            await medium.interrupt()

            async with consuming(medium, kind) as deliveries:
                seen = await acked_until(deliveries, job_ids)

        assert set(seen) == set(job_ids)

    async def test_an_ack_after_the_connection_was_cut_is_no_error(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, first, second = new_kind(), new_ids(1), new_ids(1)
        await transport.publish(kind, first)
        async with consuming(medium, kind) as deliveries:
            (delivery,) = await receive(deliveries)
            await medium.interrupt()
            await delivery.ack()
            await publish_surely(transport, kind, second)

            seen = await acked_until(deliveries, second)

        assert set(seen) <= {*first, *second}

    async def test_a_consumer_that_is_cancelled_takes_nothing_with_it(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(20)
        async with consuming(medium, kind) as deliveries:
            waiting = asyncio.create_task(receive(deliveries, 5))
            await transport.publish(kind, job_ids)
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

        async with consuming(medium, kind) as deliveries:
            seen = await acked_until(deliveries, job_ids)

        assert set(seen) == set(job_ids)

    # Back-pressure

    async def test_a_consumer_holds_no_more_than_its_slots(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids, late = new_kind(), new_ids(10), new_ids(1)
        async with (
            consuming(medium, kind, slots=3) as small,
            consuming(medium, kind, slots=7) as large,
        ):
            await transport.publish(kind, job_ids)
            held = await receive(small, 3)
            fourth = asyncio.create_task(anext(small))
            others = await receive(large, 7)

            assert {each.job_id for each in [*held, *others]} == set(job_ids)
            assert not fourth.done()

            await held[0].ack()
            await transport.publish(kind, late)
            async with asyncio.timeout(PATIENCE):
                assert (await fourth).job_id == late[0]

    # Interruptions

    async def test_a_consumer_goes_on_after_an_interruption(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, before, after = new_kind(), new_ids(2), new_ids(2)
        async with consuming(medium, kind) as deliveries:
            await transport.publish(kind, before)
            await acked_until(deliveries, before)
            waiting = asyncio.create_task(acked_until(deliveries, after))
            for _ in range(3):
                await medium.interrupt()
            await publish_surely(transport, kind, after)

            assert set(await waiting) >= set(after)

    async def test_publishing_during_an_outage_is_unavailable_and_works_after(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, lost, kept = new_kind(), new_ids(1), new_ids(1)
        async with consuming(medium, kind) as deliveries:
            waiting = asyncio.create_task(acked_until(deliveries, kept))
            async with medium.outage():
                with pytest.raises(Unavailable):
                    async with asyncio.timeout(PATIENCE):
                        await transport.publish(kind, lost)
            await publish_surely(transport, kind, kept)

            assert set(await waiting) <= {*lost, *kept}

    async def test_what_was_published_survives_an_outage(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(50)
        await transport.publish(kind, job_ids)
        async with medium.outage():
            pass

        async with consuming(medium, kind) as deliveries:
            assert set(await acked_until(deliveries, job_ids)) == set(job_ids)

    # Poison

    async def test_what_is_no_reference_stops_nobody(
        self, medium: Medium, transport: Transport
    ) -> None:
        kind, job_ids = new_kind(), new_ids(3)
        async with consuming(medium, kind, slots=1) as deliveries:
            for _ in range(3):
                await medium.spoil(kind)
            await transport.publish(kind, job_ids)

            assert sorted(await acked_until(deliveries, job_ids)) == sorted(job_ids)
