"""An evaluation: opened with a reserved place, submitted once, or lapsed.

Submission and the use of its place are one append; so are a withdrawal or an exclusion
and the return of the place.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.errors import Forbidden, Missing, Refused
from events.ids import EvaluationId, PlaygroundId, QuestionId, SubjectId
from events.message import Command
from events.message import Meta as Envelope
from events.playgrounds.evaluations import (
    Answer,
    EvaluationEvent,
    EvaluationExcluded,
    EvaluationLapsed,
    EvaluationOpened,
    EvaluationSubmitted,
    EvaluationWithdrawn,
    ModelShown,
    TextAnswered,
)
from services.decider import Decider
from services.playgrounds.asking import (
    AdmitSlot,
    ConfirmAnswers,
    ConfirmOwner,
    ConsumeSlot,
    GivenAnswer,
    LapseEvaluation,
    OpenEvaluation,
    ReleaseSlot,
    ReturnSlot,
)
from services.playgrounds.common import (
    AlreadyExists,
    Count,
    ModelKey,
    PlaygroundsCommand,
    Reason,
    check_owner,
)


MAX_ANSWERS: Final = 100
LONGEST_MS: Final = 7 * 24 * 3_600 * 1_000


class ShowModel(PlaygroundsCommand, frozen=True, kw_only=True):
    """Say that the tester was shown the model."""

    session_id: EvaluationId


class SubmitEvaluation(PlaygroundsCommand, frozen=True, kw_only=True):
    """Submit an evaluation with its answers, as its tester, while its place is held.

    `time_spent_ms` is how long the tester was at it. Submitting the same again changes
    nothing.
    """

    session_id: EvaluationId
    answers: Annotated[list[GivenAnswer], Meta(max_length=MAX_ANSWERS)]
    time_spent_ms: Annotated[int, Meta(ge=0, le=LONGEST_MS)] | None = None


class AbandonEvaluation(PlaygroundsCommand, frozen=True, kw_only=True):
    """Give up an evaluation that is under way, as its tester; its place is free."""

    session_id: EvaluationId


class WithdrawEvaluation(PlaygroundsCommand, frozen=True, kw_only=True):
    """Take a submitted evaluation back, as its tester; it does not count any more."""

    session_id: EvaluationId


class ExcludeEvaluation(PlaygroundsCommand, frozen=True, kw_only=True):
    """Exclude a submitted evaluation, as the playground's owner, and say why."""

    session_id: EvaluationId
    reason: Reason


class ImportEvaluation(PlaygroundsCommand, frozen=True, kw_only=True):
    """Import an evaluation that was submitted elsewhere, with the place that it used.

    What was answered has to fit the questions as they are now; nothing is required.
    `ordinal` counts the tester's evaluations from 1.
    """

    session_id: EvaluationId
    playground_id: PlaygroundId
    user_id: UUID
    model_key: ModelKey
    ordinal: Count
    answers: Annotated[list[GivenAnswer], Meta(max_length=MAX_ANSWERS)]


EvaluationCommand = (
    ShowModel
    | SubmitEvaluation
    | AbandonEvaluation
    | WithdrawEvaluation
    | ExcludeEvaluation
    | ImportEvaluation
)
AnyEvaluationCommand = EvaluationCommand | OpenEvaluation | LapseEvaluation


class NotYourEvaluation(Forbidden):
    """This is the evaluation of another tester."""


class SlotExpired(Refused):
    """The time for this evaluation is over, and its place was given back."""


class EvaluationEnded(Refused):
    """This evaluation is over."""


class AlreadySubmitted(Refused):
    """This evaluation was submitted with other answers."""


class NotSubmitted(Refused):
    """This evaluation was not submitted."""


class Evaluation(msgspec.Struct, frozen=True):
    """An evaluation as its rules see it."""

    opened: EvaluationOpened | None = None
    shown: bool = False
    submitted: EvaluationSubmitted | None = None
    texts: tuple[tuple[QuestionId, str], ...] = ()
    lapsed: str | None = None
    dropped: str | None = None


def evolve(  # noqa: PLR0911 - one return for each event
    state: Evaluation, event: EvaluationEvent
) -> Evaluation:
    """Return the state after an event."""
    match event:
        case EvaluationOpened():
            return replace(state, opened=event)
        case ModelShown():
            return replace(state, shown=True)
        case EvaluationSubmitted():
            return replace(state, submitted=event)
        case TextAnswered(question_id=question_id, text=text):
            return replace(state, texts=(*state.texts, (question_id, text)))
        case EvaluationLapsed(reason=reason):
            return replace(state, lapsed=reason)
        case EvaluationWithdrawn():
            return replace(state, dropped="withdrawn")
        case EvaluationExcluded():
            return replace(state, dropped="excluded")
        case _:
            assert_never(event)


