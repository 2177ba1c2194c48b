"""A persona: its details change in place, its background only by a new version."""

from collections.abc import Sequence
from typing import Final, assert_never, get_args

import msgspec
from msgspec.structs import replace

from events.ids import PersonaId
from events.message import Command, Meta
from events.testing.common import Tags
from events.testing.personas import (
    PersonaCreated,
    PersonaDeleted,
    PersonaDetailsChanged,
    PersonaEvent,
    PersonaVersionAdded,
)
from services.decider import Decider
from services.testing.common import (
    ExternalId,
    GivenTags,
    Label,
    LongText,
    Name,
    Pin,
    TestingCommand,
    VersionNumber,
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


class CreatePersona(TestingCommand, frozen=True, kw_only=True):
    """Create a persona with its first version.

    `preferred_language` is a language as people or a tag name it, `timezone` a name of
    the time zone database. Tags come as a map, or as a list of keys.
    """

    persona_id: PersonaId
    name: Name
    role: Label
    background: LongText
    preferred_language: Label = "en"
    timezone: Label = "UTC"
    tags: GivenTags = msgspec.field(default_factory=dict)
    external_id: ExternalId | None = None


class ChangePersonaDetails(TestingCommand, frozen=True, kw_only=True):
    """Change a persona's details; what is not given stays."""

    persona_id: PersonaId
    name: Name | None = None
    role: Label | None = None
    tags: GivenTags | None = None


class AddPersonaVersion(TestingCommand, frozen=True, kw_only=True):
    """Add a version to a persona, unless the newest one says the same.

    What is not given is taken over from the newest version. With
    `expected_latest_version` it is refused where another version came first.
    """

    persona_id: PersonaId
    background: LongText | None = None
    preferred_language: Label | None = None
    timezone: Label | None = None
    expected_latest_version: VersionNumber | None = None


class DeletePersona(TestingCommand, frozen=True, kw_only=True):
    """Delete a persona that no unit test uses."""

    persona_id: PersonaId


class ConfirmPersonaVersions(TestingCommand, frozen=True, kw_only=True):
    """Refuse unless these versions of a persona exist."""

    persona_id: PersonaId
    pins: tuple[Pin, ...]


PersonaCommand = (
    CreatePersona | ChangePersonaDetails | AddPersonaVersion | DeletePersona
)
AnyPersonaCommand = PersonaCommand | ConfirmPersonaVersions


class Persona(msgspec.Struct, frozen=True):
    """A persona as its rules see it; `creation` holds its first two facts."""

    creation: tuple[PersonaEvent, ...] = ()
    name: str = ""
    role: str = ""
    tags: Tags = msgspec.field(default_factory=dict)
    newest: PersonaVersionAdded | None = None
    deleted: bool = False


def evolve(state: Persona, event: PersonaEvent) -> Persona:
    """Return the state after an event."""
    if len(state.creation) < CREATION:
        state = replace(state, creation=(*state.creation, event))
    match event:
        case PersonaVersionAdded():
            return replace(state, newest=event)
        case PersonaDetailsChanged(name=name, role=role, tags=tags):
            return replace(state, name=name, role=role, tags=tags)
        case PersonaCreated(name=name, role=role, tags=tags):
            return replace(state, name=name, role=role, tags=tags)
        case PersonaDeleted():
            return replace(state, deleted=True)
        case _:
            assert_never(event)


def decide(
    command: AnyPersonaCommand, state: Persona, _meta: Meta
) -> list[PersonaEvent]:
    """Return what happens: a deleted persona can only be deleted again.

    What is asked for most stands first, because the arms are tried in order.
    """
    match command:
        case AddPersonaVersion():
            return add_version(command, newest_of(state))
        case ChangePersonaDetails():
            newest_of(state)
            return change(command, state)
        case CreatePersona():
            return create(command, state)
        case DeletePersona():
            if state.deleted:
                return []
            newest_of(state)
            return [PersonaDeleted(persona_id=command.persona_id)]
        case ConfirmPersonaVersions():
            check_pins(command.pins, newest_of(state).version)
            return []
        case _:
            assert_never(command)


def newest_of(state: Persona) -> PersonaVersionAdded:
    """Return the newest version of a persona that is there, or raise `Missing`."""
    return still_there(state.newest, deleted=state.deleted, path="$.persona_id")


def create(command: CreatePersona, state: Persona) -> list[PersonaEvent]:
    """Create a persona and its first version."""
    key = command.persona_id
    facts: list[PersonaEvent] = [
        PersonaCreated(
            persona_id=key,
            name=command.name,
            role=command.role,
            tags=tags_of(command.tags),
            external_id=command.external_id,
        ),
        PersonaVersionAdded(
            persona_id=key,
            version_id=version_id(key, 1),
            version=1,
            background=command.background,
            preferred_language=command.preferred_language,
            timezone=command.timezone,
        ),
    ]
    return created_once(
        facts, state.creation, deleted=state.deleted, path="$.persona_id"
    )


def change(command: ChangePersonaDetails, state: Persona) -> list[PersonaEvent]:
    """Change the details that are given and differ."""
    name = either(command.name, state.name)
    role = either(command.role, state.role)
    tags = state.tags if command.tags is None else tags_of(command.tags)
    if (name, role, tags) == (state.name, state.role, state.tags):
        return []
    return [
        PersonaDetailsChanged(
            persona_id=command.persona_id, name=name, role=role, tags=tags
        )
    ]


def add_version(
    command: AddPersonaVersion, newest: PersonaVersionAdded
) -> list[PersonaEvent]:
    """Add a version that differs from the newest."""
    number = newest.version + 1
    background = either(command.background, newest.background)
    language = either(command.preferred_language, newest.preferred_language)
    timezone = either(command.timezone, newest.timezone)
    if (background, language, timezone) == (
        newest.background,
        newest.preferred_language,
        newest.timezone,
    ):
        return []
    check_newest(command.expected_latest_version, newest.version)
    return [
        PersonaVersionAdded(
            persona_id=command.persona_id,
            version_id=version_id(command.persona_id, number),
            version=number,
            background=background,
            preferred_language=language,
            timezone=timezone,
        )
    ]


def also(command: AnyPersonaCommand, _state: Persona, _meta: Meta) -> Sequence[Command]:
    """Ask that a persona may be referred to from its creation to its deletion."""
    key, path = command.persona_id, "$.persona_id"
    match command:
        case AddPersonaVersion() | ChangePersonaDetails() | ConfirmPersonaVersions():
            return ()
        case CreatePersona():
            return (OpenReferences(target_id=key, kind="persona", path=path),)
        case DeletePersona():
            return (CloseReferences(target_id=key, path=path),)
        case _:
            assert_never(command)


decider: Final = Decider[AnyPersonaCommand, Persona, PersonaEvent](
    category="testing.persona",
    commands=get_args(AnyPersonaCommand),
    events=get_args(PersonaEvent),
    initial=Persona(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.persona_id,
    also=also,
    internal=(ConfirmPersonaVersions,),
)
