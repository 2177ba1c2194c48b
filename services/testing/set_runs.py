"""A run of a set: everything pinned at its start, every trial counted once.

A recorded trial is judged here by the pinned criteria and written to its own stream in
the same append. A live one is held and judged in its own stream and counted here
afterwards, so that trials never wait for each other. The last one completes the run,
whatever the order they came in; trials that broke off may then be held again.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec import Meta

from events.conversation import ConversationEnded, ConversationFact
from events.errors import Forbidden, Refused
from events.ids import SetRunId, SubjectId, TrialId, UnitTestId, UnitTestSetId
from events.message import Command
from events.message import Meta as Envelope
from events.testing.set_runs import (
    ArtifactGenerated,
    Fault,
    MetricResult,
    Origin,
    Outcome,
    SetRunCancelled,
    SetRunCompleted,
    SetRunEvent,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Slot,
    Spec,
    TrialCounted,
    TrialsReopened,
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
from services.testing.set_run_states import (
    Place,
    SetRun,
    count,
    evolve,
    live_trial_id,
)
from services.testing.specs import (
    MAX_TRIALS,
    NothingToRun,
    Specs,
    check_specs,
    confirmations,
    specs_of,
)
from services.testing.trials import AnyEntry, WriteTrial, conversation_of
from services.testing.unit_test_sets import MAX_RUN_COUNT, RunCount


MAX_ENTRIES: Final = 10_000
MAX_ARTIFACTS: Final = 100
PARALLEL_RUNS: Final = "parallel-runs"


class StartSetRun(TestingCommand, frozen=True, kw_only=True):
    """Start a run of a set: `live` is held here, `imported` was held elsewhere.

    `specs` shows each unit test with the versions that are tested. A live run may leave
    them out: then it tests what the set holds now, with the newest versions, `trials`
    times each instead of the set's own numbers. At most `concurrency` of its trials are
    held at a time. An actor has one unfinished run of a set; `allow_parallel` lifts
    that for this run, and takes the role admin or the scope `parallel-runs`.
    """

    run_id: SetRunId
    set_id: UnitTestSetId
    specs: Specs = msgspec.field(default_factory=list)
    origin: Literal["imported", "live"] = "imported"
    trials: RunCount | None = None
    concurrency: Annotated[int, Meta(ge=1, le=MAX_TRIALS)] | None = None
    seed: Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)] = 0
    external_id: ExternalId | None = None
    allow_parallel: bool = False


class RecordTrial(TestingCommand, frozen=True, kw_only=True):
    """Record a trial: its conversation, how it ended, and its verdicts by the rules.

    `index` counts the unit test's trials from 0. `error` says what broke where the
    trial could not be held properly. What is personal in the conversation, and
    `error`, is sealed for `subject_id`, the person who spoke.
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


class RetryErroredTrials(TestingCommand, frozen=True, kw_only=True):
    """Hold those trials of a live run again that broke off; the others stay.

    Each is a new attempt with a stream of its own. A run that was completed goes on,
    and is again its actor's only unfinished one unless `allow_parallel` is given.
    """

    run_id: SetRunId
    allow_parallel: bool = False


class AttachArtifact(TestingCommand, frozen=True, kw_only=True):
    """Attach a file to a run; its bytes are kept among the blobs under their sha256."""

    run_id: SetRunId
    artifact_id: UUID
    name: Name
    media_type: Annotated[str, Meta(max_length=127, pattern=r"^[\w.+-]+/[\w.+-]+")]
    sha256: Annotated[str, Meta(max_length=64, pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Meta(ge=0, le=1_099_511_627_776)]


class PinSetRun(TestingCommand, frozen=True, kw_only=True):
    """Pin what was found for a live run that started without specs."""

    run_id: SetRunId
    specs: tuple[Spec, ...]


class FailSetRun(TestingCommand, frozen=True, kw_only=True):
    """End a run that cannot be pinned."""

    run_id: SetRunId
    reason: str


class CountTrial(TestingCommand, frozen=True, kw_only=True):
    """Count a live trial that is finished in its own stream."""

    run_id: SetRunId
    trial_id: TrialId
    unit_test_id: UnitTestId
    index: int
    outcome: Outcome
    failed_metrics: tuple[MetricResult, ...]
    error: str | None = None
    fault: Fault | None = None


SetRunCommand = (
    StartSetRun | RecordTrial | CancelSetRun | RetryErroredTrials | AttachArtifact
)
AnySetRunCommand = SetRunCommand | PinSetRun | FailSetRun | CountTrial


class RunUnfinished(Taken):
    """This actor has an unfinished run of this set."""


class NoParallelRuns(Forbidden):
    """Parallel runs of a set take the role admin or the scope parallel-runs."""


class NothingPinned(Refused):
    """A run whose trials were held elsewhere needs the specs that they were held by."""


class SpecsGiven(Refused):
    """The specs say how many trials there are."""


class NotLive(Refused):
    """The trials of this run were held elsewhere."""


class HeldHere(Refused):
    """The trials of a live run are held here; none can be recorded."""


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


def decide(  # noqa: PLR0911 - one return for each command
    command: AnySetRunCommand, state: SetRun, meta: Envelope
) -> list[SetRunEvent]:
    """Return what happens: a run starts once, counts its trials, and ends."""
    if isinstance(command, StartSetRun):
        return start(command, state, meta)
    requested = still_there(state.requested, deleted=False, path="$.run_id")
    match command:
        case RecordTrial():
            return record(command, state, requested)
        case PinSetRun():
            return pin(command, state, requested)
        case FailSetRun():
            return fail(command, state)
        case CountTrial():
            return count_live(command, state)
        case RetryErroredTrials():
            return retry(command, state, requested, meta)
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
    if command.origin == "imported" and not command.specs:
        raise NothingPinned(path="$.specs")
    if command.specs and command.trials is not None:
        raise SpecsGiven(path="$.trials")
    reservation = reservation_of(command, command.set_id, meta)
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
            trials=command.trials,
            concurrency=command.concurrency,
        )
    ]
    known = (state.requested,) if state.requested else ()
    return created_once(creation, known, deleted=False, path="$.run_id")


