"""A run of a set: everything pinned at its start, every trial counted once.

A trial is judged here by the pinned criteria and written to its own stream in the same
append. The last one completes the run, whatever the order they came in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.conversation import ConversationEnded, ConversationFact
from events.errors import Forbidden, Refused
from events.ids import SetRunId, SubjectId, TrialId, UnitTestId, UnitTestSetId
from events.message import Command
from events.message import Meta as Envelope
from events.testing.set_runs import (
    ArtifactGenerated,
    MetricResult,
    Outcome,
    SetRunCancelled,
    SetRunCompleted,
    SetRunEvent,
    SetRunRequested,
    TrialCounted,
)
from events.testing.trials import TrialFinished, TrialStarted
from services.decider import Decider
from services.reservations import ReleaseKey, ReserveKey, Taken
from services.testing import evaluation
from services.testing.common import (
    AlreadyExists,
    Description,
    ExternalId,
    Label,
    Name,
    Reason,
    TestingCommand,
    created_once,
    still_there,
)
from services.testing.references import AddReference, DropReference
from services.testing.specs import Specs, confirmations, specs_of
from services.testing.trials import AnyEntry, WriteTrial, conversation_of
from services.testing.unit_test_sets import MAX_RUN_COUNT


MAX_ENTRIES: Final = 10_000
MAX_ARTIFACTS: Final = 100
PARALLEL_RUNS: Final = "parallel-runs"


class StartSetRun(TestingCommand, frozen=True, kw_only=True):
    """Start a run of a set whose trials were held elsewhere, with everything pinned.

    `specs` shows each unit test with the versions that were tested. An actor has one
    unfinished run of a set; `allow_parallel` lifts that for this run, and takes the
    role admin or the scope `parallel-runs`.
    """

    run_id: SetRunId
    set_id: UnitTestSetId
    specs: Specs
    origin: Literal["imported"] = "imported"
    seed: Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)] = 0
    external_id: ExternalId | None = None
    allow_parallel: bool = False


class RecordTrial(TestingCommand, frozen=True, kw_only=True):
    """Record a trial: its conversation, how it ended, and its verdicts by the rules.

    `index` counts the unit test's trials from 0. `error` says what broke where the
    trial could not be held properly. What is personal in the conversation is sealed
    for `subject_id`, the person who spoke.
    """

    run_id: SetRunId
    trial_id: TrialId
    unit_test_id: UnitTestId
    index: Annotated[int, Meta(ge=0, lt=MAX_RUN_COUNT)]
    entries: Annotated[list[AnyEntry], Meta(max_length=MAX_ENTRIES)]
    end_reason: Label
    reward: float | None = None
    error: Description | None = None
    subject_id: SubjectId | None = None
    external_id: ExternalId | None = None


class CancelSetRun(TestingCommand, frozen=True, kw_only=True):
    """End a run before its last trial."""

    run_id: SetRunId
    reason: Reason


class AttachArtifact(TestingCommand, frozen=True, kw_only=True):
    """Attach a file to a run; its bytes are kept among the blobs under their sha256."""

    run_id: SetRunId
    artifact_id: UUID
    name: Name
    media_type: Annotated[str, Meta(max_length=127, pattern=r"^[\w.+-]+/[\w.+-]+")]
    sha256: Annotated[str, Meta(max_length=64, pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Meta(ge=0, le=1_099_511_627_776)]


SetRunCommand = StartSetRun | RecordTrial | CancelSetRun | AttachArtifact


class RunUnfinished(Taken):
    """This actor has an unfinished run of this set."""


class NoParallelRuns(Forbidden):
    """Parallel runs of a set take the role admin or the scope parallel-runs."""


class NotInTheRun(Refused):
    """The run has no such unit test."""


class NoSuchIndex(Refused):
    """The run has fewer trials of this unit test."""


class AlreadyCounted(Refused):
    """Another trial was counted for this unit test and index."""


class RunEnded(Refused):
    """The run is over."""


class TooManyArtifacts(Refused):
    """A run has at most 100 artifacts."""


class SetRun(msgspec.Struct, frozen=True):
    """A run as its rules see it.

    `places` gives each unit test its place in the specs; `slots` holds, by place and
    index, the trial that was counted. A trial copies the slots of its unit test only.
    """

    requested: SetRunRequested | None = None
    places: Mapping[UnitTestId, int] = msgspec.field(default_factory=dict)
    slots: tuple[tuple[TrialId | None, ...], ...] = ()
    remaining: int = 0
    passed: int = 0
    failed: int = 0
    inconclusive: int = 0
    errored: int = 0
    artifacts: Mapping[UUID, ArtifactGenerated] = msgspec.field(default_factory=dict)
    ended: Literal["completed", "cancelled"] | None = None


def evolve(state: SetRun, event: SetRunEvent) -> SetRun:
    """Return the state after an event."""
    match event:
        case SetRunRequested(specs=specs):
            return replace(
                state,
                requested=event,
                places={spec.unit_test_id: place for place, spec in enumerate(specs)},
                slots=tuple((None,) * spec.run_count for spec in specs),
                remaining=sum(spec.run_count for spec in specs),
            )
        case TrialCounted():
            return count(state, event)
        case SetRunCompleted():
            return replace(state, ended="completed")
        case SetRunCancelled():
            return replace(state, ended="cancelled")
        case ArtifactGenerated(artifact_id=key):
            return replace(state, artifacts={**state.artifacts, key: event})
        case _:
            assert_never(event)


def count(state: SetRun, event: TrialCounted) -> SetRun:
    """Return the state after one more trial."""
    place, index = state.places[event.unit_test_id], event.index
    slots = list(state.slots)
    slots[place] = (*slots[place][:index], event.trial_id, *slots[place][index + 1 :])
    counts: dict[Outcome, int] = {event.outcome: getattr(state, event.outcome) + 1}
    return replace(state, slots=tuple(slots), remaining=state.remaining - 1, **counts)


def decide(command: SetRunCommand, state: SetRun, meta: Envelope) -> list[SetRunEvent]:
    """Return what happens: a run starts once, counts its trials, and ends once."""
    if isinstance(command, StartSetRun):
        return start(command, state, meta)
    requested = still_there(state.requested, deleted=False, path="$.run_id")
    match command:
        case RecordTrial():
            return record(command, state, requested)
        case CancelSetRun():
            return cancel(command, state)
        case AttachArtifact():
            return attach(command, state)
        case _:
            assert_never(command)


def start(command: StartSetRun, state: SetRun, meta: Envelope) -> list[SetRunEvent]:
    """Start a run with its specs; asking again, by whomever, reserves nothing new."""
    if command.allow_parallel and not may_run_parallel(meta):
        raise NoParallelRuns(path="$.allow_parallel")
    reservation = reservation_of(command, meta)
    reserved = reservation.reservation_id if reservation else None
    if state.requested is not None:
        reserved = state.requested.reserved
    creation: list[SetRunEvent] = [
        SetRunRequested(
            run_id=command.run_id,
            set_id=command.set_id,
            origin=command.origin,
            specs=specs_of(command.specs),
            seed=command.seed,
            external_id=command.external_id,
            reserved=reserved,
        )
    ]
    known = (state.requested,) if state.requested else ()
    return created_once(creation, known, deleted=False, path="$.run_id")


def may_run_parallel(meta: Envelope) -> bool:
    """Return whether the actor may have several unfinished runs of a set."""
    return "admin" in meta.roles or PARALLEL_RUNS in meta.scopes


def reservation_of(command: StartSetRun, meta: Envelope) -> ReserveKey | None:
    """Return what makes a run its actor's only unfinished one, if it is to be."""
    if command.allow_parallel:
        return None
    return ReserveKey(
        org_id=meta.org_id,
        scope="unfinished-run",
        key=(meta.actor, str(command.set_id)),
        holder=holder(command.run_id),
        path="$.set_id",
        refusal=RunUnfinished,
    )


