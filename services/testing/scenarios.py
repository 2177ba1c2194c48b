"""A scenario: its details change in place, what it asks for only by a new version."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, assert_never, get_args

import msgspec
from msgspec.structs import replace

from events.errors import Refused
from events.ids import ScenarioId
from events.message import Command, Meta
from events.testing import scenarios as facts
from events.testing.common import Tags
from events.testing.scenarios import (
    ScenarioCreated,
    ScenarioDeleted,
    ScenarioDetailsChanged,
    ScenarioEvent,
    ScenarioVersionAdded,
)
from services.decider import Decider
from services.testing.common import (
    ExternalId,
    GivenTags,
    LongText,
    Name,
    Pin,
    TestingCommand,
    VersionNumber,
    as_fact,
    check_newest,
    check_pins,
    created_once,
    either,
    still_there,
    tags_of,
    version_id,
)
from services.testing.references import CloseReferences, OpenReferences


CREATION: Final = 2  # facts


class InitialMessage(
    facts.InitialMessage, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """How the conversation opens: the user speaks, something happens, or nothing.

    `text` is what the user says or what happens; with `skip` there is none.
    `starts_at` is the moment at which the conversation pretends to begin.
    """

    text: LongText | None = None
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class CreateScenario(TestingCommand, frozen=True, kw_only=True):
    """Create a scenario with its first version.

    `objective` is what the persona wants, `instructions` how it goes about it. Tags
    come as a map, or as a list of keys.
    """

    scenario_id: ScenarioId
    name: Name
    objective: LongText
    instructions: LongText
    initial_message: InitialMessage = InitialMessage(kind="skip")
    tags: GivenTags = msgspec.field(default_factory=dict)
    external_id: ExternalId | None = None


class ChangeScenarioDetails(TestingCommand, frozen=True, kw_only=True):
    """Change a scenario's details; what is not given stays."""

    scenario_id: ScenarioId
    name: Name | None = None
    tags: GivenTags | None = None


class AddScenarioVersion(TestingCommand, frozen=True, kw_only=True):
    """Add a version to a scenario, unless the newest one says the same.

    What is not given is taken over from the newest version. With
    `expected_latest_version` it is refused where another version came first.
    """

    scenario_id: ScenarioId
    objective: LongText | None = None
    instructions: LongText | None = None
    initial_message: InitialMessage | None = None
    expected_latest_version: VersionNumber | None = None


class DeleteScenario(TestingCommand, frozen=True, kw_only=True):
    """Delete a scenario that no unit test uses."""

    scenario_id: ScenarioId


class ConfirmScenarioVersions(TestingCommand, frozen=True, kw_only=True):
    """Refuse unless these versions of a scenario exist."""

    scenario_id: ScenarioId
    pins: tuple[Pin, ...]


ScenarioCommand = (
    CreateScenario | ChangeScenarioDetails | AddScenarioVersion | DeleteScenario
)
AnyScenarioCommand = ScenarioCommand | ConfirmScenarioVersions


class UnclearOpening(Refused):
    """A conversation opens with a text, or is said to open without one."""


class Scenario(msgspec.Struct, frozen=True):
    """A scenario as its rules see it; `creation` holds its first two facts."""

    creation: tuple[ScenarioEvent, ...] = ()
    name: str = ""
    tags: Tags = msgspec.field(default_factory=dict)
    newest: ScenarioVersionAdded | None = None
    deleted: bool = False


def evolve(state: Scenario, event: ScenarioEvent) -> Scenario:
    """Return the state after an event."""
    if len(state.creation) < CREATION:
        state = replace(state, creation=(*state.creation, event))
    match event:
        case ScenarioCreated(name=name, tags=tags):
            return replace(state, name=name, tags=tags)
        case ScenarioDetailsChanged(name=name, tags=tags):
            return replace(state, name=name, tags=tags)
        case ScenarioVersionAdded():
            return replace(state, newest=event)
        case ScenarioDeleted():
            return replace(state, deleted=True)
        case _:
            assert_never(event)


