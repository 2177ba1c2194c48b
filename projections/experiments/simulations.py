"""The read table `simulations`: every run, how far it is, and what came out."""

from collections.abc import Sequence
from typing import Final

import msgspec

from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
)
from events.experiments.simulations import (
    BranchRequested,
    BranchResolved,
    ChunkRecorded,
    SimulationCancelled,
    SimulationCompleted,
    SimulationFailed,
    SimulationPaused,
    SimulationRequested,
    SimulationResumed,
    SimulationStarted,
)
from events.message import Event, Recorded
from projections.experiments.columns import (
    BY_CREATION,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    bigint,
    created,
    integer,
    jsonb,
    jsonb_column,
    moment,
    text,
)
from projections.projection import Index, Projection, Reference, Rows, Table, Value


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulations",
    version=2,
    note="Simulations: runs of populations, alone or of an experiment",
    columns=(
        bigint("simulation_id", "Unique identifier for simulation"),
        text("_id", "Identifier of its stream"),
        text("experiment_id", "Experiment that it belongs to", nullable=True),
        integer("number", "Which run of the experiment, from 1"),
        moment("start_time", "When simulation started", nullable=True),
        moment("end_time", "When simulation ended", nullable=True),
        text(
            "status",
            "requested, running, paused, completed, cancelled or failed",
        ),
        jsonb_column("parameters", "What differs from the experiment's configuration"),
        jsonb_column("results_summary", "Summary of results", nullable=True),
        text("simulation_db_path", "Where it is recorded: the stream that replays it"),
        text("ruleset", "Rules that it follows", nullable=True),
        text(
            "engine",
            "Engine that makes it, or model that was recorded or imported",
            nullable=True,
        ),
        bigint("seed", "Seed that every draw follows from", nullable=True),
        integer("steps", "How many steps it is to have", nullable=True),
        integer("step", "Last step that is recorded", nullable=True),
        jsonb_column("latest", "Metrics after the last step", nullable=True),
        text("state_hash", "Hash of the state after the last step", nullable=True),
        text("parent_key", "Simulation that it branches from", nullable=True),
        integer("branch_step", "Step that it branches from", nullable=True),
        text("reason", "Why it was cancelled or failed", nullable=True),
        text("external_id", "What it is called where it runs", nullable=True),
        *CREATED,
    ),
    key=("simulation_id",),
    rows=OWN_ORGANISATION,
    indexes=(
        BY_CREATION,
        Index(columns=("_id",), unique=True),
        Index(columns=("experiment_id", "number")),
        Index(columns=("parent_key",)),
    ),
    references=(
        Reference(
            column="experiment_id",
            table="experiments.experiments",
            target="experiment_id",
        ),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of runs into their rows."""
    for recorded in batch:
        match recorded.event:
            case SimulationRequested() as event:
                rows.insert(*_requested(recorded, event))
            case BranchRequested() as event:
                rows.insert(*_branched(recorded, event))
            case OutsideSimulationOpened() as event:
                rows.insert(*_opened(recorded, event))
            case ChunkRecorded() as event:
                rows.patch(
                    (event.simulation,),
                    step=event.last_step,
                    latest=jsonb(event.latest),
                    state_hash=event.state_hash,
                    updated_at=recorded.recorded_at,
                )
            case OutsideRowsRecorded() as event:
                rows.patch_where(
                    "_id",
                    str(event.simulation_id),
                    **_grown(event),
                    updated_at=recorded.recorded_at,
                )
            case _:
                _follow(recorded, rows)


def _grown(event: OutsideRowsRecorded) -> dict[str, Value]:
    """Return what changes of a simulation elsewhere with a batch."""
    found: dict[str, Value] = {}
    if event.last_step >= 0:
        found["step"] = event.last_step
    if event.latest:
        found["latest"] = jsonb(event.latest)
    return found


def _requested(
    recorded: Recorded[Event], event: SimulationRequested
) -> tuple[Value, ...]:
    experiment = event.experiment_id
    return (
        recorded.position,
        str(event.simulation_id),
        None if experiment is None else str(experiment),
        event.number,
        None,
        None,
        "requested",
        jsonb(event.parameters),
        None,
        recorded.stream_id,
        event.configuration["ruleset"],
        None,
        event.seed,
        event.steps,
        *(None,) * 7,
        *created(recorded),
    )


def _branched(recorded: Recorded[Event], event: BranchRequested) -> tuple[Value, ...]:
    return (
        recorded.position,
        str(event.simulation_id),
        None,
        1,
        None,
        None,
        "requested",
        jsonb(event.overrides),
        None,
        recorded.stream_id,
        None,
        None,
        None,
        event.steps,
        None,
        None,
        None,
        str(event.parent_id),
        event.at_step,
        None,
        None,
        *created(recorded),
    )


def _opened(
    recorded: Recorded[Event], event: OutsideSimulationOpened
) -> tuple[Value, ...]:
    experiment = event.experiment_id
    return (
        recorded.position,
        str(event.simulation_id),
        None if experiment is None else str(experiment),
        event.number,
        event.start_time or recorded.recorded_at,
        None,
        "running",
        jsonb(event.parameters),
        None,
        recorded.stream_id,
        None,
        f"{event.origin}: {event.model}",
        *(None,) * 8,
        event.name,
        *created(recorded),
    )


def _follow(recorded: Recorded[Event], rows: Rows) -> None:
    """Set what a fact changes of a run that is known by its stream."""
    now = recorded.recorded_at
    match recorded.event:
        case BranchResolved() as event:
            values: dict[str, Value] = {
                "ruleset": event.configuration["ruleset"],
                "seed": event.seed,
                "steps": event.steps,
                "state_hash": event.state_hash,
            }
        case SimulationStarted() as event:
            values = {"status": "running", "start_time": now, "engine": event.engine}
        case SimulationPaused() as event:
            values = {"status": "paused"}
        case SimulationResumed() as event:
            values = {"status": "running"}
        case SimulationCompleted() as event:
            summary = msgspec.to_builtins(event.summary)
            values = {
                "status": "completed",
                "end_time": now,
                "results_summary": jsonb({"termination": event.termination, **summary}),
            }
        case SimulationCancelled() as event:
            values = {"status": "cancelled", "end_time": now, "reason": event.reason}
        case SimulationFailed() as event:
            values = {"status": "failed", "end_time": now, "reason": event.reason}
        case OutsideSimulationEnded() as event:
            values = {
                "status": event.status,
                "end_time": event.end_time or now,
                "results_summary": jsonb(event.results_summary),
                "reason": event.reason or None,
            }
        case _:
            return
    rows.patch_where("_id", str(event.simulation_id), **values, updated_at=now)


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        SimulationRequested,
        BranchRequested,
        BranchResolved,
        SimulationStarted,
        ChunkRecorded,
        SimulationPaused,
        SimulationResumed,
        SimulationCompleted,
        SimulationCancelled,
        SimulationFailed,
        OutsideSimulationOpened,
        OutsideRowsRecorded,
        OutsideSimulationEnded,
    ),
    project=project,
)
