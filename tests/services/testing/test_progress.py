"""How far a run is, folded from its facts."""

from collections.abc import Sequence

from events.ids import SetRunId, TrialId, UnitTestId
from events.message import Event
from events.testing.set_runs import (
    Outcome,
    SetRunCancelled,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Slot,
    Spec,
    TrialCounted,
    TrialsReopened,
)
from events.testing.trials import TrialStarted
from services.testing.progress import RunProgress, progress_after
from tests.builders import new_id
from tests.recorded import recorded
from tests.services.testing.examples import (
    AGENT,
    PERSONA,
    SCENARIO,
    SET,
)


RUN = SetRunId(new_id())
TEST = UnitTestId(new_id())


def requested() -> SetRunRequested:
    return SetRunRequested(run_id=RUN, set_id=SET, origin="live", specs=[], seed=1)


def pinned(trials: int) -> SetRunPinned:
    spec = Spec(
        unit_test_id=TEST,
        name="The fee is waived",
        persona_id=PERSONA,
        persona_version=1,
        scenario_id=SCENARIO,
        scenario_version=1,
        service_id=AGENT,
        service_version_set_name="release",
        service_version=1,
        max_interactions=30,
        success_criterions=[],
        run_count=trials,
    )
    return SetRunPinned(run_id=RUN, set_id=SET, specs=[spec])


def started(run_id: SetRunId = RUN) -> TrialStarted:
    trial_id = TrialId(new_id())
    return TrialStarted(trial_id=trial_id, run_id=run_id, unit_test_id=TEST, index=0)


def counted(outcome: Outcome, run_id: SetRunId = RUN) -> TrialCounted:
    return TrialCounted(
        run_id=run_id,
        trial_id=TrialId(new_id()),
        unit_test_id=TEST,
        index=0,
        outcome=outcome,
        failed_metrics=[],
    )


def completed() -> SetRunCompleted:
    return SetRunCompleted(run_id=RUN, passed=0, failed=0, inconclusive=0, errored=0)


def after(*events: Event) -> RunProgress:
    progress: RunProgress | None = None
    for each in recorded(*events):
        progress = progress_after(progress, RUN, each)
    assert progress is not None
    return progress


def counts(progress: RunProgress) -> Sequence[int | None]:
    return (progress.trials, progress.running, progress.done)


def test_a_run_is_pinned_before_it_has_trials() -> None:
    assert after(requested()).trials is None
    assert after(requested()).status == "pinning"
    assert counts(after(requested(), pinned(3))) == (3, 0, 0)
    assert after(requested(), pinned(3)).status == "running"


def test_trials_begin_and_end() -> None:
    progress = after(
        requested(),
        pinned(5),
        *(started() for _ in range(5)),
        counted("passed"),
        counted("failed"),
        counted("inconclusive"),
        counted("errored"),
    )
    assert counts(progress) == (5, 1, 4)
    assert (progress.passed, progress.failed) == (1, 1)
    assert (progress.inconclusive, progress.errored) == (1, 1)


def test_trials_that_broke_off_are_held_again() -> None:
    slot = Slot(unit_test_id=TEST, index=0, attempt=2, replaces=TrialId(new_id()))
    ended = (requested(), pinned(1), started(), counted("errored"), completed())
    assert after(*ended).ended
    again = after(*ended, TrialsReopened(run_id=RUN, slots=[slot]), started())
    assert counts(again) == (1, 1, 0)
    assert (again.status, again.errored) == ("running", 0)


def test_a_run_that_ends_early_has_none_running() -> None:
    cancelled = SetRunCancelled(run_id=RUN, reason="Enough.")
    progress = after(requested(), pinned(2), started(), cancelled, started())
    assert counts(progress) == (2, 0, 0)
    assert progress.ended
    assert progress.position == 4
    failed = SetRunFailed(run_id=RUN, reason="No such persona.")
    assert after(requested(), failed).status == "failed"


def test_other_runs_change_nothing() -> None:
    other = SetRunId(new_id())
    progress = after(requested(), pinned(2), started(other), counted("passed", other))
    assert counts(progress) == (2, 0, 0)
    assert progress.position == 2
