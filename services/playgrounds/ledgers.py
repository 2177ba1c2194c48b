"""A playground's ledger: the only writer of its counters.

A place is reserved before a model is shown, used by the append that submits the
evaluation, and released when it was not used in time. A tester has at most one place
reserved; of a model never more places are reserved and used than its cap.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, assert_never, get_args

from events.errors import Forbidden, Refused
from events.ids import EvaluationId, PlaygroundId, SubjectId
from events.message import Command
from events.message import Meta as Envelope
from events.people import person_id
from events.playgrounds.allocations import (
    AllocationEvent,
    CapReached,
    Lapse,
    LedgerAdjusted,
    LedgerClosed,
    LedgerOpened,
    Place,
    SlotConsumed,
    SlotImported,
    SlotReleased,
    SlotReserved,
    SlotReturned,
)
from services.decider import Decider
from services.playgrounds.asking import (
    AdjustLedger,
    AdmitSlot,
    CloseLedger,
    ConfirmTester,
    ConsumeSlot,
    ExpireSlot,
    LapseEvaluation,
    OpenEvaluation,
    OpenLedger,
    ReleaseSlot,
    ReturnSlot,
    Terms,
)
from services.playgrounds.assignment import choose
from services.playgrounds.common import PERSON, PlaygroundsCommand, still_there
from services.playgrounds.ledger_states import Ledger, evolve


EXPIRED_AT_ONCE: Final = 16


class ReserveSlot(PlaygroundsCommand, frozen=True, kw_only=True):
    """Reserve a place, and be given a model to evaluate, as the person who asks.

    `session_id` names the new evaluation. Who has one under way finishes it first.
    """

    playground_id: PlaygroundId
    session_id: EvaluationId


LedgerCommand = ReserveSlot
AnyLedgerCommand = (
    ReserveSlot
    | OpenLedger
    | AdjustLedger
    | CloseLedger
    | ConsumeSlot
    | ReleaseSlot
    | ExpireSlot
    | ReturnSlot
    | AdmitSlot
)


class NotAPerson(Forbidden):
    """Only a person evaluates."""


class NotActive(Refused):
    """The playground is not active."""


class OneAtATime(Refused):
    """This tester has an evaluation under way."""


class NothingLeft(Refused):
    """This tester has evaluated every model as often as is asked."""


class Full(Refused):
    """Every place is taken."""


class AllReserved(Refused):
    """Every place is taken or reserved; one may become free."""


class NotReserved(Refused):
    """No place is reserved for this evaluation any more."""


class PlacesTaken(Refused):
    """More places of this model are taken already."""


class ModelShownBefore(Refused):
    """A model that somebody was shown cannot be removed."""


class EvaluationsExist(Refused):
    """A playground in which somebody was shown a model is archived, not deleted."""


def decide(  # noqa: PLR0911 - one return for each command
    command: AnyLedgerCommand, state: Ledger, meta: Envelope
) -> list[AllocationEvent]:
    """Return what happens: places are given, used and freed."""
    if isinstance(command, OpenLedger):
        return open_ledger(command, state)
    opened = still_there(state.opened, gone=state.closed, path="$.playground_id")
    match command:
        case ReserveSlot():
            return reserve(command, state, opened, meta)
        case AdjustLedger():
            return adjust(command, state, opened)
        case CloseLedger():
            return close(command, state)
        case ConsumeSlot():
            return consume(command, state)
        case ReleaseSlot():
            return release(command, state, "abandoned")
        case ExpireSlot():
            return release(command, state, "expired")
        case ReturnSlot():
            return give_back(command)
        case AdmitSlot():
            return admit(command, state)
        case _:
            assert_never(command)


def open_ledger(command: OpenLedger, state: Ledger) -> list[AllocationEvent]:
    """Open a ledger once, with its first terms."""
    if state.opened is not None:
        return []
    opened = LedgerOpened(
        playground_id=command.playground_id, owner=command.owner, seed=command.seed
    )
    return [opened, terms_of(command.playground_id, opened, command.terms)]


def terms_of(
    playground_id: PlaygroundId, opened: LedgerOpened, terms: Terms
) -> LedgerAdjusted:
    """Return terms as the fact that sets them."""
    return LedgerAdjusted(
        playground_id=playground_id,
        owner=opened.owner,
        places=[
            Place(model_key=model_key, cap=cap)
            for model_key, cap in terms.places.items()
        ],
        repetitions=terms.repetitions,
        hold_seconds=terms.hold_seconds,
        revision=terms.revision,
        is_open=terms.is_open,
    )


def adjust(
    command: AdjustLedger, state: Ledger, opened: LedgerOpened
) -> list[AllocationEvent]:
    """Set new terms, which cannot take back what was given."""
    places = command.terms.places
    for model_key, count in state.counts.items():
        if count.given and model_key not in places:
            raise ModelShownBefore(path="$.model_key")
        if places.get(model_key, 0) < count.taken:
            message = f"{count.taken} places of {model_key} are taken already."
            raise PlacesTaken(message, path="$.max_evaluations")
    adjusted = terms_of(command.playground_id, opened, command.terms)
    return [] if adjusted == state.terms else [adjusted]


def close(command: CloseLedger, state: Ledger) -> list[AllocationEvent]:
    """Close a ledger from which no place was given."""
    if state.number:
        raise EvaluationsExist(path="$.playground_id")
    return [LedgerClosed(playground_id=command.playground_id)]


def reserve(
    command: ReserveSlot, state: Ledger, opened: LedgerOpened, meta: Envelope
) -> list[AllocationEvent]:
    """Give a tester a place; first free those whose time is over."""
    if not meta.actor.startswith(PERSON):
        raise NotAPerson
    known = state.slots.get(command.session_id)
    if known is not None and known.tester == meta.actor_id:
        return []
    freed = [
        freeing(slot, "expired")
        for slot in state.expired(meta.occurred_at, most=EXPIRED_AT_ONCE)
    ]
    for event in freed:
        state = evolve(state, event)
    return [*freed, reservation(command, state, opened, meta)]


def reservation(
    command: ReserveSlot, state: Ledger, opened: LedgerOpened, meta: Envelope
) -> SlotReserved:
    """Return the reservation that a tester gets, or refuse."""
    terms, tester = state.terms, state.tester(meta.actor_id)
    if terms is None or not terms.is_open:
        raise NotActive(path="$.playground_id")
    if tester.open is not None:
        message = f"This tester has an evaluation under way: {tester.open}."
        raise OneAtATime(message, path="$.session_id")
    candidates = list(state.candidates(meta.actor_id))
    if not candidates:
        raise why_none(state, meta.actor_id)
    number = state.number + 1
    choice = choose(candidates, seed=opened.seed, number=number)
    previous_session_id, previous_model_key = previous(state, meta, choice.model_key)
    return SlotReserved(
        playground_id=command.playground_id,
        session_id=command.session_id,
        tester=meta.actor_id,
        number=number,
        ordinal=tester.given + 1,
        model_key=choice.model_key,
        reason=choice.reason,
        candidates=candidates,
        revision=terms.revision,
        expires_at=meta.occurred_at + timedelta(seconds=terms.hold_seconds),
        previous_session_id=previous_session_id,
        previous_model_key=previous_model_key,
    )


def why_none(state: Ledger, tester: str) -> Refused:
    """Return why there is no place for a tester."""
    known = state.tester(tester)
    places = state.terms.places if state.terms else []
    wanted = [each for each in places if state.wants(known, each.model_key)]
    if not wanted:
        return NothingLeft(path="$.playground_id")
    if any(state.count(each.model_key).reserved for each in wanted):
        return AllReserved(path="$.playground_id")
    return Full(path="$.playground_id")


def previous(
    state: Ledger, meta: Envelope, model_key: str
) -> tuple[EvaluationId | None, str | None]:
    """Return the tester's last evaluation, if it was of another model."""
    last = state.tester(meta.actor_id).last
    return last if last and last[1] != model_key else (None, None)


