"""A simulation that runs elsewhere: opened, recorded batch by batch, ended.

Nothing of it follows from rules that are known here, so it cannot be made again, nor
verified beyond this: every batch is kept once, in the order of its number.
"""

import hashlib
from datetime import datetime
from typing import Annotated, assert_never

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.errors import Missing, Refused
from events.experiments.outside import (
    End,
    Origin,
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationEvent,
    OutsideSimulationOpened,
    packed,
)
from events.ids import SimulationId
from services.experiments.common import (
    AlreadyExists,
    Ended,
    ExperimentsCommand,
    Json,
    Name,
    Number,
)
from services.experiments.experiments import DescribeOutsideExperiment
from services.experiments.outside_rows import (
    OutsideRows,
    given,
    last_step,
    latest,
    length,
)


Moment = Annotated[datetime, Meta(tz=True)]
Batch = Annotated[int, Meta(ge=1, le=1_000_000)]
Explanation = Annotated[str, Meta(max_length=1_000)]


class OpenOutsideSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """Say that a simulation which runs elsewhere is to be recorded here.

    `name` is how it is known there, `model` says what makes it, `configuration` what
    it was set to, `parameters` by what it differs from others of its experiment.
    `start_time` is when it started, where that was before this.
    """

    simulation_id: SimulationId
    name: Name
    model: Name
    origin: Origin = "recorded"
    experiment: DescribeOutsideExperiment | None = None
    number: Number = 1
    parameters: Json = msgspec.field(default_factory=dict)
    configuration: Json = msgspec.field(default_factory=dict)
    start_time: Moment | None = None


class RecordOutsideRows(ExperimentsCommand, frozen=True, kw_only=True):
    """Record a batch of rows, all of them or none.

    Batches of a simulation are numbered from 1, without a gap. A batch that comes
    again changes nothing, another one under its number is refused.
    """

    simulation_id: SimulationId
    batch: Batch
    rows: OutsideRows


class EndOutsideSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """Say that a simulation elsewhere is over, and what came out of it."""

    simulation_id: SimulationId
    status: End = "completed"
    end_time: Moment | None = None
    results_summary: Json = msgspec.field(default_factory=dict)
    reason: Explanation = ""


OutsideCommand = OpenOutsideSimulation | RecordOutsideRows | EndOutsideSimulation


class RunsElsewhere(Refused):
    """It runs elsewhere: what was recorded of it can be read, and not be made again."""


class BatchDiffers(Refused):
    """Another batch was recorded under this number."""


class BatchMissing(Refused):
    """A batch that comes before this one was not recorded."""


class NoRows(Refused):
    """There are no rows in this batch."""


class OutsideSimulation(msgspec.Struct, frozen=True):
    """A simulation elsewhere, as far as it was recorded."""

    opened: OutsideSimulationOpened | None = None
    batches: tuple[bytes, ...] = ()
    rows: dict[str, int] = msgspec.field(default_factory=dict)
    last_step: int = -1
    ended: OutsideSimulationEnded | None = None


def evolve_outside(
    state: OutsideSimulation, event: OutsideSimulationEvent
) -> OutsideSimulation:
    """Return the state after an event."""
    match event:
        case OutsideSimulationOpened():
            return replace(state, opened=event)
        case OutsideRowsRecorded():
            return replace(
                state,
                batches=(*state.batches, digest(event.body)),
                rows=event.before
                | {
                    name: event.before.get(name, 0) + count
                    for name, count in event.rows.items()
                },
                last_step=event.last_step,
            )
        case OutsideSimulationEnded():
            return replace(state, ended=event)
        case _:
            assert_never(event)


def decide_outside(
    command: OutsideCommand, state: OutsideSimulation
) -> list[OutsideSimulationEvent]:
    """Return what happens: rows are recorded in order, until the end."""
    if isinstance(command, OpenOutsideSimulation):
        return start(command, state)
    if state.opened is None:
        raise Missing(path="$.simulation_id")
    match command:
        case RecordOutsideRows():
            return record(command, state)
        case EndOutsideSimulation():
            return end(command, state)
        case _:
            assert_never(command)


def start(
    command: OpenOutsideSimulation, state: OutsideSimulation
) -> list[OutsideSimulationEvent]:
    """Open a recording, once."""
    experiment = command.experiment
    opened = OutsideSimulationOpened(
        simulation_id=command.simulation_id,
        name=command.name,
        model=command.model,
        origin=command.origin,
        experiment_id=None if experiment is None else experiment.experiment_id,
        number=command.number,
        parameters=command.parameters,
        configuration=command.configuration,
        start_time=command.start_time,
    )
    if state.opened is not None and state.opened != opened:
        raise AlreadyExists(path="$.simulation_id")
    return [] if state.opened is not None else [opened]


def record(
    command: RecordOutsideRows, state: OutsideSimulation
) -> list[OutsideSimulationEvent]:
    """Record the next batch, once."""
    batch = given(command.rows)
    if not batch:
        raise NoRows(path="$.rows")
    body = packed(batch)
    if command.batch <= len(state.batches):
        if state.batches[command.batch - 1] != digest(body):
            raise BatchDiffers(path="$.batch")
        return []
    if state.ended is not None:
        raise Ended
    if command.batch != len(state.batches) + 1:
        message = f"The last batch is number {len(state.batches)}."
        raise BatchMissing(message, path="$.batch")
    return [
        OutsideRowsRecorded(
            simulation_id=command.simulation_id,
            batch=command.batch,
            rows={name: length(table) for name, table in batch.items()},
            before=state.rows,
            last_step=max(state.last_step, last_step(batch)),
            latest=latest(batch),
            body=body,
        )
    ]


def end(
    command: EndOutsideSimulation, state: OutsideSimulation
) -> list[OutsideSimulationEvent]:
    """End a recording, once."""
    ended = OutsideSimulationEnded(
        simulation_id=command.simulation_id,
        status=command.status,
        end_time=command.end_time,
        results_summary=command.results_summary,
        reason=command.reason,
    )
    if state.ended is not None and state.ended != ended:
        raise Ended
    return [] if state.ended is not None else [ended]


def digest(body: bytes) -> bytes:
    """Return what tells a batch from others."""
    return hashlib.sha256(body).digest()
