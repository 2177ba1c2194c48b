"""Reserved places are released when their time is over."""

import pytest

from events.playgrounds.allocations import SlotConsumed, SlotReleased
from events.playgrounds.evaluations import EvaluationLapsed
from services.playgrounds.evaluations import SlotExpired
from services.playgrounds.playgrounds import ChangePlayground
from tests.services.playgrounds.examples import (
    PLAYGROUND,
    a_playground,
    a_slot,
    a_submission,
    session,
)
from tests.services.work.floor import Floor


SOON = ChangePlayground(playground_id=PLAYGROUND, hold_seconds=60)


async def reserved() -> Floor:
    floor = Floor()
    await floor.ask(a_playground(1), SOON)
    await floor.ask(a_slot(1), by="user:tess")
    await floor.settle()
    return floor


async def test_a_place_is_held_until_its_time_is_over_and_then_released() -> None:
    floor = await reserved()
    floor.later(59)
    await floor.settle()
    assert await floor.events(SlotReleased) == []
    floor.later(1)
    await floor.settle()
    (released,) = await floor.events(SlotReleased)
    assert (released.session_id, released.reason) == (session(1), "expired")
    assert len(await floor.events(EvaluationLapsed)) == 1
    with pytest.raises(SlotExpired):
        await floor.ask(a_submission(1), by="user:tess")
    await floor.ask(a_slot(2), by="user:tom")


async def test_a_worker_that_dies_does_not_lose_a_place() -> None:
    floor = await reserved()
    floor.later(60)
    await floor.pause()
    await floor.settle()
    assert len(await floor.events(SlotReleased)) == 1


async def test_a_place_that_was_used_stays_used() -> None:
    floor = await reserved()
    await floor.ask(a_submission(1), by="user:tess")
    await floor.settle()
    floor.later(3_600)
    await floor.settle()
    assert len(await floor.events(SlotConsumed)) == 1
    assert await floor.events(SlotReleased) == []
