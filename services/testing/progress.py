"""How far a run of a set is: folded from its own facts and from its trials' starts."""

from typing import Literal

import msgspec
from msgspec.structs import replace

from events.ids import SetRunId
from events.message import Event, Recorded
from events.testing.set_runs import (
    SetRunCancelled,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    TrialCounted,
    TrialsReopened,
)
from events.testing.trials import TrialStarted


class RunProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is at a position of the log.

    `trials` is how many it makes, null until everything is pinned; `running` are those
    that have begun and not ended; `done` is the sum of the four outcomes.
    """

    run_id: SetRunId
    position: int
    status: Literal["pinning", "running", "completed", "cancelled", "failed"]
    trials: int | None = None
    running: int = 0
    done: int = 0
    passed: int = 0
    failed: int = 0
    inconclusive: int = 0
    errored: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more happens in the run, unless trials are held again."""
        return self.status not in {"pinning", "running"}


def progress_after(
    progress: RunProgress | None, run_id: SetRunId, recorded: Recorded[Event]
) -> RunProgress | None:
    """Return the progress after an event, itself where the event is not the run's."""
    event, position = recorded.event, recorded.position
    if isinstance(event, SetRunRequested) and event.run_id == run_id:
        return RunProgress(
            run_id=run_id,
            position=position,
            status="running" if event.specs else "pinning",
            trials=sum(spec.run_count for spec in event.specs) or None,
        )
    if progress is None or getattr(event, "run_id", None) != run_id:
        return progress
    after = _after(progress, event)
    return progress if after == progress else replace(after, position=position)


def _after(  # noqa: PLR0911 - one return for each event
    progress: RunProgress, event: Event
) -> RunProgress:
    match event:
        case SetRunPinned(specs=specs):
            trials = sum(spec.run_count for spec in specs)
            return replace(progress, status="running", trials=trials)
        case TrialStarted() if not progress.ended:
            return replace(progress, running=progress.running + 1)
        case TrialCounted(outcome=outcome):
            counts = {outcome: getattr(progress, outcome) + 1}
            running, done = progress.running - 1, progress.done + 1
            return replace(progress, running=running, done=done, **counts)
        case TrialsReopened(slots=slots):
            errored, done = progress.errored - len(slots), progress.done - len(slots)
            return replace(progress, status="running", errored=errored, done=done)
        case SetRunCompleted():
            return replace(progress, status="completed", running=0)
        case SetRunCancelled():
            return replace(progress, status="cancelled", running=0)
        case SetRunFailed():
            return replace(progress, status="failed", running=0)
        case _:
            return progress
