"""A playground's ledger as its rules see it, folded from its facts.

It grows with the testers and not with the evaluations, and a fact changes it without
copying what it does not concern: testers are kept in a map that shares its parts.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import assert_never

import msgspec
from immutables import Map
from msgspec.structs import replace

from events.ids import EvaluationId
from events.playgrounds.allocations import (
    AllocationEvent,
    Candidate,
    CapReached,
    LedgerAdjusted,
    LedgerClosed,
    LedgerOpened,
    SlotConsumed,
    SlotImported,
    SlotReleased,
    SlotReserved,
    SlotReturned,
)


class Count(msgspec.Struct, frozen=True):
    """How many places of a model are used, are reserved, and were ever given."""

    consumed: int = 0
    reserved: int = 0
    given: int = 0

    @property
    def taken(self) -> int:
        """Return how many places are not free."""
        return self.consumed + self.reserved


class Tester(msgspec.Struct, frozen=True):
    """What a tester was given: how often each model was shown, and evaluated.

    `open` is the evaluation that the tester has under way, `last` the one before, with
    its model, of those that were submitted.
    """

    __test__ = False

    open: EvaluationId | None = None
    given: int = 0
    shown: Mapping[str, int] = msgspec.field(default_factory=dict)
    evaluated: Mapping[str, int] = msgspec.field(default_factory=dict)
    last: tuple[EvaluationId, str] | None = None


class Ledger(msgspec.Struct, frozen=True):
    """A ledger as its rules see it; `slots` are the reserved ones, oldest first."""

    opened: LedgerOpened | None = None
    terms: LedgerAdjusted | None = None
    counts: Mapping[str, Count] = msgspec.field(default_factory=dict)
    slots: Mapping[EvaluationId, SlotReserved] = msgspec.field(default_factory=dict)
    testers: Map[str, Tester] = msgspec.field(default_factory=Map)
    number: int = 0
    closed: bool = False

    def count(self, model_key: str) -> Count:
        """Return the count of a model."""
        return self.counts.get(model_key, Count())

    def tester(self, tester: str) -> Tester:
        """Return what a tester was given."""
        return self.testers.get(tester, Tester())

    def cap(self, model_key: str) -> int:
        """Return how many places a model has, 0 if it is not evaluated any more."""
        places = self.terms.places if self.terms else []
        return next((each.cap for each in places if each.model_key == model_key), 0)

    def candidates(self, tester: str) -> Iterator[Candidate]:
        """Yield the models that a tester may be given, in the order of the terms."""
        known = self.tester(tester)
        for place in self.terms.places if self.terms else ():
            taken = self.count(place.model_key).taken
            if taken < place.cap and self.wants(known, place.model_key):
                yield Candidate(
                    model_key=place.model_key,
                    taken=taken,
                    cap=place.cap,
                    shown=known.shown.get(place.model_key, 0),
                )

    def wants(self, tester: Tester, model_key: str) -> bool:
        """Say whether a tester may evaluate a model once more."""
        most = self.terms.repetitions if self.terms else 0
        return most is None or tester.evaluated.get(model_key, 0) < most

    def expired(self, now: datetime, *, most: int) -> list[SlotReserved]:
        """Return the oldest reserved places whose time is over."""
        found: list[SlotReserved] = []
        for slot in self.slots.values():
            if slot.expires_at > now or len(found) == most:
                break
            found.append(slot)
        return found


def evolve(  # noqa: PLR0911 - one return for each event
    state: Ledger, event: AllocationEvent
) -> Ledger:
    """Return the state after an event."""
    match event:
        case LedgerOpened():
            return replace(state, opened=event)
        case LedgerAdjusted():
            return replace(state, terms=event)
        case SlotReserved():
            return reserved(state, event)
        case SlotConsumed():
            return consumed(state, event)
        case SlotReleased():
            return released(state, event)
        case SlotReturned(model_key=model_key):
            return with_count(state, model_key, consumed=-1)
        case SlotImported():
            return imported(state, event)
        case CapReached():
            return state
        case LedgerClosed():
            return replace(state, closed=True)
        case _:
            assert_never(event)


def reserved(state: Ledger, event: SlotReserved) -> Ledger:
    """Return the state with one more place reserved."""
    tester, key = state.tester(event.tester), event.model_key
    known = replace(
        tester,
        open=event.session_id,
        given=event.ordinal,
        shown={**tester.shown, key: tester.shown.get(key, 0) + 1},
    )
    counted = with_count(state, key, reserved=1, given=1)
    return replace(
        counted,
        slots={**state.slots, event.session_id: event},
        testers=state.testers.set(event.tester, known),
        number=event.number,
    )


def consumed(state: Ledger, event: SlotConsumed) -> Ledger:
    """Return the state with a reserved place used."""
    tester, key = state.tester(event.tester), event.model_key
    known = replace(
        tester,
        open=None,
        evaluated={**tester.evaluated, key: tester.evaluated.get(key, 0) + 1},
        last=(event.session_id, key),
    )
    counted = with_count(state, key, reserved=-1, consumed=1)
    return replace(
        counted,
        slots=without(state, event.session_id),
        testers=state.testers.set(event.tester, known),
    )


def imported(state: Ledger, event: SlotImported) -> Ledger:
    """Return the state with one more place used."""
    tester, key = state.tester(event.tester), event.model_key
    known = replace(
        tester,
        given=event.ordinal,
        shown={**tester.shown, key: tester.shown.get(key, 0) + 1},
        evaluated={**tester.evaluated, key: tester.evaluated.get(key, 0) + 1},
        last=(event.session_id, key),
    )
    counted = with_count(state, key, consumed=1, given=1)
    return replace(
        counted,
        testers=state.testers.set(event.tester, known),
        number=event.number,
    )


def released(state: Ledger, event: SlotReleased) -> Ledger:
    """Return the state with a reserved place free again."""
    known = replace(state.tester(event.tester), open=None)
    counted = with_count(state, event.model_key, reserved=-1)
    return replace(
        counted,
        slots=without(state, event.session_id),
        testers=state.testers.set(event.tester, known),
    )


def with_count(
    state: Ledger,
    model_key: str,
    *,
    consumed: int = 0,
    reserved: int = 0,
    given: int = 0,
) -> Ledger:
    """Return the state with a model's count changed."""
    count = state.count(model_key)
    changed = Count(
        consumed=count.consumed + consumed,
        reserved=count.reserved + reserved,
        given=count.given + given,
    )
    return replace(state, counts={**state.counts, model_key: changed})


def without(
    state: Ledger, session_id: EvaluationId
) -> Mapping[EvaluationId, SlotReserved]:
    """Return the reserved places without one."""
    return {key: slot for key, slot in state.slots.items() if key != session_id}
