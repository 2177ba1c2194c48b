"""Facts about simulations: one run of a population, in a stream of its own."""

from typing import Literal

import msgspec

from events.experiments.common import Capture, ExperimentsEvent, Tree
from events.experiments.experiments import Summary, Value
from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
)
from events.ids import ExperimentId, SimulationId


Termination = Literal["steps_done", "extinct"]


class SimulationRequested(ExperimentsEvent, frozen=True, kw_only=True):
    """A run was asked for; all that happens in it follows from what is said here.

    `number` counts the runs of its experiment from 1. `parameters` are those by which
    the run differs within its experiment.
    """

    simulation_id: SimulationId
    experiment_id: ExperimentId | None
    number: int
    configuration: Tree
    parameters: dict[str, Value]
    seed: int
    steps: int
    chunk_steps: int
    capture: Capture
    concurrency: int | None = None


class BranchRequested(ExperimentsEvent, frozen=True, kw_only=True):
    """A run was asked for that goes on from a step of another, with other parameters.

    It draws the same numbers as the other would, so that what differs follows from the
    parameters.
    """

    simulation_id: SimulationId
    parent_id: SimulationId
    at_step: int
    overrides: dict[str, Value]
    steps: int | None
    capture: Capture


class BranchResolved(ExperimentsEvent, frozen=True, kw_only=True):
    """It was found out where a branch begins; `checkpoint` is the body's sha256."""

    simulation_id: SimulationId
    parent_number: int
    configuration: Tree
    seed: int
    steps: int
    chunk_steps: int
    checkpoint: str
    state_hash: str


class SimulationStarted(ExperimentsEvent, frozen=True, kw_only=True):
    """The first chunk of a run was made, by an engine that is named."""

    simulation_id: SimulationId
    engine: str
    numerics: str


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps of a chunk come to."""

    births: int
    deaths: int
    peak_agents: int
    agent_steps: int


class ChunkRecorded(ExperimentsEvent, frozen=True, kw_only=True):
    """Steps of a run were made and recorded; chunks are numbered from 1.

    `simulation` is the position in the log at which the run was asked for: the number
    by which tables know it. `body` is the sha256 of the recorded rows, `rows` how many
    there are by table. `state_hash` is the BLAKE2b of the whole state after the last
    step, `checkpoint` the sha256 of that state. `latest` has the metrics after the
    last step.
    """

    simulation_id: SimulationId
    simulation: int
    number: int
    first_step: int
    last_step: int
    ruleset: str
    resource_nodes: int
    starvation_threshold: int
    body: str
    rows: dict[str, int]
    state_hash: str
    checkpoint: str
    extinct: bool
    totals: Totals
    latest: dict[str, float]


class RowsRequested(ExperimentsEvent, frozen=True, kw_only=True):
    """The rows of some steps are wanted in the tables; requests count from 1."""

    simulation_id: SimulationId
    request: int
    first_step: int
    last_step: int


class RowsRecorded(ExperimentsEvent, frozen=True, kw_only=True):
    """Steps were made again, and all of their rows recorded, as of a chunk.

    They take the place of what tables hold of these steps.
    """

    simulation_id: SimulationId
    simulation: int
    request: int
    first_step: int
    last_step: int
    body: str
    rows: dict[str, int]


class SimulationPaused(ExperimentsEvent, frozen=True, kw_only=True):
    """A run is to hold after the chunk that it is at."""

    simulation_id: SimulationId


class SimulationResumed(ExperimentsEvent, frozen=True, kw_only=True):
    """A run goes on, to a step at which it holds again, or to its end.

    `turn` counts how often the run was set going, from 2.
    """

    simulation_id: SimulationId
    turn: int
    until: int | None = None


class SimulationCancelled(ExperimentsEvent, frozen=True, kw_only=True):
    """A run was ended before its last step."""

    simulation_id: SimulationId
    experiment_id: ExperimentId | None
    number: int
    reason: str


class SimulationCompleted(ExperimentsEvent, frozen=True, kw_only=True):
    """A run has reached its last step, or nobody lives."""

    simulation_id: SimulationId
    experiment_id: ExperimentId | None
    number: int
    termination: Termination
    summary: Summary


class SimulationFailed(ExperimentsEvent, frozen=True, kw_only=True):
    """A run could not be made."""

    simulation_id: SimulationId
    experiment_id: ExperimentId | None
    number: int
    reason: str


SimulationEvent = (
    SimulationRequested
    | BranchRequested
    | BranchResolved
    | SimulationStarted
    | ChunkRecorded
    | RowsRequested
    | RowsRecorded
    | SimulationPaused
    | SimulationResumed
    | SimulationCancelled
    | SimulationCompleted
    | SimulationFailed
    | OutsideSimulationOpened
    | OutsideRowsRecorded
    | OutsideSimulationEnded
)
