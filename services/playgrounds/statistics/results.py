"""What statistics say: each result its n, its method and its position in the log."""

from typing import Literal

import msgspec


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A confidence interval, and how it was made."""

    low: float
    high: float
    confidence: float
    method: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What every result says: observations used, method, position of the log."""

    n: int
    method: str
    position: int


class Share(Result, frozen=True, kw_only=True):
    """How many of n answers, from so many testers, were one value."""

    value: str
    count: int
    testers: int
    share: float | None
    interval: Interval | None


class Choices(Result, frozen=True, kw_only=True):
    """How often each option of a question was chosen for a model; zeros are shown."""

    question_id: str
    model_key: str
    testers: int
    shares: list[Share]


class Ratings(Result, frozen=True, kw_only=True):
    """The ratings that a model got on a question: 1 to 5, and how often each."""

    question_id: str
    model_key: str
    testers: int
    counts: list[int]
    median: float
    mean: float
    interval: Interval | None


class ShareGap(Result, frozen=True, kw_only=True):
    """By how much an option's share differs between two models (first - second).

    Each tester counts once, with the first model that they saw.
    """

    question_id: str
    value: str
    first: str
    second: str
    first_share: float
    second_share: float
    difference: float
    interval: Interval


EffectName = Literal["rank-biserial", "cramers-v", "discordant difference"]


class Comparison(Result, frozen=True, kw_only=True):
    """Whether two models differ on a question.

    `effect` is a rank-biserial correlation, Cramer's V, or for paired booleans the
    share of the discordant testers that favours the first less that of the second;
    positive favours the first model, except V. `holm` and `benjamini_hochberg` are
    `p_value` corrected for all comparisons of the report.
    """

    question_id: str
    first: str
    second: str
    paired: bool
    effect: float | None
    effect_name: EffectName
    p_value: float
    holm: float
    benjamini_hochberg: float


class SampleRatio(Result, frozen=True, kw_only=True):
    """Whether models were shown, or finished, in the proportion that was intended."""

    stage: Literal["first shown", "shown", "submitted"]
    unit: Literal["testers", "sessions"]
    counts: dict[str, int]
    intended: dict[str, float]
    p_value: float | None
    mismatch: bool


class Attrition(Result, frozen=True, kw_only=True):
    """How many of those who were shown a model went on to submit."""

    model_key: str
    shown: int
    submitted: int
    completion: float | None
    interval: Interval | None
    median_seconds: float | None


class DifferentialAttrition(Result, frozen=True, kw_only=True):
    """Whether models lose their testers at different rates."""

    p_value: float
    differential: bool


class Nonresponse(Result, frozen=True, kw_only=True):
    """How many submitted sessions of a model leave a question unanswered."""

    question_id: str
    model_key: str
    unanswered: int
    share: float | None


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """A session that does not count, and why."""

    session_id: str
    tester: str
    model_key: str
    status: str
    reason: str | None


class Exposure(Result, frozen=True, kw_only=True):
    """Who was shown what; a tester counts for a model once it was shown to them."""

    testers: dict[str, int]
    sessions: dict[str, int]
    of_several_models: int
    of_one_model_repeatedly: int
    left_out: list[Excluded]


class Preferences(Result, frozen=True, kw_only=True):
    """Two models side by side; "both bad" is no tie and counts for neither.

    `win_share` counts a tie as half a win. `always_valid` holds however often one has
    looked; `interval` at a number of testers that was fixed before.
    """

    source: str
    first: str
    second: str
    first_wins: int
    second_wins: int
    ties: int
    both_bad: int
    testers: int
    win_share: float | None
    interval: Interval | None
    always_valid: Interval | None


class Strength(msgspec.Struct, frozen=True, kw_only=True):
    """A model's log strength (mean 0) and the same on a scale of 400 per tenfold odds.

    `elo` depends on the order of battles and is for display only.
    """

    model_key: str
    strength: float
    rating: float
    interval: Interval | None
    elo: float


class Ranking(Result, frozen=True, kw_only=True):
    """Models by Bradley-Terry's model, or why they cannot be ranked.

    `position_effect` is the log odds that being seen first adds; `tie` is log nu of
    Davidson's model or log theta of Rao and Kupper's.
    """

    source: str
    testers: int
    components: list[list[str]]
    refusal: str | None
    strengths: list[Strength]
    position_effect: float | None
    position_interval: Interval | None
    tie: float | None
    failed_draws: int


class Agreement(Result, frozen=True, kw_only=True):
    """How much testers agree on a question over the models that they rated.

    n counts answers that can be paired. The interval takes testers as the unit.
    """

    question_id: str
    level: Literal["nominal", "ordinal", "interval", "ratio"]
    units: int
    raters: int
    alpha: float | None
    interval: Interval | None
    cohen: float | None
    fleiss: float | None
    gloss: str | None
    refusal: str | None


class Diligence(Result, frozen=True, kw_only=True):
    """Why one should look twice at a tester; no session is left out for it."""

    tester: str
    sessions: int
    fast_sessions: int
    straight_lined: bool
    repeated_answers: int
    self_consistency: float | None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a playground's evaluations say at a position of the log."""

    playground_id: str
    position: int
    confidence: float
    draws: int
    seed: int
    looks: Literal["interim", "fixed horizon"]
    warnings: list[str]
    sample_ratio: list[SampleRatio]
    exposure: Exposure
    attrition: list[Attrition]
    differential_attrition: DifferentialAttrition | None
    nonresponse: list[Nonresponse]
    choices: list[Choices]
    share_gaps: list[ShareGap]
    ratings: list[Ratings]
    comparisons: list[Comparison]
    preferences: list[Preferences]
    rankings: list[Ranking]
    agreement: list[Agreement]
    diligence: list[Diligence]
