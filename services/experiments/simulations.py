"""A simulation: asked for, made chunk by chunk, each recorded once, then completed.

What a chunk holds follows from the configuration, the seed and the steps before it, so
a second copy of a chunk has to be equal to the first, byte for byte.
"""

from collections.abc import Sequence
from typing import Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.errors import Missing, Refused
from events.experiments.common import Tree
from events.experiments.experiments import Summary
from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
)
from events.experiments.simulations import (
    BranchRequested,
    BranchResolved,
    ChunkRecorded,
    RowsRecorded,
    RowsRequested,
    SimulationCancelled,
    SimulationCompleted,
    SimulationEvent,
    SimulationFailed,
    SimulationPaused,
    SimulationRequested,
    SimulationResumed,
    SimulationStarted,
    Totals,
)
from events.ids import ExperimentId, SimulationId
from events.message import Command
from events.message import Meta as Envelope
from services.decider import Decider
from services.engines.population.configuration import (
    Configuration,
    check_paths,
    checked,
    configuration,
    overridden,
    tree,
)
from services.experiments.common import (
    AlreadyExists,
    AtATime,
    Ended,
    ExperimentsCommand,
    Number,
    Parameters,
    Reason,
    Seed,
    Step,
    Steps,
)
from services.experiments.designs import GivenCapture, capture_of, chunk_steps
from services.experiments.outside import (
    OpenOutsideSimulation,
    OutsideCommand,
    OutsideSimulation,
    RunsElsewhere,
    decide_outside,
    evolve_outside,
)


class RequestSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """Ask for a run of a population; `number` counts the runs of its experiment."""

    simulation_id: SimulationId
    configuration: Configuration = Configuration()
    seed: Seed = 0
    steps: Steps = 1_000
    capture: GivenCapture = GivenCapture()
    experiment_id: ExperimentId | None = None
    number: Number = 1
    parameters: Parameters = msgspec.field(default_factory=dict)
    concurrency: AtATime | None = None


class BranchSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """Ask for a run that goes on from a step of another with other parameters.

    Parameters are named by their paths. It has as many steps as the other, unless
    `steps` says how many there are to be in all.
    """

    simulation_id: SimulationId
    parent_id: SimulationId
    at_step: Step
    overrides: Parameters = msgspec.field(default_factory=dict)
    steps: Steps | None = None
    capture: GivenCapture = GivenCapture()


class PauseSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """Let a run hold after the chunk that it is at."""

    simulation_id: SimulationId


class ResumeSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """Let a run go on; with `steps` it holds again after so many."""

    simulation_id: SimulationId
    steps: Steps | None = None


class CancelSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """End a run before its last step."""

    simulation_id: SimulationId
    reason: Reason


class RequestRows(ExperimentsCommand, frozen=True, kw_only=True):
    """Ask for the rows of steps in the tables: states, resources, actions, lessons.

    The steps are made again, so nothing has to have been captured.
    """

    simulation_id: SimulationId
    first_step: Step = 0
    last_step: Step | None = None


class ResolveBranch(ExperimentsCommand, frozen=True, kw_only=True):
    """Say where a branch begins."""

    simulation_id: SimulationId
    parent_number: int
    configuration: Tree
    seed: int
    steps: int
    checkpoint: str
    state_hash: str


class RecordChunk(ExperimentsCommand, frozen=True, kw_only=True):
    """Record the next chunk of a run."""

    simulation_id: SimulationId
    simulation: int
    engine: str
    numerics: str
    number: int
    first_step: int
    last_step: int
    body: str
    rows: dict[str, int]
    state_hash: str
    checkpoint: str
    extinct: bool
    totals: Totals
    latest: dict[str, float]


class RecordRows(ExperimentsCommand, frozen=True, kw_only=True):
    """Record rows that were asked for; the last ones of a request end it."""

    simulation_id: SimulationId
    simulation: int
    request: int
    first_step: int
    last_step: int
    body: str
    rows: dict[str, int]


class FailSimulation(ExperimentsCommand, frozen=True, kw_only=True):
    """End a run that cannot be made."""

    simulation_id: SimulationId
    reason: str


SimulationCommand = (
    RequestSimulation
    | BranchSimulation
    | PauseSimulation
    | ResumeSimulation
    | CancelSimulation
    | RequestRows
    | OutsideCommand
)
InternalCommand = ResolveBranch | RecordChunk | RecordRows | FailSimulation
AnySimulationCommand = SimulationCommand | InternalCommand