def decide(  # noqa: PLR0911 - one return for each command
    command: AnyEvaluationCommand, state: Evaluation, meta: Envelope
) -> list[EvaluationEvent]:
    """Return what happens: an evaluation is opened once, and ends once."""
    if isinstance(command, OpenEvaluation):
        return open_evaluation(command, state)
    if isinstance(command, ImportEvaluation):
        return bring_in(command, state, meta)
    opened = state.opened
    if opened is None:
        raise Missing(path="$.session_id")
    match command:
        case ShowModel():
            return show(command, state, opened, meta)
        case SubmitEvaluation():
            return submit(command, state, opened, meta)
        case AbandonEvaluation():
            return abandon(command, state, opened, meta)
        case WithdrawEvaluation():
            return withdraw(command, state, opened, meta)
        case ExcludeEvaluation():
            return exclude(command, state, opened, meta)
        case LapseEvaluation():
            return lapse(command, state, opened)
        case _:
            assert_never(command)


def open_evaluation(
    command: OpenEvaluation, state: Evaluation
) -> list[EvaluationEvent]:
    """Open an evaluation that nobody opened."""
    if state.opened is not None:
        raise AlreadyExists(path="$.session_id")
    slot = command.slot
    return [
        EvaluationOpened(
            session_id=command.session_id,
            playground_id=slot.playground_id,
            owner=command.owner,
            tester=slot.tester,
            subject_id=command.subject_id,
            model_key=slot.model_key,
            number=slot.number,
            ordinal=slot.ordinal,
            revision=slot.revision,
            expires_at=slot.expires_at,
            previous_session_id=slot.previous_session_id,
            previous_model_key=slot.previous_model_key,
        )
    ]


def bring_in(
    command: ImportEvaluation, state: Evaluation, meta: Envelope
) -> list[EvaluationEvent]:
    """Import an evaluation once; it is opened and submitted at the time it is of."""
    opened = EvaluationOpened(
        session_id=command.session_id,
        playground_id=command.playground_id,
        owner=meta.actor_id,
        tester=str(command.user_id),
        subject_id=SubjectId(command.user_id),
        model_key=command.model_key,
        number=0,
        ordinal=command.ordinal,
        revision=0,
        expires_at=meta.occurred_at,
    )
    facts: list[EvaluationEvent] = [opened, *submission_of(command, opened)]
    if state.opened is None:
        return facts
    if state.submitted is None or facts != [
        state.opened,
        *known_submission(state, state.submitted, opened),
    ]:
        raise AlreadyExists(path="$.session_id")
    return []


def check_tester(opened: EvaluationOpened, meta: Envelope) -> None:
    """Raise unless the tester asks."""
    if meta.actor_id != opened.tester:
        raise NotYourEvaluation(path="$.session_id")


def check_held(state: Evaluation, opened: EvaluationOpened, meta: Envelope) -> None:
    """Raise unless the evaluation's place is held still."""
    if state.lapsed == "abandoned":
        raise EvaluationEnded("This evaluation was given up.", path="$.session_id")
    if state.lapsed or meta.occurred_at > opened.expires_at:
        message = f"{SlotExpired()} It was held until {opened.expires_at.isoformat()}."
        raise SlotExpired(message, path="$.session_id")


def show(
    command: ShowModel, state: Evaluation, opened: EvaluationOpened, meta: Envelope
) -> list[EvaluationEvent]:
    """Say once that the model was shown."""
    check_tester(opened, meta)
    if state.shown:
        return []
    check_held(state, opened, meta)
    return [
        ModelShown(session_id=command.session_id, playground_id=opened.playground_id)
    ]


def submit(
    command: SubmitEvaluation,
    state: Evaluation,
    opened: EvaluationOpened,
    meta: Envelope,
) -> list[EvaluationEvent]:
    """Submit an evaluation once; its texts follow, each sealed by itself."""
    check_tester(opened, meta)
    submission = list(submission_of(command, opened))
    if state.submitted is not None:
        if submission != known_submission(state, state.submitted, opened):
            raise AlreadySubmitted(path="$.answers")
        return []
    check_held(state, opened, meta)
    return submission


def submission_of(
    command: SubmitEvaluation | ImportEvaluation, opened: EvaluationOpened
) -> Iterator[EvaluationEvent]:
    """Yield the facts of a submission."""
    yield EvaluationSubmitted(
        session_id=command.session_id,
        playground_id=opened.playground_id,
        owner=opened.owner,
        tester=opened.tester,
        model_key=opened.model_key,
        answers=[
            Answer(
                question_id=given.question_id,
                value=given.answer_value,
                rating=given.rating,
            )
            for given in command.answers
        ],
        time_spent_ms=(
            command.time_spent_ms if isinstance(command, SubmitEvaluation) else None
        ),
    )
    for given in command.answers:
        if given.answer_text is not None:
            yield text_of(opened, given.question_id, given.answer_text)