def consume(command: ConsumeSlot, state: Ledger) -> list[AllocationEvent]:
    """Use a reserved place, and say so when it was the last."""
    slot = state.slots.get(command.session_id)
    if slot is None:
        raise NotReserved(path="$.session_id")
    used = SlotConsumed(
        playground_id=command.playground_id,
        session_id=command.session_id,
        tester=slot.tester,
        model_key=slot.model_key,
    )
    cap = state.cap(slot.model_key)
    if state.count(slot.model_key).consumed + 1 < cap:
        return [used]
    reached = CapReached(
        playground_id=command.playground_id, model_key=slot.model_key, cap=cap
    )
    return [used, reached]


def release(
    command: ReleaseSlot | ExpireSlot, state: Ledger, reason: Lapse
) -> list[AllocationEvent]:
    """Release a place, if it is reserved."""
    slot = state.slots.get(command.session_id)
    return [freeing(slot, reason)] if slot else []


def freeing(slot: SlotReserved, reason: Lapse) -> SlotReleased:
    """Return the fact that a reserved place is free."""
    return SlotReleased(
        playground_id=slot.playground_id,
        session_id=slot.session_id,
        tester=slot.tester,
        model_key=slot.model_key,
        reason=reason,
    )


def give_back(command: ReturnSlot) -> list[AllocationEvent]:
    """Free a used place; its evaluation asks for that once."""
    return [
        SlotReturned(
            playground_id=command.playground_id,
            session_id=command.session_id,
            model_key=command.model_key,
            reason=command.reason,
        )
    ]