class ChunkDiffers(Refused):
    """Another chunk was recorded under this number."""


class OutOfOrder(Refused):
    """The chunk does not follow the last one."""


class NotRecorded(Refused):
    """These steps have not been made."""


class Chunk(msgspec.Struct, frozen=True):
    """A chunk that was recorded."""

    first: int
    last: int
    body: str
    state_hash: str
    checkpoint: str


class Simulation(msgspec.Struct, frozen=True):
    """A run as its rules and its workers see it."""

    requested: SimulationRequested | None = None
    outside: OutsideSimulation = OutsideSimulation()
    branch: BranchRequested | None = None
    resolved: BranchResolved | None = None
    started: bool = False
    chunks: tuple[Chunk, ...] = ()
    latest: dict[str, float] = msgspec.field(default_factory=dict)
    births: int = 0
    deaths: int = 0
    peak: int = 0
    agent_steps: int = 0
    paused: bool = False
    until: int | None = None
    turn: int = 1
    requests: tuple[RowsRequested, ...] = ()
    rows_done: frozenset[tuple[int, int]] = frozenset()
    ended: str | None = None

    @property
    def configuration(self) -> Tree | None:
        """Return the configuration, None for a branch that is not resolved."""
        known = self.requested or self.resolved
        return None if known is None else known.configuration

    @property
    def seed(self) -> int:
        """Return the seed."""
        known = self.requested or self.resolved
        return 0 if known is None else known.seed

    @property
    def steps(self) -> int:
        """Return how many steps there are to be."""
        known = self.requested or self.resolved
        return 0 if known is None else known.steps

    @property
    def chunk_steps(self) -> int:
        """Return how many steps are recorded together."""
        known = self.requested or self.resolved
        return 1 if known is None else known.chunk_steps

    @property
    def begin(self) -> int:
        """Return the step before the first that is made here, -1 for none."""
        return -1 if self.branch is None else self.branch.at_step

    @property
    def step(self) -> int:
        """Return the last step that is recorded."""
        return self.chunks[-1].last if self.chunks else self.begin

    @property
    def boundary(self) -> int:
        """Return the last step of the next chunk."""
        whole = (max(self.step, 0) // self.chunk_steps + 1) * self.chunk_steps
        until = self.steps if self.until is None else min(self.until, self.steps)
        return min(whole, until)


def evolve(  # noqa: C901, PLR0911, PLR0912 - one return for each event
    state: Simulation, event: SimulationEvent
) -> Simulation:
    """Return the state after an event."""
    match event:
        case SimulationRequested():
            return replace(state, requested=event)
        case BranchRequested():
            return replace(state, branch=event)
        case BranchResolved():
            return replace(state, resolved=event)
        case SimulationStarted():
            return replace(state, started=True)
        case ChunkRecorded():
            return _recorded(state, event)
        case RowsRequested():
            return replace(state, requests=(*state.requests, event))
        case RowsRecorded(request=request, first_step=first):
            return replace(state, rows_done=state.rows_done | {(request, first)})
        case SimulationPaused():
            return replace(state, paused=True, until=None)
        case SimulationResumed(turn=turn, until=until):
            return replace(state, paused=False, turn=turn, until=until)
        case SimulationCancelled():
            return replace(state, ended="cancelled")
        case SimulationCompleted():
            return replace(state, ended="completed")
        case SimulationFailed():
            return replace(state, ended="failed")
        case OutsideSimulationOpened() | OutsideRowsRecorded():
            return replace(state, outside=evolve_outside(state.outside, event))
        case OutsideSimulationEnded(status=status):
            seen = evolve_outside(state.outside, event)
            return replace(state, outside=seen, ended=status)
        case _:
            assert_never(event)


def _recorded(state: Simulation, event: ChunkRecorded) -> Simulation:
    chunk = Chunk(
        first=event.first_step,
        last=event.last_step,
        body=event.body,
        state_hash=event.state_hash,
        checkpoint=event.checkpoint,
    )
    totals = event.totals
    return replace(
        state,
        chunks=(*state.chunks, chunk),
        latest=event.latest,
        births=state.births + totals.births,
        deaths=state.deaths + totals.deaths,
        peak=max(state.peak, totals.peak_agents),
        agent_steps=state.agent_steps + totals.agent_steps,
    )


def decide(
    command: AnySimulationCommand, state: Simulation, _meta: Envelope
) -> list[SimulationEvent]:
    """Return what happens: chunks follow each other, each once, to the end."""
    if isinstance(command, OutsideCommand):
        return record_outside(command, state)
    if isinstance(command, RequestSimulation):
        return request(command, state)
    if isinstance(command, BranchSimulation):
        return branch(command, state)
    if state.outside.opened is not None:
        raise RunsElsewhere(path="$.simulation_id")
    if state.requested is None and state.branch is None:
        raise Missing(path="$.simulation_id")
    if isinstance(command, InternalCommand):
        return make(command, state)
    if isinstance(command, RequestRows):
        return want_rows(command, state)
    return govern(command, state)


def record_outside(command: OutsideCommand, state: Simulation) -> list[SimulationEvent]:
    """Record what runs elsewhere, under an id that no run has."""
    if state.requested is not None or state.branch is not None:
        raise AlreadyExists(path="$.simulation_id")
    return [*decide_outside(command, state.outside)]


def make(command: InternalCommand, state: Simulation) -> list[SimulationEvent]:
    """Record what a worker made."""
    match command:
        case RecordChunk():
            return record(command, state)
        case RecordRows():
            return record_rows(command, state)
        case ResolveBranch():
            return resolve(command, state)
        case FailSimulation():
            return fail(command, state)
        case _:
            assert_never(command)


def request(command: RequestSimulation, state: Simulation) -> list[SimulationEvent]:
    """Ask for a run, once."""
    base = checked(command.configuration, at="$.configuration")
    made = overridden(base, command.parameters)
    requested = SimulationRequested(
        simulation_id=command.simulation_id,
        experiment_id=command.experiment_id,
        number=command.number,
        configuration=tree(made),
        parameters=dict(command.parameters),
        seed=command.seed,
        steps=command.steps,
        chunk_steps=chunk_steps(made),
        capture=capture_of(command.capture),
        concurrency=command.concurrency,
    )
    if (
        state.outside.opened is not None
        or state.branch is not None
        or (state.requested is not None and state.requested != requested)
    ):
        raise AlreadyExists(path="$.simulation_id")
    return [] if state.requested is not None else [requested]


def branch(command: BranchSimulation, state: Simulation) -> list[SimulationEvent]:
    """Ask for a branch, once; whether its parent has the step is found out later."""
    check_paths(command.overrides)
    requested = BranchRequested(
        simulation_id=command.simulation_id,
        parent_id=command.parent_id,
        at_step=command.at_step,
        overrides=dict(command.overrides),
        steps=command.steps,
        capture=capture_of(command.capture),
    )
    if (
        state.outside.opened is not None
        or state.requested is not None
        or (state.branch is not None and state.branch != requested)
    ):
        raise AlreadyExists(path="$.simulation_id")
    return [] if state.branch is not None else [requested]


def govern(
    command: PauseSimulation | ResumeSimulation | CancelSimulation, state: Simulation
) -> list[SimulationEvent]:
    """Pause, resume or end a run that is under way."""
    if state.ended is not None:
        raise Ended
    match command:
        case PauseSimulation():
            if state.paused:
                return []
            return [SimulationPaused(simulation_id=command.simulation_id)]
        case ResumeSimulation():
            if not state.paused:
                return []
            until = None
            if command.steps is not None:
                until = max(state.step, 0) + command.steps
            resumed = SimulationResumed(
                simulation_id=command.simulation_id, turn=state.turn + 1, until=until
            )
            return [resumed]
        case CancelSimulation():
            cancelled = SimulationCancelled(
                simulation_id=command.simulation_id,
                experiment_id=_experiment(state),
                number=_number(state),
                reason=command.reason,
            )
            return [cancelled]
        case _:
            assert_never(command)


def want_rows(command: RequestRows, state: Simulation) -> list[SimulationEvent]:
    """Ask for rows of steps that were made."""
    if not state.chunks or command.first_step < state.chunks[0].first:
        raise NotRecorded(path="$.first_step")
    last = state.step if command.last_step is None else command.last_step
    if not command.first_step <= last <= state.step:
        message = f"The last step that was made is {state.step}."
        raise NotRecorded(message, path="$.last_step")
    requested = RowsRequested(
        simulation_id=command.simulation_id,
        request=len(state.requests) + 1,
        first_step=command.first_step,
        last_step=last,
    )
    return [requested]


def resolve(command: ResolveBranch, state: Simulation) -> list[SimulationEvent]:
    """Fix where a branch begins, once."""
    if state.resolved is not None or state.branch is None or state.ended is not None:
        return []
    made = configuration(command.configuration)
    return [
        BranchResolved(
            simulation_id=command.simulation_id,
            parent_number=command.parent_number,
            configuration=command.configuration,
            seed=command.seed,
            steps=command.steps,
            chunk_steps=chunk_steps(made),
            checkpoint=command.checkpoint,
            state_hash=command.state_hash,
        )
    ]


def record(command: RecordChunk, state: Simulation) -> list[SimulationEvent]:
    """Record the next chunk once, and complete the run with the last."""
    if command.number <= len(state.chunks):
        known = state.chunks[command.number - 1]
        copy = Chunk(
            first=command.first_step,
            last=command.last_step,
            body=command.body,
            state_hash=command.state_hash,
            checkpoint=command.checkpoint,
        )
        if copy != known:
            raise ChunkDiffers(path="$.number")
        return []
    if state.ended is not None:
        raise Ended
    follows = command.first_step == state.step + 1 <= command.last_step + 1
    given = state.configuration
    if command.number != len(state.chunks) + 1 or not follows or given is None:
        raise OutOfOrder(path="$.number")
    made = msgspec.convert(given, Configuration)  # checked when it was given
    chunk = ChunkRecorded(
        simulation_id=command.simulation_id,
        simulation=command.simulation,
        number=command.number,
        first_step=command.first_step,
        last_step=command.last_step,
        ruleset=made.ruleset,
        resource_nodes=made.resources.nodes,
        starvation_threshold=made.agent.maximum_starvation_time,
        body=command.body,
        rows=command.rows,
        state_hash=command.state_hash,
        checkpoint=command.checkpoint,
        extinct=command.extinct,
        totals=command.totals,
        latest=command.latest,
    )
    happened: list[SimulationEvent] = [] if state.started else [_start(command)]
    happened.append(chunk)
    after = _recorded(state, chunk)
    if command.extinct or after.step >= state.steps:
        happened.append(_complete(command, after))
    elif state.until is not None and after.step >= state.until and not state.paused:
        happened.append(SimulationPaused(simulation_id=command.simulation_id))
    return happened


def record_rows(command: RecordRows, state: Simulation) -> list[SimulationEvent]:
    """Record rows of a request, once."""
    if (command.request, command.first_step) in state.rows_done:
        return []
    return [
        RowsRecorded(
            simulation_id=command.simulation_id,
            simulation=command.simulation,
            request=command.request,
            first_step=command.first_step,
            last_step=command.last_step,
            body=command.body,
            rows=command.rows,
        )
    ]


def fail(command: FailSimulation, state: Simulation) -> list[SimulationEvent]:
    """End a run that cannot be made, once."""
    if state.ended is not None:
        return []
    return [
        SimulationFailed(
            simulation_id=command.simulation_id,
            experiment_id=_experiment(state),
            number=_number(state),
            reason=command.reason,
        )
    ]


def _start(command: RecordChunk) -> SimulationStarted:
    return SimulationStarted(
        simulation_id=command.simulation_id,
        engine=command.engine,
        numerics=command.numerics,
    )


def _complete(command: RecordChunk, after: Simulation) -> SimulationCompleted:
    latest = after.latest
    return SimulationCompleted(
        simulation_id=command.simulation_id,
        experiment_id=_experiment(after),
        number=_number(after),
        termination="extinct" if command.extinct else "steps_done",
        summary=Summary(
            steps=after.step,
            agents=int(latest["total_agents"]),
            peak_agents=after.peak,
            births=after.births,
            deaths=after.deaths,
            generations=int(latest["current_max_generation"]),
            total_resources=latest["total_resources"],
            average_reward=latest["average_reward"],
            genetic_diversity=latest["genetic_diversity"],
            agent_steps=after.agent_steps,
        ),
    )


def _experiment(state: Simulation) -> ExperimentId | None:
    return None if state.requested is None else state.requested.experiment_id


def _number(state: Simulation) -> int:
    return 1 if state.requested is None else state.requested.number


def also(
    command: AnySimulationCommand, _state: Simulation, _meta: Envelope
) -> Sequence[Command]:
    """Describe the experiment that a simulation elsewhere belongs to."""
    if isinstance(command, OpenOutsideSimulation) and command.experiment:
        return (command.experiment,)
    return ()


def identify(command: AnySimulationCommand) -> UUID:
    """Return the run's id."""
    return command.simulation_id


decider: Final = Decider[AnySimulationCommand, Simulation, SimulationEvent](
    category="experiments.simulation",
    commands=get_args(AnySimulationCommand),
    events=get_args(SimulationEvent),
    initial=Simulation(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    also=also,
    internal=get_args(InternalCommand),
)
