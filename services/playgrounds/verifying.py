"""The proof of a playground's ledger: every decision made again from the facts before.

The ledger's facts are read in order. A reservation has to be the one that the rules
give for the seed and the facts before it; a place is used or freed only while it is
reserved; at no moment does a tester have two places, or a model more than its cap.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

import msgspec

from events.ids import PlaygroundId
from events.playgrounds.allocations import (
    AllocationEvent,
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
from services.playgrounds.assignment import choose
from services.playgrounds.ledger_states import Count, Ledger, evolve


class Flaw(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a fact of a ledger, by its version in the stream."""

    version: int
    problem: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger's facts come to: allocations made again, counts, and flaws."""

    playground_id: PlaygroundId
    events: int
    allocations: int
    counts: Mapping[str, Count]
    reserved: int
    flaws: list[Flaw]

    @property
    def ok(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.flaws


def proof(playground_id: PlaygroundId, facts: Iterable[AllocationEvent]) -> Proof:
    """Return the proof of a ledger's facts, all of them and in order."""
    state, flaws, allocations, version = Ledger(), list[Flaw](), 0, 0
    for version, event in enumerate(facts, start=1):
        problems = list(problems_of(state, event))
        allocations += isinstance(event, SlotReserved)
        state = evolve(state, event)
        problems += overfull(state)
        flaws += [Flaw(version=version, problem=problem) for problem in problems]
    return Proof(
        playground_id=playground_id,
        events=version,
        allocations=allocations,
        counts=state.counts,
        reserved=len(state.slots),
        flaws=flaws,
    )


def problems_of(  # noqa: C901, PLR0912 - one arm for each event
    state: Ledger, event: AllocationEvent
) -> Iterator[str]:
    """Yield what is wrong with a fact after those that led to a state."""
    match event:
        case LedgerOpened():
            if state.opened is not None:
                yield "The ledger was open already."
        case SlotReserved():
            yield from misgiven(state, event)
        case SlotConsumed() | SlotReleased():
            slot = state.slots.get(event.session_id)
            if slot is None:
                yield f"No place was reserved for {event.session_id}."
            elif (slot.tester, slot.model_key) != (event.tester, event.model_key):
                yield f"The place of {event.session_id} was another's."
        case SlotReturned():
            if state.count(event.model_key).consumed == 0:
                yield f"No place of {event.model_key} was used."
        case CapReached():
            if state.count(event.model_key).consumed != state.cap(event.model_key):
                yield f"Places of {event.model_key} were left."
        case SlotImported():
            if event.number != state.number + 1:
                yield "It is counted wrongly."
        case LedgerAdjusted() | LedgerClosed():
            return
        case _:
            assert_never(event)


def misgiven(state: Ledger, event: SlotReserved) -> Iterator[str]:
    """Yield in what a reservation differs from the one that the rules give."""
    tester = state.tester(event.tester)
    if state.opened is None or state.terms is None or not state.terms.is_open:
        yield "No places were given then."
        return
    if tester.open is not None:
        yield f"The tester {event.tester} had {tester.open} open."
    if (event.number, event.ordinal) != (state.number + 1, tester.given + 1):
        yield "It is counted wrongly."
    candidates = list(state.candidates(event.tester))
    if event.candidates != candidates:
        yield "The candidates were others."
    if not candidates:
        return
    choice = choose(candidates, seed=state.opened.seed, number=state.number + 1)
    if (event.model_key, event.reason) != (choice.model_key, choice.reason):
        yield f"The rules give {choice.model_key} ({choice.reason})."


def overfull(state: Ledger) -> Iterator[str]:
    """Yield which models have more places taken than they have."""
    for model_key, count in state.counts.items():
        if count.taken > state.cap(model_key):
            yield f"{count.taken} places of {model_key} are taken."