def holder(run_id: SetRunId) -> str:
    """Return how a run is named where it holds on to something."""
    return f"set_run:{run_id}"


def record(
    command: RecordTrial, state: SetRun, requested: SetRunRequested
) -> list[SetRunEvent]:
    """Count a trial once, and complete the run with the last."""
    place = state.places.get(command.unit_test_id)
    if place is None:
        raise NotInTheRun(path="$.unit_test_id")
    if command.index >= len(state.slots[place]):
        message = f"The run has {len(state.slots[place])} trials of this unit test."
        raise NoSuchIndex(message, path="$.index")
    known = state.slots[place][command.index]
    if known == command.trial_id:
        return []
    if known is not None:
        message = f"Trial {known} was counted for this unit test and index."
        raise AlreadyCounted(message, path="$.index")
    if state.ended:
        message = f"The run is {state.ended}."
        raise RunEnded(message, path="$.run_id")
    judged = judge(command, requested, place)
    counted = TrialCounted(
        run_id=command.run_id,
        trial_id=command.trial_id,
        unit_test_id=command.unit_test_id,
        index=command.index,
        outcome=judged.outcome,
        failed_metrics=[r for r in judged.results if r.outcome == "failed"],
        error=command.error,
    )
    if state.remaining > 1:
        return [counted]
    last = count(state, counted)
    return [
        counted,
        SetRunCompleted(
            run_id=command.run_id,
            passed=last.passed,
            failed=last.failed,
            inconclusive=last.inconclusive,
            errored=last.errored,
        ),
    ]