def decide(
    command: AnyScenarioCommand, state: Scenario, _meta: Meta
) -> list[ScenarioEvent]:
    """Return what happens: a deleted scenario can only be deleted again."""
    if isinstance(command, CreateScenario):
        return create(command, state)
    if isinstance(command, DeleteScenario) and state.deleted:
        return []
    newest = still_there(state.newest, deleted=state.deleted, path="$.scenario_id")
    match command:
        case ChangeScenarioDetails():
            return change(command, state)
        case AddScenarioVersion():
            return add_version(command, newest)
        case DeleteScenario():
            return [ScenarioDeleted(scenario_id=command.scenario_id)]
        case ConfirmScenarioVersions():
            check_pins(command.pins, newest.version)
            return []
        case _:
            assert_never(command)


def create(command: CreateScenario, state: Scenario) -> list[ScenarioEvent]:
    """Create a scenario and its first version."""
    key = command.scenario_id
    creation: list[ScenarioEvent] = [
        ScenarioCreated(
            scenario_id=key,
            name=command.name,
            tags=tags_of(command.tags),
            external_id=command.external_id,
        ),
        ScenarioVersionAdded(
            scenario_id=key,
            version_id=version_id(key, 1),
            version=1,
            objective=command.objective,
            instructions=command.instructions,
            initial_message=opening(command.initial_message),
        ),
    ]
    return created_once(
        creation, state.creation, deleted=state.deleted, path="$.scenario_id"
    )


def change(command: ChangeScenarioDetails, state: Scenario) -> list[ScenarioEvent]:
    """Change the details that are given and differ."""
    name = either(command.name, state.name)
    tags = state.tags if command.tags is None else tags_of(command.tags)
    if (name, tags) == (state.name, state.tags):
        return []
    return [
        ScenarioDetailsChanged(scenario_id=command.scenario_id, name=name, tags=tags)
    ]


def add_version(
    command: AddScenarioVersion, newest: ScenarioVersionAdded
) -> list[ScenarioEvent]:
    """Add a version that differs from the newest."""
    number = newest.version + 1
    objective = either(command.objective, newest.objective)
    instructions = either(command.instructions, newest.instructions)
    initial_message = newest.initial_message
    if command.initial_message is not None:
        initial_message = opening(command.initial_message)
    if (objective, instructions, initial_message) == (
        newest.objective,
        newest.instructions,
        newest.initial_message,
    ):
        return []
    check_newest(command.expected_latest_version, newest.version)
    return [
        ScenarioVersionAdded(
            scenario_id=command.scenario_id,
            version_id=version_id(command.scenario_id, number),
            version=number,
            objective=objective,
            instructions=instructions,
            initial_message=initial_message,
        )
    ]


def opening(given: InitialMessage) -> facts.InitialMessage:
    """Return how the conversation opens, which a kind and its text must agree on."""
    if bool(given.text) == (given.kind == "skip"):
        raise UnclearOpening(path="$.initial_message.text")
    return as_fact(given, facts.InitialMessage)


def also(
    command: AnyScenarioCommand, _state: Scenario, _meta: Meta
) -> Sequence[Command]:
    """Ask that a scenario may be referred to from its creation to its deletion."""
    key, path = command.scenario_id, "$.scenario_id"
    match command:
        case CreateScenario():
            return [OpenReferences(target_id=key, kind="scenario", path=path)]
        case DeleteScenario():
            return [CloseReferences(target_id=key, path=path)]
        case _:
            return []


decider: Final = Decider[AnyScenarioCommand, Scenario, ScenarioEvent](
    category="testing.scenario",
    commands=get_args(AnyScenarioCommand),
    events=get_args(ScenarioEvent),
    initial=Scenario(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.scenario_id,
    also=also,
    internal=(ConfirmScenarioVersions,),
)