def known_submission(
    state: Evaluation, submitted: EvaluationSubmitted, opened: EvaluationOpened
) -> list[EvaluationEvent]:
    """Return the facts of the submission that was made."""
    texts = [text_of(opened, question_id, text) for question_id, text in state.texts]
    return [submitted, *texts]


def text_of(
    opened: EvaluationOpened, question_id: QuestionId, text: str
) -> TextAnswered:
    """Return the fact of a text."""
    return TextAnswered(
        session_id=opened.session_id,
        playground_id=opened.playground_id,
        owner=opened.owner,
        tester=opened.tester,
        model_key=opened.model_key,
        question_id=question_id,
        text=text,
        subject_id=opened.subject_id,
    )


def abandon(
    command: AbandonEvaluation,
    state: Evaluation,
    opened: EvaluationOpened,
    meta: Envelope,
) -> list[EvaluationEvent]:
    """Give up an evaluation that is under way."""
    check_tester(opened, meta)
    if state.lapsed:
        return []
    if state.submitted:
        raise EvaluationEnded("This evaluation was submitted.", path="$.session_id")
    return [
        EvaluationLapsed(
            session_id=command.session_id,
            playground_id=opened.playground_id,
            reason="abandoned",
        )
    ]


def withdraw(
    command: WithdrawEvaluation,
    state: Evaluation,
    opened: EvaluationOpened,
    meta: Envelope,
) -> list[EvaluationEvent]:
    """Withdraw a submitted evaluation, once."""
    check_tester(opened, meta)
    if not still_counts(state):
        return []
    return [
        EvaluationWithdrawn(
            session_id=command.session_id, playground_id=opened.playground_id
        )
    ]


def exclude(
    command: ExcludeEvaluation,
    state: Evaluation,
    opened: EvaluationOpened,
    meta: Envelope,
) -> list[EvaluationEvent]:
    """Exclude a submitted evaluation, once."""
    check_owner(opened.owner, meta)
    if not still_counts(state):
        return []
    return [
        EvaluationExcluded(
            session_id=command.session_id,
            playground_id=opened.playground_id,
            reason=command.reason,
        )
    ]


def still_counts(state: Evaluation) -> bool:
    """Say whether a submitted evaluation counts, or raise where there is none."""
    if state.submitted is None:
        raise NotSubmitted(path="$.session_id")
    return state.dropped is None


def lapse(
    command: LapseEvaluation, state: Evaluation, opened: EvaluationOpened
) -> list[EvaluationEvent]:
    """End an evaluation whose place was released."""
    if state.lapsed or state.submitted:
        return []
    return [
        EvaluationLapsed(
            session_id=command.session_id,
            playground_id=opened.playground_id,
            reason=command.reason,
        )
    ]


def also(
    command: AnyEvaluationCommand, state: Evaluation, _meta: Envelope
) -> Sequence[Command]:
    """Ask for the place's ledger, and for the playground where it has a say."""
    if isinstance(command, ImportEvaluation):
        return brought_in(command)
    opened = state.opened
    if opened is None:
        return []
    playground_id, session_id = opened.playground_id, opened.session_id
    match command:
        case SubmitEvaluation():
            confirmed = ConfirmAnswers(
                playground_id=playground_id,
                revision=opened.revision,
                model_key=opened.model_key,
                compares=opened.previous_model_key is not None,
                answers=tuple(command.answers),
            )
            used = ConsumeSlot(playground_id=playground_id, session_id=session_id)
            return [confirmed, used]
        case AbandonEvaluation():
            return [ReleaseSlot(playground_id=playground_id, session_id=session_id)]
        case WithdrawEvaluation() | ExcludeEvaluation():
            withdrawn = isinstance(command, WithdrawEvaluation)
            returned = ReturnSlot(
                playground_id=playground_id,
                session_id=session_id,
                model_key=opened.model_key,
                reason="withdrawn" if withdrawn else "excluded",
            )
            owned = [] if withdrawn else [ConfirmOwner(playground_id=playground_id)]
            return [*owned, returned]
        case _:
            return []


def brought_in(command: ImportEvaluation) -> list[Command]:
    """Return what an import asks of the playground and its ledger."""
    return [
        ConfirmOwner(playground_id=command.playground_id),
        ConfirmAnswers(
            playground_id=command.playground_id,
            revision=None,
            model_key=command.model_key,
            compares=True,
            answers=tuple(command.answers),
        ),
        AdmitSlot(
            playground_id=command.playground_id,
            session_id=command.session_id,
            tester=str(command.user_id),
            model_key=command.model_key,
        ),
    ]


decider: Final = Decider[AnyEvaluationCommand, Evaluation, EvaluationEvent](
    category="playgrounds.evaluation",
    commands=get_args(AnyEvaluationCommand),
    events=get_args(EvaluationEvent),
    initial=Evaluation(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.session_id,
    also=also,
    internal=(OpenEvaluation, LapseEvaluation),
)
