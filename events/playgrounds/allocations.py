"""Facts of a playground's ledger: the only place where places are given and counted.

Every decision rests on the facts before it in the same stream, so that anybody can make
it again: `services.playgrounds.verifying` does.
"""

from datetime import datetime
from typing import Literal

import msgspec

from events.ids import EvaluationId, PlaygroundId
from events.playgrounds.common import PlaygroundsEvent


Why = Literal["only", "unseen", "least_filled", "tie_break"]
Lapse = Literal["expired", "abandoned"]
Return = Literal["withdrawn", "excluded"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A model and how many evaluations it may have at most."""

    model_key: str
    cap: int


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A model that could be given: how many of its places are taken.

    `shown` is how often the tester was shown it before.
    """

    model_key: str
    taken: int
    cap: int
    shown: int


class LedgerOpened(PlaygroundsEvent, frozen=True, kw_only=True):
    """A playground's places are counted from here on; `seed` decides ties."""

    playground_id: PlaygroundId
    owner: str
    seed: int


class LedgerAdjusted(PlaygroundsEvent, frozen=True, kw_only=True):
    """Places are given by these terms from now on.

    `revision` is that of the questions, `is_open` whether places are given at all.
    """

    playground_id: PlaygroundId
    owner: str
    places: list[Place]
    repetitions: int | None
    hold_seconds: int
    revision: int
    is_open: bool


class SlotReserved(PlaygroundsEvent, frozen=True, kw_only=True):
    """A tester was given a place with a model, until `expires_at`.

    `number` counts all places ever given here, `ordinal` those of this tester, both
    from 1. `previous_model_key` is the model that the tester evaluated before.
    """

    playground_id: PlaygroundId
    session_id: EvaluationId
    tester: str
    number: int
    ordinal: int
    model_key: str
    reason: Why
    candidates: list[Candidate]
    revision: int
    expires_at: datetime
    previous_session_id: EvaluationId | None = None
    previous_model_key: str | None = None


class SlotConsumed(PlaygroundsEvent, frozen=True, kw_only=True):
    """A place was used: its evaluation was submitted."""

    playground_id: PlaygroundId
    session_id: EvaluationId
    tester: str
    model_key: str


class SlotReleased(PlaygroundsEvent, frozen=True, kw_only=True):
    """A place that was reserved is free again, unused."""

    playground_id: PlaygroundId
    session_id: EvaluationId
    tester: str
    model_key: str
    reason: Lapse


class SlotReturned(PlaygroundsEvent, frozen=True, kw_only=True):
    """A place that was used is free again: its evaluation does not count any more."""

    playground_id: PlaygroundId
    session_id: EvaluationId
    model_key: str
    reason: Return


class SlotImported(PlaygroundsEvent, frozen=True, kw_only=True):
    """A place was used elsewhere, by an evaluation that was imported with it."""

    playground_id: PlaygroundId
    session_id: EvaluationId
    tester: str
    number: int
    ordinal: int
    model_key: str


class CapReached(PlaygroundsEvent, frozen=True, kw_only=True):
    """Every place of a model was used."""

    playground_id: PlaygroundId
    model_key: str
    cap: int


class LedgerClosed(PlaygroundsEvent, frozen=True, kw_only=True):
    """The playground was deleted before any place was given."""

    playground_id: PlaygroundId


AllocationEvent = (
    LedgerOpened
    | LedgerAdjusted
    | SlotReserved
    | SlotConsumed
    | SlotReleased
    | SlotReturned
    | SlotImported
    | CapReached
    | LedgerClosed
)
