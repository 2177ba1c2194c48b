"""A unit test: a persona plays a scenario against an agent, judged by criteria.

Its references to all of them are written with it, so that none is deleted meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.errors import Refused
from events.ids import AgentId, MetricId, PersonaId, ScenarioId, UnitTestId
from events.message import Command
from events.message import Meta as Envelope
from events.testing import unit_tests as facts
from events.testing.references import Kind
from events.testing.unit_tests import (
    OnLimit,
    UnitTestChanged,
    UnitTestCreated,
    UnitTestDeleted,
    UnitTestEvent,
)
from services.decider import Decider
from services.testing.agents import RELEASE, ConfirmVersionSet
from services.testing.common import (
    Description,
    ExternalId,
    GivenTags,
    Label,
    Name,
    TestingCommand,
    VersionNumber,
    as_fact,
    created_once,
    either,
    still_there,
    tags_of,
)
from services.testing.metrics import ConfirmCriteria, Use
from services.testing.references import (
    AddReference,
    CloseReferences,
    DropReference,
    OpenReferences,
)


class Criterion(facts.Criterion, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric's value must stand in this relation to a value.

    `metric_version` null means the newest when a run starts.
    """

    value: bool | float | Annotated[str, Meta(max_length=1_000)]
    metric_version: VersionNumber | None = None


Criteria = Annotated[list[Criterion], Meta(min_length=1, max_length=50)]
Uses = dict[tuple[UUID, Kind], str]
Interactions = Annotated[int, Meta(ge=1, le=1_000)]


class CreateUnitTest(TestingCommand, frozen=True, kw_only=True):
    """Create a unit test of things that exist.

    A trial of it passes when every one of `success_criterions` is met. One that uses
    up `max_interactions` fails, unless `on_limit` is `evaluate`. Tags come as a map, or
    as a list of keys.
    """

    unit_test_id: UnitTestId
    name: Name
    persona_id: PersonaId
    scenario_id: ScenarioId
    service_id: AgentId
    success_criterions: Criteria
    description: Description = ""
    service_version_set_name: Label = RELEASE
    max_interactions: Interactions = 30
    tags: GivenTags = msgspec.field(default_factory=dict)
    external_id: ExternalId | None = None
    on_limit: OnLimit = "fail"


class ChangeUnitTest(TestingCommand, frozen=True, kw_only=True):
    """Change a unit test; what is not given stays."""

    unit_test_id: UnitTestId
    name: Name | None = None
    description: Description | None = None
    persona_id: PersonaId | None = None
    scenario_id: ScenarioId | None = None
    service_id: AgentId | None = None
    service_version_set_name: Label | None = None
    max_interactions: Interactions | None = None
    success_criterions: Criteria | None = None
    tags: GivenTags | None = None
    on_limit: OnLimit | None = None


class DeleteUnitTest(TestingCommand, frozen=True, kw_only=True):
    """Delete a unit test that is in no set."""

    unit_test_id: UnitTestId


class ConfirmUnitTest(TestingCommand, frozen=True, kw_only=True):
    """Refuse unless a unit test is of this persona, scenario and agent."""

    unit_test_id: UnitTestId
    persona_id: PersonaId
    scenario_id: ScenarioId
    service_id: AgentId
    path: str


UnitTestCommand = CreateUnitTest | ChangeUnitTest | DeleteUnitTest
AnyUnitTestCommand = UnitTestCommand | ConfirmUnitTest


class OtherUnitTest(Refused):
    """The unit test is of another one."""


class UnitTest(msgspec.Struct, frozen=True):
    """A unit test as its rules see it; `current` says what it is now."""

    creation: tuple[UnitTestEvent, ...] = ()
    current: UnitTestChanged | None = None
    deleted: bool = False


def evolve(state: UnitTest, event: UnitTestEvent) -> UnitTest:
    """Return the state after an event."""
    match event:
        case UnitTestCreated():
            return replace(state, creation=(event,), current=content_of(event))
        case UnitTestChanged():
            return replace(state, current=event)
        case UnitTestDeleted():
            return replace(state, deleted=True)
        case _:
            assert_never(event)


def decide(
    command: AnyUnitTestCommand, state: UnitTest, _meta: Envelope
) -> list[UnitTestEvent]:
    """Return what happens: a deleted unit test can only be deleted again."""
    if isinstance(command, CreateUnitTest):
        return create(command, state)
    if isinstance(command, DeleteUnitTest) and state.deleted:
        return []
    current = still_there(state.current, deleted=state.deleted, path="$.unit_test_id")
    match command:
        case ChangeUnitTest():
            content = changed(command, current)
            return [] if content == current else [content]
        case DeleteUnitTest():
            return [UnitTestDeleted(unit_test_id=command.unit_test_id)]
        case ConfirmUnitTest():
            confirm(command, current)
            return []
        case _:
            assert_never(command)


def create(command: CreateUnitTest, state: UnitTest) -> list[UnitTestEvent]:
    """Create a unit test."""
    creation: list[UnitTestEvent] = [creation_of(command)]
    return created_once(
        creation, state.creation, deleted=state.deleted, path="$.unit_test_id"
    )


