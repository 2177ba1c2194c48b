"""What follows from the facts of a ledger."""

from typing import Any

import pytest

from events.message import Event
from events.playgrounds.allocations import SlotConsumed, SlotReleased, SlotReserved
from services.playgrounds.reactions import EXPIRE, REACTIONS
from services.ports import Job
from services.reactions import Close
from tests.given import given
from tests.recorded import recorded
from tests.services.playgrounds.examples import (
    PLAYGROUND,
    a_playground,
    a_slot,
    as_tester,
    session,
)


TIMER = f"{EXPIRE}:{session(1)}"


def reactions_to(event: Event) -> list[Any]:
    (fact,) = recorded(event)
    return [asked for react in REACTIONS[type(event)] for asked in react(fact)]


def test_a_reserved_place_starts_its_timer() -> None:
    events = given(a_playground(2)).when(a_slot(1), meta=as_tester("tess")).events
    slot = events[0]
    assert isinstance(slot, SlotReserved)
    (timer,) = reactions_to(slot)
    assert isinstance(timer, Job)
    assert (timer.kind, timer.effect_key) == (EXPIRE, TIMER)
    assert timer.not_before == slot.expires_at
    assert timer.body == {
        "playground_id": str(PLAYGROUND),
        "session_id": str(session(1)),
    }


@pytest.mark.parametrize(
    ("kind", "more"), [(SlotConsumed, {}), (SlotReleased, {"reason": "abandoned"})]
)
def test_a_place_that_is_used_or_released_stops_it(kind: Any, more: Any) -> None:  # noqa: ANN401 - a class and fields
    settled = kind(
        playground_id=PLAYGROUND,
        session_id=session(1),
        tester="tess",
        model_key="model_a",
        **more,
    )
    assert reactions_to(settled) == [Close(effect_key=TIMER)]