def may_run_parallel(meta: Envelope) -> bool:
    """Return whether the actor may have several unfinished runs of a set."""
    return meta.holds("admin", "testing") or PARALLEL_RUNS in meta.scopes


def reservation_of(
    command: StartSetRun | RetryErroredTrials, set_id: UnitTestSetId, meta: Envelope
) -> ReserveKey | None:
    """Return what makes a run its actor's only unfinished one, if it is to be."""
    if command.allow_parallel:
        return None
    return ReserveKey(
        org_id=meta.org_id,
        scope="unfinished-run",
        key=(meta.actor, str(set_id)),
        holder=holder(command.run_id),
        path="$.set_id",
        refusal=RunUnfinished,
    )


def holder(run_id: SetRunId) -> str:
    """Return how a run is named where it holds on to something."""
    return f"set_run:{run_id}"


def pin(
    command: PinSetRun, state: SetRun, requested: SetRunRequested
) -> list[SetRunEvent]:
    """Pin a run that waits for it; its trials are held from now on."""
    if state.pinned or state.ended:
        return []
    if not command.specs:
        raise NothingToRun(path="$.set_id")
    check_specs(command.specs)
    return [
        SetRunPinned(
            run_id=command.run_id,
            set_id=requested.set_id,
            specs=list(command.specs),
            concurrency=requested.concurrency,
        )
    ]


def fail(command: FailSetRun, state: SetRun) -> list[SetRunEvent]:
    """End a run that waits to be pinned."""
    if state.pinned or state.ended:
        return []
    return [SetRunFailed(run_id=command.run_id, reason=command.reason)]


def record(
    command: RecordTrial, state: SetRun, requested: SetRunRequested
) -> list[SetRunEvent]:
    """Count a recorded trial once, and complete the run with the last."""
    if requested.origin == "live":
        raise HeldHere(path="$.run_id")
    place = place_of(command, state)
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
    return counted(
        state,
        TrialCounted(
            run_id=command.run_id,
            trial_id=command.trial_id,
            unit_test_id=command.unit_test_id,
            index=command.index,
            outcome=judged.outcome,
            failed_metrics=[r for r in judged.results if r.outcome == "failed"],
            error=command.error,
            subject_id=command.subject_id,
        ),
        requested.origin,
    )


def place_of(command: RecordTrial | CountTrial, state: SetRun) -> int:
    """Return the place of a trial's unit test in the specs, if it has the trial."""
    place = state.places.get(command.unit_test_id)
    if place is None:
        raise NotInTheRun(path="$.unit_test_id")
    if command.index >= len(state.slots[place]):
        message = f"The run has {len(state.slots[place])} trials of this unit test."
        raise NoSuchIndex(message, path="$.index")
    return place


def counted(state: SetRun, trial: TrialCounted, origin: Origin) -> list[SetRunEvent]:
    """Return a trial's count, and the run's completion with the last."""
    if state.remaining > 1:
        return [trial]
    last = count(state, trial)
    return [
        trial,
        SetRunCompleted(
            run_id=trial.run_id,
            passed=last.passed,
            failed=last.failed,
            inconclusive=last.inconclusive,
            errored=last.errored,
            origin=origin,
        ),
    ]


