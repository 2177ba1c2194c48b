"""What a run pins: each unit test as it is when the run starts.

A run shows what was tested only if its specs say the truth, so every version and every
criterion that they pin is confirmed by the thing itself.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from events.errors import Refused
from events.ids import (
    AgentId,
    MetricId,
    PersonaId,
    ScenarioId,
    UnitTestId,
    UnitTestSetId,
)
from events.message import Command
from events.testing import set_runs as facts
from services.testing.agents import ConfirmAgentVersions
from services.testing.common import Label, Name, Pin, VersionNumber, as_fact
from services.testing.metrics import (
    ConfirmPinnedCriteria,
    Definition,
    PinnedUse,
)
from services.testing.personas import ConfirmPersonaVersions
from services.testing.scenarios import ConfirmScenarioVersions
from services.testing.unit_test_sets import (
    MAX_UNIT_TESTS,
    ConfirmMembers,
    Member,
    RunCount,
)
from services.testing.unit_tests import ConfirmUnitTest, Interactions


MAX_TRIALS: Final = 10_000


class PinnedCriterion(
    facts.PinnedCriterion, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A criterion, with its metric as it is."""

    metric_version: VersionNumber
    name: Name
    definition: Definition
    value: bool | float | Annotated[str, Meta(max_length=1_000)]
    categories: Annotated[list[Label], Meta(max_length=100)] = msgspec.field(
        default_factory=list
    )


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A unit test as it is, and how many trials of it the run makes."""

    unit_test_id: UnitTestId
    name: Name
    persona_id: PersonaId
    persona_version: VersionNumber
    scenario_id: ScenarioId
    scenario_version: VersionNumber
    service_id: AgentId
    service_version_set_name: Label
    service_version: VersionNumber
    max_interactions: Interactions
    success_criterions: Annotated[
        list[PinnedCriterion], Meta(min_length=1, max_length=50)
    ]
    run_count: RunCount


Specs = Annotated[list[Spec], Meta(min_length=1, max_length=MAX_UNIT_TESTS)]


class TwiceInTheRun(Refused):
    """A run has one spec for each unit test."""


class TooManyTrials(Refused):
    """A run has at most 10,000 trials."""


def specs_of(given: Sequence[Spec]) -> list[facts.Spec]:
    """Return specs as events hold them, each unit test once."""
    seen: set[UUID] = set()
    for index, spec in enumerate(given):
        if spec.unit_test_id in seen:
            raise TwiceInTheRun(path=f"$.specs[{index}].unit_test_id")
        seen.add(spec.unit_test_id)
    if sum(spec.run_count for spec in given) > MAX_TRIALS:
        raise TooManyTrials(path="$.specs")
    return [as_fact(spec, facts.Spec) for spec in given]


def confirmations(
    set_id: UnitTestSetId, specs: Sequence[facts.Spec]
) -> Iterator[Command]:
    """Yield the questions whether the set and what its specs pin are as they say."""
    paths = [f"$.specs[{index}]" for index in range(len(specs))]
    named = list(zip(specs, paths, strict=True))
    members = [
        Member(unit_test_id=spec.unit_test_id, path=f"{path}.unit_test_id")
        for spec, path in named
    ]
    yield ConfirmMembers(set_id=set_id, members=tuple(members))
    for spec, path in named:
        yield ConfirmUnitTest(
            unit_test_id=spec.unit_test_id,
            persona_id=spec.persona_id,
            scenario_id=spec.scenario_id,
            service_id=spec.service_id,
            path=path,
        )
    yield from confirmed_versions(named)
    yield from confirmed_criteria(named)


def confirmed_versions(named: Sequence[tuple[facts.Spec, str]]) -> Iterator[Command]:
    """Yield the questions whether the pinned versions exist, one for each thing."""
    personas: dict[PersonaId, list[Pin]] = {}
    scenarios: dict[ScenarioId, list[Pin]] = {}
    agents: dict[AgentId, list[Pin]] = {}
    for spec, path in named:
        pin = Pin(version=spec.persona_version, path=f"{path}.persona_version")
        personas.setdefault(spec.persona_id, []).append(pin)
        pin = Pin(version=spec.scenario_version, path=f"{path}.scenario_version")
        scenarios.setdefault(spec.scenario_id, []).append(pin)
        pin = Pin(version=spec.service_version, path=f"{path}.service_version")
        agents.setdefault(spec.service_id, []).append(pin)
    for persona_id, pins in personas.items():
        yield ConfirmPersonaVersions(persona_id=persona_id, pins=tuple(pins))
    for scenario_id, pins in scenarios.items():
        yield ConfirmScenarioVersions(scenario_id=scenario_id, pins=tuple(pins))
    for agent_id, pins in agents.items():
        yield ConfirmAgentVersions(agent_id=agent_id, pins=tuple(pins))


def confirmed_criteria(named: Sequence[tuple[facts.Spec, str]]) -> Iterator[Command]:
    """Yield the question to each metric whether its pinned criteria show it."""
    metrics: dict[MetricId, list[PinnedUse]] = {}
    for spec, path in named:
        for index, criterion in enumerate(spec.success_criterions):
            place = f"{path}.success_criterions[{index}]"
            use = PinnedUse(criterion=criterion, path=place)
            metrics.setdefault(criterion.metric_id, []).append(use)
    for metric_id, uses in metrics.items():
        yield ConfirmPinnedCriteria(metric_id=metric_id, uses=tuple(uses))
