"""The read table `experiments`: questions, their designs, and what came out."""

from collections.abc import Sequence
from typing import Final

import msgspec

from events.experiments.experiments import (
    ExperimentCancelled,
    ExperimentCompleted,
    ExperimentCreated,
    ExperimentPaused,
    ExperimentResumed,
    ExperimentStarted,
    OutsideExperimentDescribed,
    SimulationCounted,
)
from events.message import Event, Recorded
from projections.experiments.columns import (
    BY_CREATION,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
    integer,
    jsonb,
    jsonb_column,
    key,
    moment,
    text,
)
from projections.projection import Index, Projection, Rows, Table, Value


TABLE: Final = Table(
    schema=SCHEMA,
    name="experiments",
    version=2,
    note="Experiments: runs of populations that answer a question together",
    columns=(
        text("experiment_id", "Experiment identifier"),
        text("name", "Name"),
        text("description", "Description"),
        text("hypothesis", "What is expected to come out"),
        text("status", "created, running, paused, completed or cancelled"),
        jsonb_column("variables", "The design: parameters, values, seeds, iterations"),
        jsonb_column(
            "results_summary",
            "Runs by outcome, and means and deviations of each condition",
            nullable=True,
        ),
        integer("simulations", "How many runs it has, of those made here"),
        integer("counted", "How many of them have ended"),
        moment("started_at", "When its runs were asked for", nullable=True),
        moment("ended_at", "When it was over", nullable=True),
        text("creator_user_id", "Creator user ID"),
        text("external_id", "What it is called where it is made", nullable=True),
        *CREATED,
    ),
    key=("experiment_id",),
    rows=OWN_ORGANISATION,
    indexes=(BY_CREATION, Index(columns=("org_id", "status"))),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of experiments into their rows."""
    for recorded in batch:
        now = recorded.recorded_at
        match recorded.event:
            case ExperimentCreated() as event:
                rows.insert(
                    str(event.experiment_id),
                    event.name,
                    event.description,
                    event.hypothesis,
                    "created",
                    jsonb(event.design),
                    None,
                    event.simulations,
                    0,
                    None,
                    None,
                    recorded.actor_id,
                    None,
                    *created(recorded),
                )
            case OutsideExperimentDescribed() as event:
                _described(recorded, event, rows)
            case ExperimentStarted() as event:
                rows.patch(
                    key(event.experiment_id),
                    status="running",
                    started_at=now,
                    updated_at=now,
                )
            case SimulationCounted() as event:
                rows.add(key(event.experiment_id), counted=1)
            case ExperimentPaused() as event:
                rows.patch(key(event.experiment_id), status="paused", updated_at=now)
            case ExperimentResumed() as event:
                rows.patch(key(event.experiment_id), status="running", updated_at=now)
            case ExperimentCancelled() as event:
                rows.patch(
                    key(event.experiment_id),
                    status="cancelled",
                    results_summary=jsonb({"reason": event.reason}),
                    ended_at=now,
                    updated_at=now,
                )
            case ExperimentCompleted() as event:
                rows.patch(
                    key(event.experiment_id),
                    status="completed",
                    results_summary=jsonb(
                        {
                            "completed": event.completed,
                            "failed": event.failed,
                            "cancelled": event.cancelled,
                            "conditions": msgspec.to_builtins(event.conditions),
                        }
                    ),
                    ended_at=now,
                    updated_at=now,
                )


def _described(
    recorded: Recorded[Event], event: OutsideExperimentDescribed, rows: Rows
) -> None:
    """Show what was last said of an experiment elsewhere."""
    said: dict[str, Value] = {
        "name": event.name,
        "description": event.description,
        "hypothesis": event.hypothesis,
        "status": event.status,
        "variables": jsonb(event.variables),
        "results_summary": jsonb(event.results_summary),
        "external_id": event.external_id,
    }
    if event.revision > 1:
        rows.patch(key(event.experiment_id), **said, updated_at=recorded.recorded_at)
        return
    shown = {
        "experiment_id": str(event.experiment_id),
        **said,
        "simulations": 0,
        "counted": 0,
        "creator_user_id": recorded.actor_id,
        **dict(zip((each.name for each in CREATED), created(recorded), strict=True)),
    }
    rows.insert(*(shown.get(column.name) for column in TABLE.columns))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        ExperimentCreated,
        ExperimentStarted,
        SimulationCounted,
        ExperimentPaused,
        ExperimentResumed,
        ExperimentCancelled,
        ExperimentCompleted,
        OutsideExperimentDescribed,
    ),
    project=project,
)
