"""Facts about set runs: what was pinned, how each trial ended, what came out."""

from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from events.ids import (
    AgentId,
    MetricId,
    PersonaId,
    ScenarioId,
    SetRunId,
    SubjectId,
    TrialId,
    UnitTestId,
    UnitTestSetId,
)
from events.testing.common import TestingEvent
from events.testing.metrics import Definition, Value, ValueType
from events.testing.unit_tests import OnLimit, Operator


Outcome = Literal["passed", "failed", "inconclusive", "errored"]
Origin = Literal["live", "imported"]
Fault = Literal["agent", "simulator", "judge", "target", "ourselves"]


class PinnedCriterion(msgspec.Struct, frozen=True, kw_only=True):
    """A criterion with its metric as it was when the run started."""

    metric_id: MetricId
    metric_version: int
    name: str
    value_type: ValueType
    definition: Definition
    operator: Operator
    value: Value
    categories: list[str] = msgspec.field(default_factory=list)
    minimum: float | None = None
    maximum: float | None = None


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A unit test as it was when the run started, and how many trials it gets."""

    unit_test_id: UnitTestId
    name: str
    persona_id: PersonaId
    persona_version: int
    scenario_id: ScenarioId
    scenario_version: int
    service_id: AgentId
    service_version_set_name: str
    service_version: int
    max_interactions: int
    success_criterions: list[PinnedCriterion]
    run_count: int
    on_limit: OnLimit = "fail"


class MetricResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a metric said of a trial; `value` None where it could not judge.

    `references` are the `seq` of the entries that the verdict rests on.
    """

    metric_id: MetricId
    metric_version: int
    name: str
    value: Value | None
    outcome: Literal["passed", "failed", "inconclusive"]
    justification: str
    references: list[int]
    engine: str


class SetRunRequested(TestingEvent, frozen=True, kw_only=True):
    """A run of a set began, with everything pinned unless `specs` is empty.

    `origin` `imported`: its trials were held elsewhere and are recorded here; `live`:
    they are held here. `reserved` is the reservation that it holds until it ends, as
    its actor's only unfinished run of the set. `trials` of each unit test are held
    instead of the set's own numbers, at most `concurrency` at a time.
    """

    run_id: SetRunId
    set_id: UnitTestSetId
    origin: Origin
    specs: list[Spec]
    seed: int
    external_id: str | None = None
    reserved: UUID | None = None
    trials: int | None = None
    concurrency: int | None = None


class SetRunPinned(TestingEvent, frozen=True, kw_only=True):
    """Everything that a live run rests on was found and pinned; its trials begin."""

    run_id: SetRunId
    set_id: UnitTestSetId
    specs: list[Spec]
    concurrency: int | None = None


class SetRunFailed(TestingEvent, frozen=True, kw_only=True):
    """The run ended because it could not be pinned; no trial was held."""

    run_id: SetRunId
    reason: str


class TrialCounted(TestingEvent, frozen=True, kw_only=True):
    """A trial ended; each pair of unit test and index counts once.

    `index` runs from 0 to the spec's `run_count` - 1. `fault` says whose it was that
    a trial broke off or called too many tools. `error` is sealed for `subject_id`, the
    person whose conversation it was.
    """

    personal: ClassVar[tuple[str, ...]] = ("error",)

    run_id: SetRunId
    trial_id: TrialId
    unit_test_id: UnitTestId
    index: int
    outcome: Outcome
    failed_metrics: list[MetricResult]
    error: str | None = None
    fault: Fault | None = None
    subject_id: SubjectId | None = None


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A place for a trial that is to be held again, as `attempt` from 2.

    `replaces` is the trial that was counted there before.
    """

    unit_test_id: UnitTestId
    index: int
    attempt: int
    replaces: TrialId


class TrialsReopened(TestingEvent, frozen=True, kw_only=True):
    """Trials that broke off no longer count and are held again; the run goes on."""

    run_id: SetRunId
    slots: list[Slot]
    reserved: UUID | None = None
    concurrency: int | None = None


class SetRunCompleted(TestingEvent, frozen=True, kw_only=True):
    """The last trial ended; after a retry of some, a run is completed again."""

    run_id: SetRunId
    passed: int
    failed: int
    inconclusive: int
    errored: int
    origin: Origin = "live"


class SetRunCancelled(TestingEvent, frozen=True, kw_only=True):
    """The run ended before its last trial."""

    run_id: SetRunId
    reason: str


class ArtifactGenerated(TestingEvent, frozen=True, kw_only=True):
    """A file about the run is kept among the blobs under its sha256 (hex)."""

    run_id: SetRunId
    artifact_id: UUID
    name: str
    media_type: str
    sha256: str
    size: int


SetRunEvent = (
    SetRunRequested
    | SetRunPinned
    | SetRunFailed
    | TrialCounted
    | TrialsReopened
    | SetRunCompleted
    | SetRunCancelled
    | ArtifactGenerated
)
