"""What follows from the facts of experiments: runs, jobs that make them, their count.

A job makes a run until it holds or ends; each time that a run is set going has a job of
its own. The runs of an experiment are a group: at most so many are made at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from events.experiments.experiments import (
    ExperimentCancelled,
    ExperimentPaused,
    ExperimentResumed,
    ExperimentStarted,
    Outcome,
)
from events.experiments.simulations import (
    BranchRequested,
    RowsRequested,
    SimulationCancelled,
    SimulationCompleted,
    SimulationFailed,
    SimulationRequested,
    SimulationResumed,
)
from events.ids import ExperimentId, SimulationId
from events.message import Command, Recorded
from services.engines.population.configuration import configuration
from services.experiments.common import MAX_SIMULATIONS
from services.experiments.designs import GivenCapture, planned, simulation_id
from services.experiments.experiments import CountSimulation
from services.experiments.simulations import (
    CancelSimulation,
    FailSimulation,
    PauseSimulation,
    RequestSimulation,
    ResumeSimulation,
)
from services.ports import Failed, Job
from services.reactions import Cancel, Reaction, Reactions, job


SIMULATE: Final = "simulate"
ROWS: Final = "simulated_rows"
MAX_REASON: Final = 1_000
MAX_ATTEMPTS: Final = 8  # of a run, which a killed worker may cost one each


class SimulateBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job that makes a run, which was set going `turn` times."""

    simulation_id: SimulationId
    turn: int


class RowsBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job that makes rows of steps that were made before."""

    simulation_id: SimulationId
    request: int
    first_step: int
    last_step: int


def on_started(recorded: Recorded[ExperimentStarted]) -> Sequence[Reaction]:
    """Ask for every run of an experiment."""
    experiment = recorded.event
    design = experiment.design
    made = configuration(design.configuration)
    capture = msgspec.convert(msgspec.to_builtins(design.capture), GivenCapture)
    return [
        RequestSimulation(
            simulation_id=simulation_id(experiment.experiment_id, run.number),
            configuration=made,
            seed=run.seed,
            steps=design.steps,
            capture=capture,
            experiment_id=experiment.experiment_id,
            number=run.number,
            parameters=dict(run.parameters),
            concurrency=design.concurrency,
        )
        for run in planned(design)
    ]


def on_paused(recorded: Recorded[ExperimentPaused]) -> Sequence[Reaction]:
    """Let every run hold."""
    event = recorded.event
    return [
        PauseSimulation(simulation_id=each)
        for each in runs_of(event.experiment_id, event.simulations)
    ]


def on_resumed(recorded: Recorded[ExperimentResumed]) -> Sequence[Reaction]:
    """Let every run go on."""
    event = recorded.event
    return [
        ResumeSimulation(simulation_id=each)
        for each in runs_of(event.experiment_id, event.simulations)
    ]


def on_cancelled(recorded: Recorded[ExperimentCancelled]) -> Sequence[Reaction]:
    """End every run, and do nothing more for any."""
    event = recorded.event
    return [
        Cancel(group_key=group_of(event.experiment_id)),
        *(
            CancelSimulation(simulation_id=each, reason=event.reason)
            for each in runs_of(event.experiment_id, event.simulations)
        ),
    ]


def on_requested(recorded: Recorded[SimulationRequested]) -> Sequence[Reaction]:
    """Ask that a run is made."""
    run = recorded.event
    asked = simulate(recorded, run.simulation_id, 1)
    if run.experiment_id is None:
        return (asked,)
    limit = run.concurrency or MAX_SIMULATIONS
    return (replace(asked, group_key=group_of(run.experiment_id), group_limit=limit),)


def on_branched(recorded: Recorded[BranchRequested]) -> Sequence[Reaction]:
    """Ask that a branch is made."""
    return (simulate(recorded, recorded.event.simulation_id, 1),)


def on_run_resumed(recorded: Recorded[SimulationResumed]) -> Sequence[Reaction]:
    """Ask that a run goes on."""
    return (simulate(recorded, recorded.event.simulation_id, recorded.event.turn),)


def on_ended(
    recorded: Recorded[SimulationCompleted]
    | Recorded[SimulationCancelled]
    | Recorded[SimulationFailed],
) -> Sequence[Reaction]:
    """Count a run of an experiment, and do nothing more for one that broke off."""
    run = recorded.event
    ends: list[Reaction] = []
    if not isinstance(run, SimulationCompleted):
        ends.append(Cancel(key=recorded.stream_id))
    if run.experiment_id is not None:
        ends.append(count_of(run, run.experiment_id))
    return ends


def count_of(
    run: SimulationCompleted | SimulationCancelled | SimulationFailed,
    experiment_id: ExperimentId,
) -> CountSimulation:
    """Return the request to count a run."""
    outcome: Outcome = "failed"
    if isinstance(run, SimulationCompleted):
        outcome = "completed"
    elif isinstance(run, SimulationCancelled):
        outcome = "cancelled"
    return CountSimulation(
        experiment_id=experiment_id,
        simulation_id=run.simulation_id,
        number=run.number,
        outcome=outcome,
        summary=run.summary if isinstance(run, SimulationCompleted) else None,
    )


def on_rows_requested(recorded: Recorded[RowsRequested]) -> Sequence[Reaction]:
    """Ask that steps are made again."""
    event = recorded.event
    body = RowsBody(
        simulation_id=event.simulation_id,
        request=event.request,
        first_step=event.first_step,
        last_step=event.last_step,
    )
    key = f"experiments.rows-{event.simulation_id}"
    return (job(recorded, ROWS, body=body_of(body), key=key),)


def simulate(
    recorded: Recorded[SimulationRequested]
    | Recorded[BranchRequested]
    | Recorded[SimulationResumed],
    run: SimulationId,
    turn: int,
) -> Job:
    """Return the job that makes a run."""
    body = SimulateBody(simulation_id=run, turn=turn)
    asked = job(recorded, SIMULATE, body=body_of(body), max_attempts=MAX_ATTEMPTS)
    return replace(asked, effect_key=f"{SIMULATE}:{run}:{turn}")


def simulate_failed(failed: Failed) -> Command:
    """Return the end of a run that could not be made."""
    body = msgspec.convert(failed.job.body, SimulateBody)
    reason = f"After {failed.attempts} attempts: {failed.error}"[:MAX_REASON]
    return FailSimulation(simulation_id=body.simulation_id, reason=reason)


def runs_of(experiment_id: ExperimentId, count: int) -> Iterator[SimulationId]:
    """Yield the ids of the runs of an experiment."""
    for number in range(1, count + 1):
        yield simulation_id(experiment_id, number)


def group_of(experiment_id: ExperimentId) -> str:
    """Return the group of an experiment's jobs."""
    return f"experiment:{experiment_id}"


def body_of(body: msgspec.Struct) -> Mapping[str, object]:
    """Return a body as jobs hold it."""
    built: Mapping[str, object] = msgspec.to_builtins(body)
    return built


REACTIONS: Final[Reactions] = {
    ExperimentStarted: (on_started,),
    ExperimentPaused: (on_paused,),
    ExperimentResumed: (on_resumed,),
    ExperimentCancelled: (on_cancelled,),
    SimulationRequested: (on_requested,),
    BranchRequested: (on_branched,),
    SimulationResumed: (on_run_resumed,),
    SimulationCompleted: (on_ended,),
    SimulationCancelled: (on_ended,),
    SimulationFailed: (on_ended,),
    RowsRequested: (on_rows_requested,),
}

ON_FAILURE: Final = {SIMULATE: simulate_failed}
