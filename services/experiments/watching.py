"""Steps of runs as they are told live: which come next, and in how many windows.

Chunks are told in the order of the log, and the steps of each in theirs. A cursor is a
place in that order: who comes back with one is told everything after it, once, whether
step by step or condensed into windows, each of which says which steps it stands for.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

import msgspec
from msgspec.structs import replace

from events.experiments.experiments import (
    ExperimentCancelled,
    ExperimentCompleted,
    OutsideExperimentDescribed,
)
from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
    unpacked,
)
from events.experiments.simulations import (
    ChunkRecorded,
    SimulationCancelled,
    SimulationCompleted,
    SimulationFailed,
    SimulationRequested,
)
from events.ids import ExperimentId, SimulationId
from events.message import Event, Recorded


STATUS: Final[Mapping[type[Event], str]] = {
    SimulationCompleted: "completed",
    SimulationCancelled: "cancelled",
    SimulationFailed: "failed",
}
Ending = (
    SimulationCompleted
    | SimulationCancelled
    | SimulationFailed
    | OutsideSimulationEnded
)
ENDED: Final = frozenset(STATUS.values())

Metrics = dict[str, int | float | None]


class StepMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics of a simulation at the end of a step, or of a window of steps.

    `metrics` are the columns of `simulation_steps` at `last_step`. Of more than one
    step, `least`, `greatest` and `mean` tell what they were over all of the window.
    `number` counts the runs of the experiment from 1. What was not recorded of a
    simulation that runs elsewhere is null; a step of it that is recorded again is told
    again.
    """

    simulation_id: int
    number: int
    first_step: int
    last_step: int
    metrics: Metrics
    least: Metrics | None = None
    greatest: Metrics | None = None
    mean: Metrics | None = None


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the feed: steps, or windows of them, in their order."""

    steps: list[StepMetrics]


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last message of the feed: how the run or the experiment ended."""

    status: str


class Cursor(msgspec.Struct, frozen=True, order=True):
    """Up to where was told: of the chunk at a position, some steps or all (None)."""

    position: int
    step: int | None = None

    def __str__(self) -> str:
        """Return the cursor as clients keep it."""
        return str(self.position) + ("" if self.step is None else f"-{self.step}")


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of a run that were recorded, by the event at a position."""

    position: int
    simulation_id: int
    number: int
    first: int
    last: int
    whole: bool = True
    """Whether every step is there, as of runs that are made here."""

    @property
    def steps(self) -> int:
        """Return how many steps there are."""
        return self.last - self.first + 1


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is followed; where it runs elsewhere its events do not say the id."""

    number: int
    simulation_id: int | None = None


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A run or an experiment that is followed through the log.

    `runs` are those that may come, as far as they are known. `status` and the runs that
    are `under_way` were so at the position `since`, and follow the log from there.
    """

    runs: Mapping[SimulationId, Run]
    experiment_id: ExperimentId | None
    begin: int
    since: int
    status: str
    under_way: frozenset[SimulationId]
    over: bool = False

    def ended(self, read: int) -> bool:
        """Say whether no step can come any more, with the log read to a position."""
        if self.over:
            return True
        return self.status in ENDED and not self.under_way and read >= self.since


def noted(watched: Watched, recorded: Recorded[Event]) -> Watched:
    """Return what is followed after an event."""
    event = recorded.event
    match event:
        case ExperimentCompleted(experiment_id=key) if key == watched.experiment_id:
            return replace(watched, status="completed", over=True)
        case ExperimentCancelled(experiment_id=key) if key == watched.experiment_id:
            return replace(watched, status="cancelled")
        case SimulationRequested(simulation_id=run) if run in watched.runs:
            begun = {run} if recorded.position > watched.since else set()
            return replace(watched, under_way=watched.under_way | begun)
        case (
            SimulationCompleted()
            | SimulationCancelled()
            | SimulationFailed()
            | OutsideSimulationEnded()
        ):
            if event.simulation_id in watched.runs:
                return _one_ended(watched, event)
        case OutsideSimulationOpened() | OutsideExperimentDescribed():
            if recorded.position > watched.since and watched.experiment_id is not None:
                return _told_elsewhere(watched, recorded.position, event)
        case _:
            pass
    return watched


def _told_elsewhere(
    watched: Watched,
    position: int,
    event: OutsideSimulationOpened | OutsideExperimentDescribed,
) -> Watched:
    if event.experiment_id != watched.experiment_id:
        return watched
    if isinstance(event, OutsideExperimentDescribed):
        return replace(watched, status=event.status)
    run = Run(number=event.number, simulation_id=position)
    return replace(
        watched,
        runs={**watched.runs, event.simulation_id: run},
        under_way=watched.under_way | {event.simulation_id},
    )


def _one_ended(watched: Watched, event: Ending) -> Watched:
    if watched.experiment_id is not None:
        under_way = watched.under_way - {event.simulation_id}
        return replace(watched, under_way=under_way)
    if isinstance(event, OutsideSimulationEnded):
        return replace(watched, status=event.status, over=True)
    return replace(watched, status=STATUS[type(event)], over=True)


def span_of(watched: Watched, recorded: Recorded[Event], cursor: Cursor) -> Span | None:
    """Return the steps that an event brings and that were not told, if any."""
    match recorded.event:
        case ChunkRecorded(simulation_id=key, first_step=first, last_step=last) as made:
            simulation_id: int | None = made.simulation
            whole = True
        case OutsideRowsRecorded(simulation_id=key) as batch:
            if key not in watched.runs or not batch.rows.get("simulation_steps"):
                return None
            steps = unpacked(batch.body)["simulation_steps"]["step_number"]
            first, last, whole = min(steps), max(steps), False
            simulation_id = watched.runs[key].simulation_id
        case _:
            return None
    if recorded.position == cursor.position:
        first = max(first, (last if cursor.step is None else cursor.step) + 1)
    if key not in watched.runs or first > last or simulation_id is None:
        return None
    return Span(
        position=recorded.position,
        simulation_id=simulation_id,
        number=watched.runs[key].number,
        first=first,
        last=last,
        whole=whole,
    )


def windows(spans: Sequence[Span], most: int) -> list[tuple[Span, int]]:
    """Return what to tell and how many steps a window has, for about `most` windows.

    Chunks of a run that follow each other are told as one. Each run gets windows by
    its share of the steps, and one at least.
    """
    joined: list[Span] = []
    latest: dict[int, int] = {}
    for span in spans:
        at = latest.get(span.simulation_id)
        if at is not None and joined[at].last + 1 == span.first:
            joined[at] = replace(joined[at], position=span.position, last=span.last)
        else:
            latest[span.simulation_id] = len(joined)
            joined.append(span)
    total = sum(span.steps for span in joined)
    return [
        (span, ceil(span.steps / max(1, most * span.steps // total))) for span in joined
    ]
