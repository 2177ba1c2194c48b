"""What a run pins: each unit test as it is when the run starts.

A run shows what was tested only if its specs say the truth, so every version and every
criterion that they pin is confirmed by the thing itself.
"""

from collections.abc import Iterator, Mapping, Sequence
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
from events.testing.unit_test_sets import UnitTestEntry
from events.testing.unit_tests import Criterion, OnLimit, UnitTestChanged
from services.testing.agents import Agent, ConfirmAgentVersions, NoSuchVersionSet
from services.testing.common import (
    Label,
    ListedLabel,
    Name,
    Pin,
    VersionNumber,
    as_fact,
    still_there,
)
from services.testing.metrics import (
    ConfirmPinnedCriteria,
    Definition,
    Metric,
    PinnedUse,
)
from services.testing.personas import ConfirmPersonaVersions, Persona
from services.testing.scenarios import ConfirmScenarioVersions, Scenario
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
    categories: Annotated[list[ListedLabel], Meta(max_length=100)] = msgspec.field(
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
    on_limit: OnLimit = "fail"


Specs = Annotated[list[Spec], Meta(max_length=MAX_UNIT_TESTS)]


class NothingToRun(Refused):
    """The set has no unit test."""


class TwiceInTheRun(Refused):
    """A run has one spec for each unit test."""


class TooManyTrials(Refused):
    """A run has at most 10,000 trials."""


def specs_of(given: Sequence[Spec]) -> list[facts.Spec]:
    """Return specs as events hold them, each unit test once."""
    specs = [as_fact(spec, facts.Spec) for spec in given]
    check_specs(specs)
    return specs


def check_specs(specs: Sequence[facts.Spec]) -> None:
    """Raise the first reason why a run cannot hold these."""
    seen: set[UUID] = set()
    for index, spec in enumerate(specs):
        if spec.unit_test_id in seen:
            raise TwiceInTheRun(path=f"$.specs[{index}].unit_test_id")
        seen.add(spec.unit_test_id)
    if sum(spec.run_count for spec in specs) > MAX_TRIALS:
        raise TooManyTrials(path="$.specs")


def confirmations(
    set_id: UnitTestSetId, specs: Sequence[facts.Spec], *, live: bool
) -> Iterator[Command]:
    """Yield the questions whether the set and what its specs pin are as they say.

    Those of a live run also ask whether its agents can be run.
    """
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
    yield from confirmed_versions(named, live=live)
    yield from confirmed_criteria(named)


def confirmed_versions(
    named: Sequence[tuple[facts.Spec, str]], *, live: bool
) -> Iterator[Command]:
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
        yield ConfirmAgentVersions(agent_id=agent_id, pins=tuple(pins), live=live)


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


class Pinnable(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit test rests on, as it is when a run pins it."""

    entry: UnitTestEntry
    test: UnitTestChanged
    persona: Persona
    scenario: Scenario
    agent: Agent
    metrics: Mapping[MetricId, Metric]


def spec_of(found: Pinnable, trials: int | None) -> facts.Spec:
    """Return a unit test with the newest versions, or those that it asks for.

    `trials` are held instead of the set's own number. Raises `Missing` where something
    that it rests on is not there.
    """
    test = found.test
    persona = still_there(
        found.persona.newest, deleted=found.persona.deleted, path="$.persona_id"
    )
    scenario = still_there(
        found.scenario.newest, deleted=found.scenario.deleted, path="$.scenario_id"
    )
    named = test.service_version_set_name
    if named not in found.agent.version_sets:
        message = f"The agent has no version set {named!r}."
        raise NoSuchVersionSet(message, path="$.service_version_set_name")
    return facts.Spec(
        unit_test_id=test.unit_test_id,
        name=test.name,
        persona_id=test.persona_id,
        persona_version=persona.version,
        scenario_id=test.scenario_id,
        scenario_version=scenario.version,
        service_id=test.service_id,
        service_version_set_name=named,
        service_version=found.agent.version_sets[named],
        max_interactions=test.max_interactions,
        success_criterions=[
            pinned_criterion(criterion, found.metrics[criterion.metric_id])
            for criterion in test.success_criterions
        ],
        run_count=trials or found.entry.run_count,
        on_limit=test.on_limit,
    )


def pinned_criterion(criterion: Criterion, metric: Metric) -> facts.PinnedCriterion:
    """Return a criterion with its metric as it is, in the version that it asks for."""
    created = still_there(
        metric.created, deleted=metric.deleted, path="$.success_criterions"
    )
    version = criterion.metric_version or len(metric.definitions)
    return facts.PinnedCriterion(
        metric_id=criterion.metric_id,
        metric_version=version,
        name=created.name,
        value_type=created.value_type,
        definition=metric.definitions[version - 1],
        operator=criterion.operator,
        value=criterion.value,
        categories=created.categories,
        minimum=created.minimum,
        maximum=created.maximum,
    )