def count_live(command: CountTrial, state: SetRun) -> list[SetRunEvent]:
    """Count a live trial, if its run goes on and still waits for this attempt."""
    place = place_of(command, state)
    key = (command.unit_test_id, command.index)
    expected = live_trial_id(command.run_id, *key, state.attempts.get(key, 1))
    free = state.slots[place][command.index] is None
    if state.ended or not free or command.trial_id != expected:
        return []
    return counted(
        state,
        TrialCounted(
            run_id=command.run_id,
            trial_id=command.trial_id,
            unit_test_id=command.unit_test_id,
            index=command.index,
            outcome=command.outcome,
            failed_metrics=list(command.failed_metrics),
            error=command.error,
            fault=command.fault,
        ),
        "live",
    )


def retry(
    command: RetryErroredTrials,
    state: SetRun,
    requested: SetRunRequested,
    meta: Envelope,
) -> list[SetRunEvent]:
    """Reopen the slots of trials that broke off."""
    if command.allow_parallel and not may_run_parallel(meta):
        raise NoParallelRuns(path="$.allow_parallel")
    if requested.origin != "live":
        raise NotLive(path="$.run_id")
    if state.ended in ("cancelled", "failed"):
        message = f"The run is {state.ended}."
        raise RunEnded(message, path="$.run_id")
    if not state.broken:
        return []
    reservation = reservation_of(command, requested.set_id, meta)
    held = state.ended is not None and reservation is not None
    return [
        TrialsReopened(
            run_id=command.run_id,
            slots=[
                Slot(
                    unit_test_id=unit_test_id,
                    index=index,
                    attempt=state.attempts.get((unit_test_id, index), 1) + 1,
                    replaces=trial_id,
                )
                for (unit_test_id, index), trial_id in in_order(state)
            ],
            reserved=reservation.reservation_id if held and reservation else None,
            concurrency=requested.concurrency,
        )
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


def in_order(state: SetRun) -> list[tuple[Place, TrialId]]:
    """Return the trials that broke off, in the order of the specs."""
    return sorted(
        state.broken.items(), key=lambda item: (state.places[item[0][0]], item[0][1])
    )


def cancel(command: CancelSetRun, state: SetRun) -> list[SetRunEvent]:
    """Cancel a run that has not ended."""
    if state.ended == "cancelled":
        return []
    if state.ended:
        message = f"The run is {state.ended}."
        raise RunEnded(message, path="$.run_id")
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


def also(  # noqa: PLR0911 - one return for each command
    command: AnySetRunCommand, state: SetRun, meta: Envelope
) -> Sequence[Command]:
    """Ask for the trial's own stream, and hold on to the set while the run goes on."""
    requested = state.requested
    if isinstance(command, StartSetRun):
        return list(started(command, meta))
    if requested is None:
        return []
    match command:
        case RecordTrial():
            written = trial_of(command, requested, state.places[command.unit_test_id])
            return [written, *let_go_after_last(state, requested)]
        case PinSetRun():
            return list(confirmations(requested.set_id, command.specs, live=True))
        case CountTrial():
            return let_go_after_last(state, requested)
        case RetryErroredTrials() if state.ended:
            return list(held(command, requested.set_id, meta))
        case CancelSetRun() | FailSetRun():
            return let_go(state, requested)
        case _:
            return []


def started(command: StartSetRun, meta: Envelope) -> Iterator[Command]:
    """Yield what a start needs: its set, its reservation, and specs that are true."""
    yield from held(command, command.set_id, meta)
    if command.specs:
        live = command.origin == "live"
        yield from confirmations(command.set_id, specs_of(command.specs), live=live)


def held(
    command: StartSetRun | RetryErroredTrials, set_id: UnitTestSetId, meta: Envelope
) -> Iterator[Command]:
    """Yield what a run holds on to while it goes on."""
    yield AddReference(
        target_id=set_id,
        kind="unit_test_set",
        by=holder(command.run_id),
        path="$.set_id",
    )
    reservation = reservation_of(command, set_id, meta)
    if reservation is not None:
        yield reservation


def let_go_after_last(state: SetRun, requested: SetRunRequested) -> list[Command]:
    """Return what a run lets go of if it counts its last trial."""
    return let_go(state, requested) if state.remaining == 1 else []


def let_go(state: SetRun, requested: SetRunRequested) -> list[Command]:
    """Return what a run lets go of at its end, whoever ends it."""
    by = holder(requested.run_id)
    dropped = DropReference(target_id=requested.set_id, by=by)
    if state.reserved is None:
        return [dropped]
    return [dropped, ReleaseKey(reservation_id=state.reserved, holder=by)]


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
                subject_id=command.subject_id,
            ),
        ),
    )


decider: Final = Decider[AnySetRunCommand, SetRun, SetRunEvent](
    category="testing.set_run",
    commands=get_args(AnySetRunCommand),
    events=get_args(SetRunEvent),
    initial=SetRun(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.run_id,
    also=also,
    internal=(PinSetRun, FailSetRun, CountTrial),
)