class Judged(msgspec.Struct, frozen=True):
    """A trial's conversation and what its criteria say of it."""

    conversation: list[ConversationFact]
    results: list[MetricResult]
    outcome: Outcome


def judge(command: RecordTrial, requested: SetRunRequested, place: int) -> Judged:
    """Return a trial judged by the criteria that its run pinned."""
    conversation = conversation_of(
        command.trial_id, command.entries, command.subject_id
    )
    results = [
        evaluation.evaluate(criterion, conversation, command.reward)
        for criterion in requested.specs[place].success_criterions
    ]
    outcome = evaluation.outcome(results, command.error)
    return Judged(conversation, results, outcome)


def cancel(command: CancelSetRun, state: SetRun) -> list[SetRunEvent]:
    """Cancel a run that has not ended."""
    if state.ended == "completed":
        raise RunEnded("The run is completed.", path="$.run_id")
    if state.ended:
        return []
    return [SetRunCancelled(run_id=command.run_id, reason=command.reason)]


def attach(command: AttachArtifact, state: SetRun) -> list[SetRunEvent]:
    """Attach an artifact once."""
    artifact = ArtifactGenerated(
        run_id=command.run_id,
        artifact_id=command.artifact_id,
        name=command.name,
        media_type=command.media_type,
        sha256=command.sha256,
        size=command.size,
    )
    known = state.artifacts.get(command.artifact_id)
    if known == artifact:
        return []
    if known is not None:
        raise AlreadyExists(path="$.artifact_id")
    if len(state.artifacts) >= MAX_ARTIFACTS:
        raise TooManyArtifacts(path="$.run_id")
    return [artifact]


def also(command: SetRunCommand, state: SetRun, meta: Envelope) -> Sequence[Command]:
    """Ask for the trial's own stream, and hold on to the set while the run goes on."""
    requested = state.requested
    match command:
        case StartSetRun(set_id=set_id):
            return [
                *held(command, meta),
                *confirmations(set_id, specs_of(command.specs)),
            ]
        case RecordTrial() if requested:
            written = trial_of(command, requested, state.places[command.unit_test_id])
            if state.remaining > 1:
                return [written]
            return [written, *let_go(requested)]
        case CancelSetRun() if requested:
            return list(let_go(requested))
        case _:
            return []


def held(command: StartSetRun, meta: Envelope) -> Iterator[Command]:
    """Yield what a run holds on to from its start."""
    yield AddReference(
        target_id=command.set_id,
        kind="unit_test_set",
        by=holder(command.run_id),
        path="$.set_id",
    )
    reservation = reservation_of(command, meta)
    if reservation is not None:
        yield reservation


def let_go(requested: SetRunRequested) -> Iterator[Command]:
    """Yield what a run lets go of at its end, whoever ends it."""
    by = holder(requested.run_id)
    yield DropReference(target_id=requested.set_id, by=by)
    if requested.reserved is not None:
        yield ReleaseKey(reservation_id=requested.reserved, holder=by)


def trial_of(
    command: RecordTrial, requested: SetRunRequested, place: int
) -> WriteTrial:
    """Return the trial to be written: its start, its conversation, its verdicts."""
    judged = judge(command, requested, place)
    return WriteTrial(
        trial_id=command.trial_id,
        facts=(
            TrialStarted(
                trial_id=command.trial_id,
                run_id=command.run_id,
                unit_test_id=command.unit_test_id,
                index=command.index,
                external_id=command.external_id,
            ),
            *judged.conversation,
            ConversationEnded(
                conversation_id=command.trial_id,
                reason=command.end_reason,
                entries=len(judged.conversation),
            ),
            TrialFinished(
                trial_id=command.trial_id,
                run_id=command.run_id,
                unit_test_id=command.unit_test_id,
                index=command.index,
                outcome=judged.outcome,
                metric_results=judged.results,
                reward=command.reward,
                error=command.error,
            ),
        ),
    )


decider: Final = Decider[SetRunCommand, SetRun, SetRunEvent](
    category="testing.set_run",
    commands=get_args(SetRunCommand),
    events=get_args(SetRunEvent),
    initial=SetRun(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.run_id,
    also=also,
)