def creation_of(command: CreateUnitTest) -> UnitTestCreated:
    """Return the fact of a creation."""
    return UnitTestCreated(
        unit_test_id=command.unit_test_id,
        name=command.name,
        description=command.description,
        persona_id=command.persona_id,
        scenario_id=command.scenario_id,
        service_id=command.service_id,
        service_version_set_name=command.service_version_set_name,
        max_interactions=command.max_interactions,
        success_criterions=criteria_of(command.success_criterions),
        tags=tags_of(command.tags),
        external_id=command.external_id,
        on_limit=command.on_limit,
    )


def content_of(event: UnitTestCreated) -> UnitTestChanged:
    """Return what a unit test was created as."""
    return msgspec.convert(event, UnitTestChanged, from_attributes=True)


def changed(command: ChangeUnitTest, current: UnitTestChanged) -> UnitTestChanged:
    """Return what a unit test is after a change."""
    criteria, tags = command.success_criterions, command.tags
    return UnitTestChanged(
        unit_test_id=command.unit_test_id,
        name=either(command.name, current.name),
        description=either(command.description, current.description),
        persona_id=either(command.persona_id, current.persona_id),
        scenario_id=either(command.scenario_id, current.scenario_id),
        service_id=either(command.service_id, current.service_id),
        service_version_set_name=either(
            command.service_version_set_name, current.service_version_set_name
        ),
        max_interactions=either(command.max_interactions, current.max_interactions),
        success_criterions=(
            current.success_criterions if criteria is None else criteria_of(criteria)
        ),
        tags=current.tags if tags is None else tags_of(tags),
        on_limit=either(command.on_limit, current.on_limit),
    )


def criteria_of(given: Sequence[Criterion]) -> list[facts.Criterion]:
    """Return criteria as events hold them."""
    return [as_fact(criterion, facts.Criterion) for criterion in given]


def confirm(command: ConfirmUnitTest, current: UnitTestChanged) -> None:
    """Raise `OtherUnitTest` for the first field that differs."""
    for field in ("persona_id", "scenario_id", "service_id"):
        actual = getattr(current, field)
        if getattr(command, field) != actual:
            message = f"The unit test's {field} is {actual}."
            raise OtherUnitTest(message, path=f"{command.path}.{field}")


def uses(content: UnitTestChanged) -> Uses:
    """Return what a unit test refers to, each with the path of the field."""
    named: Uses = {
        (content.persona_id, "persona"): "$.persona_id",
        (content.scenario_id, "scenario"): "$.scenario_id",
        (content.service_id, "agent"): "$.service_id",
    }
    for index, criterion in enumerate(content.success_criterions):
        path = f"$.success_criterions[{index}].metric_id"
        named.setdefault((criterion.metric_id, "metric"), path)
    return named


def also(
    command: AnyUnitTestCommand, state: UnitTest, _meta: Envelope
) -> Sequence[Command]:
    """Ask for the references that a unit test needs, and that what it says fits."""
    key, path = command.unit_test_id, "$.unit_test_id"
    before = uses(state.current) if state.current else {}
    match command:
        case CreateUnitTest():
            content = content_of(creation_of(command))
            opened = OpenReferences(target_id=key, kind="unit_test", path=path)
            return [opened, *rested_on(content, before)]
        case ChangeUnitTest() if state.current:
            return list(rested_on(changed(command, state.current), before))
        case DeleteUnitTest():
            return [CloseReferences(target_id=key, path=path), *dropped(key, before)]
        case _:
            return []


def rested_on(content: UnitTestChanged, before: Uses) -> Iterator[Command]:
    """Yield the references to add and to drop, and what must be confirmed."""
    key = content.unit_test_id
    after = uses(content)
    for (target, kind), path in after.items():
        if (target, kind) not in before:
            yield AddReference(
                target_id=target, kind=kind, by=f"unit_test:{key}", path=path
            )
    yield from dropped(key, [used for used in before if used not in after])
    yield ConfirmVersionSet(
        agent_id=content.service_id,
        name=content.service_version_set_name,
        path="$.service_version_set_name",
    )
    yield from fitting(content)


def dropped(key: UUID, used: Iterable[tuple[UUID, Kind]]) -> Iterator[DropReference]:
    """Yield the references to drop."""
    for target, _kind in used:
        yield DropReference(target_id=target, by=f"unit_test:{key}")


def fitting(content: UnitTestChanged) -> Iterator[ConfirmCriteria]:
    """Yield the question to each metric whether its criteria fit."""
    wanted: dict[MetricId, list[Use]] = {}
    for index, criterion in enumerate(content.success_criterions):
        use = Use(
            operator=criterion.operator,
            value=criterion.value,
            version=criterion.metric_version,
            path=f"$.success_criterions[{index}]",
        )
        wanted.setdefault(criterion.metric_id, []).append(use)
    for metric_id, found in wanted.items():
        yield ConfirmCriteria(metric_id=metric_id, uses=tuple(found))


decider: Final = Decider[AnyUnitTestCommand, UnitTest, UnitTestEvent](
    category="testing.unit_test",
    commands=get_args(AnyUnitTestCommand),
    events=get_args(UnitTestEvent),
    initial=UnitTest(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.unit_test_id,
    also=also,
    internal=(ConfirmUnitTest,),
)
