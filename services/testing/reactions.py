"""What follows from the facts of live runs: pinning, trials as work, their count.

A trial's job has the trial's id in its effect key, so that it is asked for once for all
time and ends with the trial, whoever finished it. The trials of a run are a group: they
are held at most as many at a time as the run allows, and cancelled together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from events.ids import SetRunId, TrialId, UnitTestId
from events.message import Command, Recorded
from events.testing.set_runs import (
    SetRunCancelled,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Spec,
    TrialsReopened,
)
from events.testing.trials import TrialFinished
from services.ports import Failed, Job
from services.reactions import Cancel, Close, Reaction, Reactions, job
from services.testing.set_run_states import live_trial_id
from services.testing.set_runs import CountTrial, FailSetRun
from services.testing.specs import MAX_TRIALS
from services.testing.trials import FinishTrial


PIN: Final = "pin_run"
TRIAL: Final = "trial"
REPORT: Final = "report_run"
MAX_REASON: Final = 1_000
MAX_ATTEMPTS: Final = 8  # of a trial, which a killed worker may cost one each


class PinBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job that finds out what a run is to pin."""

    run_id: SetRunId


class TrialBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job that holds a trial, which is `attempt` from 1 of its slot."""

    run_id: SetRunId
    unit_test_id: UnitTestId
    index: int
    attempt: int

    @property
    def trial_id(self) -> TrialId:
        """Return the trial's id."""
        return live_trial_id(self.run_id, self.unit_test_id, self.index, self.attempt)


class ReportBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job that writes the reports of a run that is completed."""

    run_id: SetRunId


def on_requested(recorded: Recorded[SetRunRequested]) -> Sequence[Reaction]:
    """Ask that a live run is pinned, or held where it came with its specs."""
    run = recorded.event
    if run.origin != "live":
        return ()
    if run.specs:
        return list(trials_of(recorded, run.run_id, run.specs, run.concurrency))
    asked = job(recorded, PIN, body=body_of(PinBody(run_id=run.run_id)))
    return (replace(asked, effect_key=pin_key(run.run_id)),)


def on_pinned(recorded: Recorded[SetRunPinned]) -> Sequence[Reaction]:
    """Ask for the trials of a run that is pinned."""
    run = recorded.event
    return [
        Close(effect_key=pin_key(run.run_id)),
        *trials_of(recorded, run.run_id, run.specs, run.concurrency),
    ]


def on_reopened(recorded: Recorded[TrialsReopened]) -> Sequence[Reaction]:
    """Ask for the trials that are held again."""
    run = recorded.event
    again = [
        TrialBody(
            run_id=run.run_id,
            unit_test_id=slot.unit_test_id,
            index=slot.index,
            attempt=slot.attempt,
        )
        for slot in run.slots
    ]
    return list(trial_jobs(recorded, again, run.concurrency))


def on_finished(recorded: Recorded[TrialFinished]) -> Sequence[Reaction]:
    """Ask that a live trial is counted; a recorded one was counted with its record."""
    trial = recorded.event
    if trial.attempt is None:
        return ()
    counted = CountTrial(
        run_id=trial.run_id,
        trial_id=trial.trial_id,
        unit_test_id=trial.unit_test_id,
        index=trial.index,
        outcome=trial.outcome,
        failed_metrics=tuple(
            result for result in trial.metric_results if result.outcome == "failed"
        ),
        error=trial.error,
        fault=trial.fault,
    )
    return (Close(effect_key=trial_key(trial.trial_id)), counted)


def on_completed(recorded: Recorded[SetRunCompleted]) -> Sequence[Reaction]:
    """Ask for the reports of a live run."""
    if recorded.event.origin != "live":
        return ()
    body = ReportBody(run_id=recorded.event.run_id)
    return (job(recorded, REPORT, body=body_of(body)),)


def on_ended(
    recorded: Recorded[SetRunCancelled] | Recorded[SetRunFailed],
) -> Sequence[Reaction]:
    """Ask that nothing more is done for a run that ended early."""
    run_id = recorded.event.run_id
    return (Close(effect_key=pin_key(run_id)), Cancel(group_key=group_of(run_id)))


def trials_of(
    recorded: Recorded[SetRunRequested] | Recorded[SetRunPinned],
    run_id: SetRunId,
    specs: Sequence[Spec],
    concurrency: int | None,
) -> Iterator[Job]:
    """Yield the jobs of all trials of a run, the first trial of each test first."""
    places = sorted(
        (index, place)
        for place, spec in enumerate(specs)
        for index in range(spec.run_count)
    )
    first = [
        TrialBody(
            run_id=run_id,
            unit_test_id=specs[place].unit_test_id,
            index=index,
            attempt=1,
        )
        for index, place in places
    ]
    return trial_jobs(recorded, first, concurrency)


def trial_jobs(
    recorded: Recorded[SetRunRequested]
    | Recorded[SetRunPinned]
    | Recorded[TrialsReopened],
    bodies: Iterable[TrialBody],
    concurrency: int | None,
) -> Iterator[Job]:
    """Yield the jobs of trials."""
    for body in bodies:
        asked = job(
            recorded,
            TRIAL,
            body=body_of(body),
            key=f"testing.trial-{body.trial_id}",
            group_key=group_of(body.run_id),
            group_limit=concurrency or MAX_TRIALS,
            max_attempts=MAX_ATTEMPTS,
        )
        yield replace(asked, effect_key=trial_key(body.trial_id))


def trial_failed(failed: Failed) -> Command:
    """Return the end of a trial that could not be held, through our own fault."""
    body = msgspec.convert(failed.job.body, TrialBody)
    return FinishTrial(
        trial_id=body.trial_id,
        run_id=body.run_id,
        unit_test_id=body.unit_test_id,
        index=body.index,
        attempt=body.attempt,
        results=(),
        on_limit="fail",
        ended="broken_off",
        error=reason_of(failed),
        fault="ourselves",
    )


def pin_failed(failed: Failed) -> Command:
    """Return the end of a run that could not be pinned, through our own fault."""
    body = msgspec.convert(failed.job.body, PinBody)
    return FailSetRun(run_id=body.run_id, reason=reason_of(failed))


def reason_of(failed: Failed) -> str:
    """Return why a job failed, as far as it fits."""
    return f"After {failed.attempts} attempts: {failed.error}"[:MAX_REASON]


def body_of(body: msgspec.Struct) -> Mapping[str, object]:
    """Return a body as jobs hold it."""
    built: Mapping[str, object] = msgspec.to_builtins(body)
    return built


def pin_key(run_id: SetRunId) -> str:
    """Return the effect key of a run's pinning."""
    return f"{PIN}:{run_id}"


def trial_key(trial_id: TrialId) -> str:
    """Return the effect key of a trial."""
    return f"{TRIAL}:{trial_id}"


def group_of(run_id: SetRunId) -> str:
    """Return the group of a run's trials."""
    return f"set_run:{run_id}"


REACTIONS: Final[Reactions] = {
    SetRunRequested: (on_requested,),
    SetRunPinned: (on_pinned,),
    TrialsReopened: (on_reopened,),
    TrialFinished: (on_finished,),
    SetRunCompleted: (on_completed,),
    SetRunCancelled: (on_ended,),
    SetRunFailed: (on_ended,),
}

ON_FAILURE: Final = {PIN: pin_failed, TRIAL: trial_failed}
