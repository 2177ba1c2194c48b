"""Facts about unit tests: a persona plays a scenario against an agent."""

from typing import Literal

import msgspec

from events.ids import AgentId, MetricId, PersonaId, ScenarioId, UnitTestId
from events.testing.common import Tags, TestingEvent
from events.testing.metrics import Value


Operator = Literal["==", "!=", "<", "<=", ">", ">="]
OnLimit = Literal["fail", "evaluate"]


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's value must stand in this relation to a value.

    `metric_version` None means the newest when a run starts.
    """

    metric_id: MetricId
    operator: Operator
    value: Value
    metric_version: int | None = None


class UnitTestCreated(TestingEvent, frozen=True, kw_only=True):
    """A unit test exists.

    `on_limit` says what a trial is that uses up its interactions: `fail` makes it
    failed, `evaluate` leaves it to the criteria.
    """

    unit_test_id: UnitTestId
    name: str
    description: str
    persona_id: PersonaId
    scenario_id: ScenarioId
    service_id: AgentId
    service_version_set_name: str
    max_interactions: int
    success_criterions: list[Criterion]
    tags: Tags
    external_id: str | None = None
    on_limit: OnLimit = "fail"


class UnitTestChanged(TestingEvent, frozen=True, kw_only=True):
    """A unit test is now this."""

    unit_test_id: UnitTestId
    name: str
    description: str
    persona_id: PersonaId
    scenario_id: ScenarioId
    service_id: AgentId
    service_version_set_name: str
    max_interactions: int
    success_criterions: list[Criterion]
    tags: Tags
    on_limit: OnLimit = "fail"


class UnitTestDeleted(TestingEvent, frozen=True, kw_only=True):
    """A unit test may no longer be used."""

    unit_test_id: UnitTestId


UnitTestEvent = UnitTestCreated | UnitTestChanged | UnitTestDeleted