def admit(command: AdmitSlot, state: Ledger) -> list[AllocationEvent]:
    """Count a place that was used elsewhere, if there is one left."""
    if state.count(command.model_key).taken >= state.cap(command.model_key):
        raise Full(path="$.model_key")
    return [
        SlotImported(
            playground_id=command.playground_id,
            session_id=command.session_id,
            tester=command.tester,
            number=state.number + 1,
            ordinal=state.tester(command.tester).given + 1,
            model_key=command.model_key,
        )
    ]


def also(command: AnyLedgerCommand, state: Ledger, meta: Envelope) -> Sequence[Command]:
    """Ask for the evaluation's own stream, and whether the tester may evaluate."""
    match command:
        case ReserveSlot() if state.opened:
            return list(reserved(command, state, state.opened, meta))
        case ExpireSlot():
            return [LapseEvaluation(session_id=command.session_id, reason="expired")]
        case _:
            return []


def reserved(
    command: ReserveSlot, state: Ledger, opened: LedgerOpened, meta: Envelope
) -> Iterator[Command]:
    """Yield what a reservation asks of the playground and of evaluations."""
    yield ConfirmTester(playground_id=command.playground_id)
    subject_id = SubjectId(person_id(meta.org_id, meta.actor_id))
    for event in reserve(command, state, opened, meta):
        match event:
            case SlotReleased():
                yield LapseEvaluation(session_id=event.session_id, reason="expired")
            case SlotReserved():
                yield OpenEvaluation(
                    session_id=event.session_id,
                    slot=event,
                    owner=opened.owner,
                    subject_id=subject_id,
                )
            case _:
                pass


decider: Final = Decider[AnyLedgerCommand, Ledger, AllocationEvent](
    category="playgrounds.allocation",
    commands=get_args(AnyLedgerCommand),
    events=get_args(AllocationEvent),
    initial=Ledger(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.playground_id,
    also=also,
    internal=(
        OpenLedger,
        AdjustLedger,
        CloseLedger,
        ConsumeSlot,
        ReleaseSlot,
        ExpireSlot,
        ReturnSlot,
        AdmitSlot,
    ),
)
