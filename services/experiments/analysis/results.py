"""What answers the questions about runs; None: not recorded, or not defined."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec


Kind = Literal[
    "extinction", "crash", "boom", "depletion", "takeover", "combat", "births", "deaths"
]


Phase = Literal["early", "middle", "late"]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A confidence interval, and how it was made."""

    low: float
    high: float
    confidence: float
    method: str


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How n numbers are spread; `interval` is Student's for the mean.

    The variance is that of the sample (n - 1); `variation` is deviation over mean.
    """

    n: int
    mean: float
    variance: float
    deviation: float
    variation: float | None
    least: float
    lower_quartile: float
    median: float
    upper_quartile: float
    most: float
    interval: Interval | None


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How many of n; the interval is Wilson's."""

    n: int
    count: int
    share: float | None
    interval: Interval | None


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How many agents there were over the steps.

    `stability` is the least over the most, `momentum` the last step times the most over
    the first, `trend` the change per step by least squares. Steps count from `initial`.
    """

    agent_type: str
    initial: int
    final: int
    peak: int
    peak_step: int
    extinct_step: int | None
    agent_steps: int | None
    mean_share: float | None
    spread: Spread
    stability: float | None
    momentum: float | None
    trend: float
    trend_interval: Interval | None


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a population swings: `period` is where its spectrum is strongest.

    `strength` is the share of the variance around the trend that this period has.
    """

    peaks: list[int]
    troughs: list[int]
    period: float | None
    strength: float | None


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """A population over its steps; founders, of step 0, are no births.

    Rates are per agent-step. `type_entropy` is Shannon's, 1 where types are equal.
    `health_maintenance` is the mean health over full health.
    """

    steps: int
    total: Size
    types: list[Size]
    births: int | None
    deaths: int | None
    reproduction_rate: float | None
    conflict_rate: float | None
    cooperation_rate: float | None
    conflict_to_cooperation: float | None
    attack_success: float | None
    interaction_rate: float | None
    type_entropy: float | None
    max_generation: int | None
    genetic_diversity: Spread | None
    dominant_genome: Spread | None
    health_maintenance: float | None
    age: Spread | None
    reward: Spread | None
    rhythm: Rhythm | None


class Hotspot(msgspec.Struct, frozen=True, kw_only=True):
    """A resource node that held much: its mean amount, and that over all nodes'."""

    resource_id: int
    position_x: float | None
    position_y: float | None
    mean_amount: float
    times_mean: float


class ResourceUse(msgspec.Struct, frozen=True, kw_only=True):
    """Resources over the steps; `utilisation` is what was consumed over what was there.

    `consumed` is per step; `consumed_per_agent_step` over all agent-steps.
    """

    steps: int
    total: Spread | None
    per_agent: Spread | None
    consumed_total: float | None
    consumed: Spread | None
    peak_consumption_step: int | None
    utilisation: float | None
    consumed_per_agent_step: float | None
    efficiency: Spread | None
    entropy: Spread | None
    hotspots: list[Hotspot]


class Lifespan(msgspec.Struct, frozen=True, kw_only=True):
    """How long a group of agents lived, in steps.

    `median` is where survival first is one half or less, None where it never is;
    `restricted_mean` the mean life up to the last step, the area under the curve.
    `alive` counts who lives at the end, `of_the_dead` is spread over the others.
    """

    group: str
    n: int
    alive: Rate
    median: float | None
    restricted_mean: float
    of_the_dead: Spread | None


class LifespanTest(msgspec.Struct, frozen=True, kw_only=True):
    """Whether two types live as long, by the log-rank test."""

    first: str
    second: str
    n: int
    statistic: float
    p_value: float


class Survival(msgspec.Struct, frozen=True, kw_only=True):
    """How long agents lived, over all, by type and by generation."""

    overall: Lifespan
    by_type: list[Lifespan]
    by_generation: list[Lifespan]
    tests: list[LifespanTest]


class ActionStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of action: how often, its success, its reward, alone or with others.

    `share` is of all actions, `per_step` over the steps in which anybody acted.
    `resources_change` is what the agent had after less what it had before.
    """

    action_type: str
    share: Rate
    per_step: float
    success: Rate
    reward: Spread | None
    resources_change: Spread | None
    interactive: Rate
    solo_reward: Spread | None
    interactive_reward: Spread | None


class ActionMix(msgspec.Struct, frozen=True, kw_only=True):
    """How a type of agents divides its actions; `diversity` is 1 of equal shares."""

    agent_type: str
    n: int
    shares: dict[str, float]
    diversity: float


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """How often one action followed another of the same agent, a step later.

    `probability` is the share of what followed `action`; `reward_after` the mean reward
    of the following action, and `over_usual` that less its mean over all.
    """

    action: str
    following: str
    probability: Rate
    reward_after: float | None
    over_usual: float | None


class Sequences(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs of actions, n of them; `predictability` is 1 where one tells the next.

    It is 1 - H(next | action) / H(next).
    """

    n: int
    pairs: list[Following]
    predictability: float | None


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What agents did, over all actions of a run."""

    n: int
    agents: int
    actions: list[ActionStatistics]
    interactive: Rate
    mixes: list[ActionMix]
    sequences: Sequences


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The mean reward of the decisions of some steps."""

    first_step: int
    last_step: int
    n: int
    mean_reward: float


class ModuleProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How a learning module did, early (first third of the steps) and late (last).

    `trend` is the change of a step's mean reward per step; `effect` is Hedges' g of
    late against early rewards; `exploration` is the entropy of the choices, 1 where
    all that occur are as frequent.
    """

    module_type: str
    n: int
    agents: int
    reward: Spread
    early: Spread | None
    late: Spread | None
    effect: float | None
    trend: float
    trend_interval: Interval | None
    early_exploration: float | None
    late_exploration: float | None
    curve: list[CurvePoint]


class TypeReproduction(msgspec.Struct, frozen=True, kw_only=True):
    """How the agents of a type reproduced.

    `offspring_per_agent` is over all agents of the type, `first_step` of the first
    success.
    """

    agent_type: str
    success: Rate
    offspring_per_agent: float | None
    parents: int
    first_step: int | None


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts to reproduce, and the reasons of those that failed."""

    success: Rate
    failures: dict[str, Rate]
    by_type: list[TypeReproduction]


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """One type took over from another; the phases are thirds of the steps."""

    step: int
    loser: str
    winner: str
    phase: Phase


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What a type's composite dominance is made of.

    area           its share of all agent-steps
    recent_area    the same, step i of n weighing 1 + i / n
    duration       its share of the steps in which anybody lived that it dominated
    growth         last count over the mean of the second half, less 1; at least 0
    final          its share of the last step's agents

    composite = 0.2 area + 0.3 recent_area + 0.2 duration + 0.1 growth + 0.2 final.
    """

    agent_type: str
    area: float
    recent_area: float
    duration: float
    growth: float
    final: float
    composite: float


class Dominance(msgspec.Struct, frozen=True, kw_only=True):
    """Which type dominates by each measure; None where nobody does.

    A tie falls to the type that is named first: system, independent, control.
    `by_survival` compares mean lives, whose end is the last step for the living.
    `transitions` are the shares of each type's losses that go to each other type;
    `mean_period` is how many steps a type's dominance lasted.
    """

    by_population: str | None
    by_survival: str | None
    composite: str | None
    mean_lives: dict[str, float]
    scores: list[Score]
    switches: list[Switch]
    switches_per_step: float
    mean_period: dict[str, float]
    transitions: dict[str, dict[str, float]]


class Advantage(msgspec.Struct, frozen=True, kw_only=True):
    """What the first type has over the second, from -1 to 1; None: not recorded."""

    first: str
    second: str
    acquisition: float | None
    reproduction: float | None
    survival: float | None
    growth: float
    combat: float | None
    position: float | None
    composite: float


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The incidents of one cause; `fatal` left the agent without health."""

    cause: str
    share: Rate
    change: Spread | None
    fatal: Rate


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Every change of health, by cause, the most frequent first."""

    n: int
    per_agent_step: float | None
    causes: list[Cause]


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """Something that stands out; `before` and `after` are what it changed."""

    step: int
    kind: Kind
    subject: str
    severity: float
    before: float
    after: float


class Replicate(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a design: its seed, its figures, its population by step.

    What was made elsewhere has no seed that is known here.
    """

    seed: int | None
    figures: Mapping[str, float | None]
    total_agents: Sequence[int]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of two designs, first less second, over runs that have it.

    `effect` is Hedges' g, for pairs of the differences (Cohen's d_z, corrected alike);
    `superiority` the chance that a run of the first exceeds one of the second, ties
    half (Vargha and Delaney's A); `detectable` the difference that so many runs would
    find with power 0.8. `corrected` is `p_value` by Benjamini and Hochberg (1995) over
    all figures compared.
    """

    figure: str
    method: Literal["Welch's t", "paired t", "none"]
    first: Spread | None
    second: Spread | None
    n: int
    difference: float | None
    interval: Interval | None
    effect: float | None
    superiority: float | None
    detectable: float | None
    p_value: float | None
    corrected: float | None


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """The population of a design's runs step by step: mean, and 95 % of the runs.

    A run that ended early has no agents afterwards.
    """

    runs: int
    mean: list[float]
    low: list[float]
    high: list[float]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two designs compared."""

    paired: bool
    first_runs: int
    second_runs: int
    differences: list[Difference]
    first_band: Band
    second_band: Band


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """The first condition less another, figure by figure."""

    first: dict[str, Any]
    second: dict[str, Any]
    comparison: Comparison


class Contrasts(msgspec.Struct, frozen=True, kw_only=True):
    """How the conditions of an experiment differ, as of a position of the log."""

    position: int
    runs: int
    conditions: list[dict[str, Any]]
    contrasts: list[Contrast]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: what was asked of whom, how many it rests on, and how."""

    question: str
    subject: str
    value: str
    interval: str
    n: str
    method: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart that there is, and what it shows."""

    name: str
    caption: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a report tells: its charts by name, what is missing, and its table.

    It rests on what the log held at `position`.
    """

    title: str
    about: dict[str, str]
    position: int
    charts: list[Chart]
    missing: list[str]
    findings: list[Finding]


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A report, as a page that needs no network, and its charts by their names."""

    report: Report
    page: str
    charts: dict[str, bytes]


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A question that is not answered, and what it takes that was not recorded."""

    question: str
    takes: str


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's columns say; None where what it takes was not recorded.

    `gaps` names what is not answered for that reason.
    """

    population: Population | None
    resources: ResourceUse | None
    survival: Survival | None
    dominance: Dominance | None
    advantages: list[Advantage] | None
    behaviour: Behaviour | None
    reproduction: Reproduction | None
    learning: list[ModuleProgress] | None
    health: Health | None
    events: list[Occurrence]
    gaps: list[Gap]
