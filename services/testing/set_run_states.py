"""A run of a set as its rules see it, folded from its facts."""

from collections.abc import Mapping, Sequence
from typing import Literal, assert_never
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from events.ids import SetRunId, TrialId, UnitTestId
from events.testing.set_runs import (
    ArtifactGenerated,
    Outcome,
    SetRunCancelled,
    SetRunCompleted,
    SetRunEvent,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Spec,
    TrialCounted,
    TrialsReopened,
)


Place = tuple[UnitTestId, int]


class SetRun(msgspec.Struct, frozen=True):
    """A run as its rules see it.

    `places` gives each unit test its place in the specs; `slots` holds, by place and
    index, the trial that was counted. A trial copies the slots of its unit test only.
    `broken` holds those that broke off, `attempts` how often one is held, if not once.
    """

    requested: SetRunRequested | None = None
    pinned: tuple[Spec, ...] = ()
    reserved: UUID | None = None
    places: Mapping[UnitTestId, int] = msgspec.field(default_factory=dict)
    slots: tuple[tuple[TrialId | None, ...], ...] = ()
    remaining: int = 0
    passed: int = 0
    failed: int = 0
    inconclusive: int = 0
    errored: int = 0
    broken: Mapping[Place, TrialId] = msgspec.field(default_factory=dict)
    attempts: Mapping[Place, int] = msgspec.field(default_factory=dict)
    artifacts: Mapping[UUID, ArtifactGenerated] = msgspec.field(default_factory=dict)
    ended: Literal["completed", "cancelled", "failed"] | None = None


def evolve(  # noqa: PLR0911 - one return for each event
    state: SetRun, event: SetRunEvent
) -> SetRun:
    """Return the state after an event."""
    match event:
        case SetRunRequested(specs=specs):
            started = replace(state, requested=event, reserved=event.reserved)
            return pinned(started, specs)
        case SetRunPinned(specs=specs):
            return pinned(state, specs)
        case SetRunFailed():
            return replace(state, ended="failed")
        case TrialCounted():
            return count(state, event)
        case TrialsReopened():
            return reopened(state, event)
        case SetRunCompleted():
            return replace(state, ended="completed")
        case SetRunCancelled():
            return replace(state, ended="cancelled")
        case ArtifactGenerated(artifact_id=key):
            return replace(state, artifacts={**state.artifacts, key: event})
        case _:
            assert_never(event)


def pinned(state: SetRun, specs: Sequence[Spec]) -> SetRun:
    """Return the state with everything pinned."""
    return replace(
        state,
        pinned=tuple(specs),
        places={spec.unit_test_id: place for place, spec in enumerate(specs)},
        slots=tuple((None,) * spec.run_count for spec in specs),
        remaining=sum(spec.run_count for spec in specs),
    )


def count(state: SetRun, event: TrialCounted) -> SetRun:
    """Return the state after one more trial."""
    counts: dict[Outcome, int] = {event.outcome: getattr(state, event.outcome) + 1}
    broken = state.broken
    if event.outcome == "errored":
        broken = {**broken, (event.unit_test_id, event.index): event.trial_id}
    return replace(
        state,
        slots=slots_with(state, event.unit_test_id, event.index, event.trial_id),
        remaining=state.remaining - 1,
        broken=broken,
        **counts,
    )


def reopened(state: SetRun, event: TrialsReopened) -> SetRun:
    """Return the state with trials taken out of the count."""
    for slot in event.slots:
        slots = slots_with(state, slot.unit_test_id, slot.index, None)
        state = replace(state, slots=slots)
    again = {(slot.unit_test_id, slot.index): slot.attempt for slot in event.slots}
    kept = {key: trial for key, trial in state.broken.items() if key not in again}
    return replace(
        state,
        reserved=event.reserved if state.ended else state.reserved,
        remaining=state.remaining + len(again),
        errored=state.errored - len(again),
        broken=kept,
        attempts={**state.attempts, **again},
        ended=None,
    )


def slots_with(
    state: SetRun, unit_test_id: UnitTestId, index: int, trial_id: TrialId | None
) -> tuple[tuple[TrialId | None, ...], ...]:
    """Return the slots with one of them set."""
    place, slots = state.places[unit_test_id], list(state.slots)
    slots[place] = (*slots[place][:index], trial_id, *slots[place][index + 1 :])
    return tuple(slots)


def live_trial_id(
    run_id: SetRunId, unit_test_id: UnitTestId, index: int, attempt: int
) -> TrialId:
    """Return the id of a live trial, the same wherever it is asked for."""
    return TrialId(uuid5(run_id, f"{unit_test_id}/{index}/{attempt}"))
