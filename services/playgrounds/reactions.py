"""What follows from the facts of a ledger: a reserved place is released in time.

The timer is a job that is due when the place's time is over, and is closed when the
place is used or released before. It is asked for by the reservation, so no restart
loses it.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from events.ids import EvaluationId, PlaygroundId
from events.message import Recorded
from events.playgrounds.allocations import SlotConsumed, SlotReleased, SlotReserved
from services.reactions import Close, Reaction, Reactions, job


EXPIRE: Final = "expire_slot"
MAX_ATTEMPTS: Final = 100  # a place that is never released would be lost


class ExpireBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job that releases a place."""

    playground_id: PlaygroundId
    session_id: EvaluationId


def on_reserved(recorded: Recorded[SlotReserved]) -> Sequence[Reaction]:
    """Ask that the place is released when its time is over."""
    slot = recorded.event
    body = ExpireBody(playground_id=slot.playground_id, session_id=slot.session_id)
    asked = job(
        recorded,
        EXPIRE,
        body=msgspec.to_builtins(body),
        key=f"playgrounds.evaluation-{slot.session_id}",
        not_before=slot.expires_at,
        max_attempts=MAX_ATTEMPTS,
    )
    return (replace(asked, effect_key=timer_of(slot.session_id)),)


def on_settled(
    recorded: Recorded[SlotConsumed] | Recorded[SlotReleased],
) -> Sequence[Reaction]:
    """Stop the timer of a place that was used or released."""
    return (Close(effect_key=timer_of(recorded.event.session_id)),)


def timer_of(session_id: EvaluationId) -> str:
    """Return the effect key of a place's timer."""
    return f"{EXPIRE}:{session_id}"


REACTIONS: Final[Reactions] = {
    SlotReserved: (on_reserved,),
    SlotConsumed: (on_settled,),
    SlotReleased: (on_settled,),
}
