"""Facts about experiments: a question, the runs that may answer it, what came out."""

from typing import Literal

import msgspec

from events.experiments.common import Capture, ExperimentsEvent, Tree
from events.ids import ExperimentId, SimulationId


Value = float | int | str | bool | None
Outcome = Literal["completed", "cancelled", "failed"]


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """The least and the greatest value that a sample of a parameter may have."""

    low: float
    high: float
    whole: bool = False


class Design(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs an experiment is made of.

    Every combination of the values of `grid`, with each of `samples` points of a Latin
    hypercube over `ranges`, is a condition; each runs `iterations` times. Iteration i
    has the seed `seed + i` in every condition, so that conditions are compared on the
    same draws; with `fresh_seeds` no two runs share one. Parameters are named by
    their paths, such as `combat.base_attack_strength`.
    """

    configuration: Tree
    grid: dict[str, list[Value]]
    ranges: dict[str, Range]
    samples: int
    iterations: int
    seed: int
    steps: int
    fresh_seeds: bool = False
    capture: Capture = Capture()
    concurrency: int | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a run, in the numbers that runs are compared by."""

    steps: int
    agents: int
    peak_agents: int
    births: int
    deaths: int
    generations: int
    total_resources: float
    average_reward: float
    genetic_diversity: float
    agent_steps: int


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one condition together: means and sample standard deviations."""

    parameters: dict[str, Value]
    runs: int
    means: dict[str, float]
    deviations: dict[str, float]


class ExperimentCreated(ExperimentsEvent, frozen=True, kw_only=True):
    """An experiment was set up."""

    experiment_id: ExperimentId
    name: str
    description: str
    hypothesis: str
    design: Design
    simulations: int


class ExperimentStarted(ExperimentsEvent, frozen=True, kw_only=True):
    """The runs of an experiment are asked for."""

    experiment_id: ExperimentId
    design: Design
    simulations: int


class OutsideExperimentDescribed(ExperimentsEvent, frozen=True, kw_only=True):
    """An experiment that is made elsewhere was described; revisions count from 1."""

    experiment_id: ExperimentId
    revision: int
    name: str
    description: str
    hypothesis: str
    status: str
    variables: Tree
    results_summary: Tree
    external_id: str = ""


class SimulationCounted(ExperimentsEvent, frozen=True, kw_only=True):
    """A run of an experiment has ended; without a summary nothing came out of it."""

    experiment_id: ExperimentId
    simulation_id: SimulationId
    number: int
    outcome: Outcome
    summary: Summary | None = None


class ExperimentPaused(ExperimentsEvent, frozen=True, kw_only=True):
    """The runs of an experiment are to hold after the chunk that each is at."""

    experiment_id: ExperimentId
    simulations: int


class ExperimentResumed(ExperimentsEvent, frozen=True, kw_only=True):
    """The runs of an experiment go on."""

    experiment_id: ExperimentId
    simulations: int


class ExperimentCancelled(ExperimentsEvent, frozen=True, kw_only=True):
    """An experiment was ended before its last run."""

    experiment_id: ExperimentId
    simulations: int
    reason: str


class ExperimentCompleted(ExperimentsEvent, frozen=True, kw_only=True):
    """Every run of an experiment has ended."""

    experiment_id: ExperimentId
    completed: int
    failed: int
    cancelled: int
    conditions: list[Condition]


ExperimentEvent = (
    ExperimentCreated
    | ExperimentStarted
    | SimulationCounted
    | ExperimentPaused
    | ExperimentResumed
    | ExperimentCancelled
    | ExperimentCompleted
    | OutsideExperimentDescribed
)
