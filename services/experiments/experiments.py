"""An experiment: set up, started once, its runs counted, completed by the last."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Annotated, Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.errors import Missing, Refused
from events.experiments.experiments import (
    Condition,
    ExperimentCancelled,
    ExperimentCompleted,
    ExperimentCreated,
    ExperimentEvent,
    ExperimentPaused,
    ExperimentResumed,
    ExperimentStarted,
    Outcome,
    OutsideExperimentDescribed,
    SimulationCounted,
    Summary,
)
from events.ids import ExperimentId, SimulationId
from events.message import Meta as Envelope
from services.decider import Decider
from services.experiments.common import (
    AlreadyExists,
    Description,
    Ended,
    ExperimentsCommand,
    Json,
    Name,
    Reason,
)
from services.experiments.designs import GivenDesign, design_of, planned, size


class CreateExperiment(ExperimentsCommand, frozen=True, kw_only=True):
    """Set up an experiment; its whole design is checked at once."""

    experiment_id: ExperimentId
    name: Name
    description: Description = ""
    hypothesis: Description = ""
    design: GivenDesign = GivenDesign()


class StartExperiment(ExperimentsCommand, frozen=True, kw_only=True):
    """Ask for the runs of an experiment."""

    experiment_id: ExperimentId


class PauseExperiment(ExperimentsCommand, frozen=True, kw_only=True):
    """Let the runs of an experiment hold, each after the chunk that it is at."""

    experiment_id: ExperimentId


class ResumeExperiment(ExperimentsCommand, frozen=True, kw_only=True):
    """Let the runs of an experiment go on."""

    experiment_id: ExperimentId


class CancelExperiment(ExperimentsCommand, frozen=True, kw_only=True):
    """End an experiment before its last run."""

    experiment_id: ExperimentId
    reason: Reason


class DescribeOutsideExperiment(ExperimentsCommand, frozen=True, kw_only=True):
    """Say what an experiment that is made elsewhere is about, and how far it is.

    `external_id` is what it is called there.
    """

    experiment_id: ExperimentId
    external_id: Annotated[str, Meta(max_length=200)] = ""
    name: Name
    description: Description = ""
    hypothesis: Description = ""
    status: Annotated[str, Meta(min_length=1, max_length=50)] = "running"
    variables: Json = msgspec.field(default_factory=dict)
    results_summary: Json = msgspec.field(default_factory=dict)


class CountSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """Count a run that has ended in its own stream."""

    experiment_id: ExperimentId
    simulation_id: SimulationId
    number: int
    outcome: Outcome
    summary: Summary | None = None


ExperimentCommand = (
    CreateExperiment
    | StartExperiment
    | PauseExperiment
    | ResumeExperiment
    | CancelExperiment
    | DescribeOutsideExperiment
)
AnyExperimentCommand = ExperimentCommand | CountSimulation


class NotStarted(Refused):
    """The experiment has not been started."""


class Experiment(msgspec.Struct, frozen=True):
    """An experiment as its rules see it."""

    created: ExperimentCreated | None = None
    started: bool = False
    paused: bool = False
    ended: bool = False
    described: OutsideExperimentDescribed | None = None
    counted: dict[int, SimulationCounted] = msgspec.field(default_factory=dict)


def evolve(  # noqa: PLR0911 - one return for each event
    state: Experiment, event: ExperimentEvent
) -> Experiment:
    """Return the state after an event."""
    match event:
        case ExperimentCreated():
            return replace(state, created=event)
        case ExperimentStarted():
            return replace(state, started=True)
        case SimulationCounted(number=number):
            return replace(state, counted={**state.counted, number: event})
        case ExperimentPaused():
            return replace(state, paused=True)
        case ExperimentResumed():
            return replace(state, paused=False)
        case ExperimentCancelled() | ExperimentCompleted():
            return replace(state, ended=True)
        case OutsideExperimentDescribed():
            return replace(state, described=event)
        case _:
            assert_never(event)


def decide(
    command: AnyExperimentCommand, state: Experiment, _meta: Envelope
) -> list[ExperimentEvent]:
    """Return what happens: an experiment is made of what its design says, once."""
    if isinstance(command, CreateExperiment):
        return create(command, state)
    if isinstance(command, DescribeOutsideExperiment):
        return describe(command, state)
    if state.created is None:
        raise Missing(path="$.experiment_id")
    if isinstance(command, StartExperiment):
        return start(state, state.created)
    if isinstance(command, CountSimulation):
        return count(command, state, state.created)
    return govern(command, state, state.created)


def create(command: CreateExperiment, state: Experiment) -> list[ExperimentEvent]:
    """Set up an experiment, once."""
    design = design_of(command.design)
    created = ExperimentCreated(
        experiment_id=command.experiment_id,
        name=command.name,
        description=command.description,
        hypothesis=command.hypothesis,
        design=design,
        simulations=size(design),
    )
    if state.described is not None or (
        state.created is not None and state.created != created
    ):
        raise AlreadyExists(path="$.experiment_id")
    return [] if state.created is not None else [created]


def describe(
    command: DescribeOutsideExperiment, state: Experiment
) -> list[ExperimentEvent]:
    """Describe an experiment elsewhere, unless that is what is known of it."""
    if state.created is not None:
        raise AlreadyExists(path="$.experiment_id")
    known = state.described
    described = OutsideExperimentDescribed(
        experiment_id=command.experiment_id,
        revision=1 if known is None else known.revision,
        external_id=command.external_id,
        name=command.name,
        description=command.description,
        hypothesis=command.hypothesis,
        status=command.status,
        variables=command.variables,
        results_summary=command.results_summary,
    )
    if described == known:
        return []
    if known is not None:
        described = replace(described, revision=known.revision + 1)
    return [described]


def start(state: Experiment, created: ExperimentCreated) -> list[ExperimentEvent]:
    """Ask for the runs, once."""
    if state.started:
        return []
    return [
        ExperimentStarted(
            experiment_id=created.experiment_id,
            design=created.design,
            simulations=created.simulations,
        )
    ]


def govern(
    command: PauseExperiment | ResumeExperiment | CancelExperiment,
    state: Experiment,
    created: ExperimentCreated,
) -> list[ExperimentEvent]:
    """Pause, resume or end an experiment that is under way."""
    key, simulations = created.experiment_id, created.simulations
    if state.ended:
        raise Ended
    if isinstance(command, CancelExperiment):
        cancelled = ExperimentCancelled(
            experiment_id=key,
            simulations=simulations if state.started else 0,
            reason=command.reason,
        )
        return [cancelled]
    if not state.started:
        raise NotStarted
    match command:
        case PauseExperiment():
            if state.paused:
                return []
            return [ExperimentPaused(experiment_id=key, simulations=simulations)]
        case ResumeExperiment():
            if not state.paused:
                return []
            return [ExperimentResumed(experiment_id=key, simulations=simulations)]
        case _:
            assert_never(command)


def count(
    command: CountSimulation, state: Experiment, created: ExperimentCreated
) -> list[ExperimentEvent]:
    """Count a run once; the last one completes the experiment."""
    if command.number in state.counted or state.ended:
        return []
    counted = SimulationCounted(
        experiment_id=command.experiment_id,
        simulation_id=command.simulation_id,
        number=command.number,
        outcome=command.outcome,
        summary=command.summary,
    )
    known = {**state.counted, command.number: counted}
    if len(known) < created.simulations:
        return [counted]
    outcomes = [each.outcome for each in known.values()]
    completed = ExperimentCompleted(
        experiment_id=command.experiment_id,
        completed=outcomes.count("completed"),
        failed=outcomes.count("failed"),
        cancelled=outcomes.count("cancelled"),
        conditions=list(compared(created, known.values())),
    )
    return [counted, completed]


def compared(
    created: ExperimentCreated, counted: Iterable[SimulationCounted]
) -> Iterable[Condition]:
    """Yield what came out of each condition, in the order of the design."""
    summaries = {each.number: each.summary for each in counted}
    grouped: list[tuple[dict[str, object], list[Summary]]] = []
    for run in planned(created.design):
        if not grouped or grouped[-1][0] != run.parameters:
            grouped.append((dict(run.parameters), []))
        summary = summaries.get(run.number)
        if summary is not None:
            grouped[-1][1].append(summary)
    for parameters, found in grouped:
        yield Condition(
            parameters=parameters,  # type: ignore[arg-type]
            runs=len(found),
            means={name: fmean(values) for name, values in _columns(found)},
            deviations={
                name: stdev(values)
                for name, values in _columns(found)
                if len(found) > 1
            },
        )


def _columns(found: Sequence[Summary]) -> Iterable[tuple[str, list[float]]]:
    for name in Summary.__struct_fields__ if found else ():
        values = [float(getattr(each, name)) for each in found]
        if all(map(math.isfinite, values)):
            yield name, values


def identify(command: AnyExperimentCommand) -> UUID:
    """Return the experiment's id."""
    return command.experiment_id


decider: Final = Decider[AnyExperimentCommand, Experiment, ExperimentEvent](
    category="experiments.experiment",
    commands=get_args(AnyExperimentCommand),
    events=get_args(ExperimentEvent),
    initial=Experiment(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    internal=(CountSimulation,),
)
