"""Locks by stream: one holder at a time, in turn, and nothing left behind."""

import asyncio

import pytest

from services.locks import StreamLocks


async def test_users_of_one_stream_take_turns_in_the_order_of_asking() -> None:
    locks, order = StreamLocks(), list[int]()
    held = await locks.acquire({"a"})

    async def use(number: int) -> None:
        taken = await locks.acquire({"a"})
        order.append(number)
        await asyncio.sleep(0)
        order.append(number)
        locks.release(taken)

    users = [asyncio.create_task(use(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert order == []
    locks.release(held)
    await asyncio.gather(*users)
    assert order == [0, 0, 1, 1, 2, 2]


async def test_users_of_crossing_streams_do_not_wait_for_each_other_for_ever() -> None:
    locks = StreamLocks()

    async def use(*streams: str) -> None:
        for _ in range(20):
            taken = await locks.acquire(streams)
            await asyncio.sleep(0)
            locks.release(taken)

    await asyncio.wait_for(
        asyncio.gather(use("a", "b"), use("b", "a"), use("c", "a")), timeout=10
    )


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    locks = StreamLocks()
    held = await locks.acquire({"a"})
    first, second = (asyncio.create_task(locks.acquire({"a"})) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    locks.release(held)
    assert await second == ["a"]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_who_is_cancelled_with_the_turn_in_hand_passes_it_on() -> None:
    locks = StreamLocks()
    held = await locks.acquire({"a"})
    first, second = (asyncio.create_task(locks.acquire({"a"})) for _ in range(2))
    await asyncio.sleep(0)
    locks.release(held)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == ["a"]


async def test_who_cannot_have_every_lock_keeps_none() -> None:
    locks = StreamLocks()
    held = await locks.acquire({"b"})
    waiting = asyncio.create_task(locks.acquire({"a", "b"}))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await locks.acquire({"a"}) == ["a"]
    locks.release(held)
    assert await locks.acquire({"b"}) == ["b"]
