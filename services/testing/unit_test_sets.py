"""A set of unit tests, each with the number of trials that a run makes of it."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.errors import Refused
from events.ids import UnitTestId, UnitTestSetId
from events.message import Command
from events.message import Meta as Envelope
from events.testing import unit_test_sets as facts
from events.testing.unit_test_sets import (
    UnitTestSetChanged,
    UnitTestSetCreated,
    UnitTestSetDeleted,
    UnitTestSetEvent,
)
from services.decider import Decider
from services.testing.common import (
    Description,
    ExternalId,
    GivenTags,
    Name,
    TestingCommand,
    as_fact,
    created_once,
    either,
    still_there,
    tags_of,
)
from services.testing.references import (
    AddReference,
    CloseReferences,
    DropReference,
    OpenReferences,
)


MAX_UNIT_TESTS: Final = 500
MAX_RUN_COUNT: Final = 1_000

RunCount = Annotated[int, Meta(ge=1, le=MAX_RUN_COUNT)]


class UnitTestEntry(
    facts.UnitTestEntry, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A unit test in a set, and how many trials of it a run makes."""

    run_count: RunCount = 1


Entries = Annotated[list[UnitTestEntry], Meta(max_length=MAX_UNIT_TESTS)]


class CreateUnitTestSet(TestingCommand, frozen=True, kw_only=True):
    """Create a set of unit tests that exist, each in it once.

    Tags come as a map, or as a list of keys.
    """

    set_id: UnitTestSetId
    name: Name
    unit_tests: Entries
    description: Description = ""
    tags: GivenTags = msgspec.field(default_factory=dict)
    external_id: ExternalId | None = None


class ChangeUnitTestSet(TestingCommand, frozen=True, kw_only=True):
    """Change a set; what is not given stays."""

    set_id: UnitTestSetId
    name: Name | None = None
    description: Description | None = None
    unit_tests: Entries | None = None
    tags: GivenTags | None = None


class DeleteUnitTestSet(TestingCommand, frozen=True, kw_only=True):
    """Delete a set that has no unfinished run."""

    set_id: UnitTestSetId


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A unit test that a request says is in a set, at `path`."""

    unit_test_id: UnitTestId
    path: str


class ConfirmMembers(TestingCommand, frozen=True, kw_only=True):
    """Refuse unless these unit tests are in a set."""

    set_id: UnitTestSetId
    members: tuple[Member, ...]


UnitTestSetCommand = CreateUnitTestSet | ChangeUnitTestSet | DeleteUnitTestSet
AnyUnitTestSetCommand = UnitTestSetCommand | ConfirmMembers


class TwiceInTheSet(Refused):
    """A unit test is in a set once; its run count says how many trials it gets."""


class NotInTheSet(Refused):
    """The unit test is not in the set."""


class UnitTestSet(msgspec.Struct, frozen=True):
    """A set as its rules see it; `current` says what it is now."""

    creation: tuple[UnitTestSetEvent, ...] = ()
    current: UnitTestSetChanged | None = None
    deleted: bool = False


def evolve(state: UnitTestSet, event: UnitTestSetEvent) -> UnitTestSet:
    """Return the state after an event."""
    match event:
        case UnitTestSetCreated():
            content = msgspec.convert(event, UnitTestSetChanged, from_attributes=True)
            return replace(state, creation=(event,), current=content)
        case UnitTestSetChanged():
            return replace(state, current=event)
        case UnitTestSetDeleted():
            return replace(state, deleted=True)
        case _:
            assert_never(event)


def decide(
    command: AnyUnitTestSetCommand, state: UnitTestSet, _meta: Envelope
) -> list[UnitTestSetEvent]:
    """Return what happens: a deleted set can only be deleted again."""
    if isinstance(command, CreateUnitTestSet):
        return create(command, state)
    if isinstance(command, DeleteUnitTestSet) and state.deleted:
        return []
    current = still_there(state.current, deleted=state.deleted, path="$.set_id")
    match command:
        case ChangeUnitTestSet():
            content = changed(command, current)
            return [] if content == current else [content]
        case DeleteUnitTestSet():
            return [UnitTestSetDeleted(set_id=command.set_id)]
        case ConfirmMembers():
            confirm(command, current)
            return []
        case _:
            assert_never(command)


def create(command: CreateUnitTestSet, state: UnitTestSet) -> list[UnitTestSetEvent]:
    """Create a set."""
    creation: list[UnitTestSetEvent] = [
        UnitTestSetCreated(
            set_id=command.set_id,
            name=command.name,
            description=command.description,
            unit_tests=entries_of(command.unit_tests),
            tags=tags_of(command.tags),
            external_id=command.external_id,
        )
    ]
    return created_once(
        creation, state.creation, deleted=state.deleted, path="$.set_id"
    )


def changed(
    command: ChangeUnitTestSet, current: UnitTestSetChanged
) -> UnitTestSetChanged:
    """Return what a set is after a change."""
    entries, tags = command.unit_tests, command.tags
    return UnitTestSetChanged(
        set_id=command.set_id,
        name=either(command.name, current.name),
        description=either(command.description, current.description),
        unit_tests=current.unit_tests if entries is None else entries_of(entries),
        tags=current.tags if tags is None else tags_of(tags),
    )


def entries_of(given: Sequence[UnitTestEntry]) -> list[facts.UnitTestEntry]:
    """Return entries as events hold them, each unit test once."""
    seen: set[UUID] = set()
    for index, entry in enumerate(given):
        if entry.unit_test_id in seen:
            raise TwiceInTheSet(path=f"$.unit_tests[{index}].unit_test_id")
        seen.add(entry.unit_test_id)
    return [as_fact(entry, facts.UnitTestEntry) for entry in given]


def confirm(command: ConfirmMembers, current: UnitTestSetChanged) -> None:
    """Raise `NotInTheSet` for the first unit test that is not in the set."""
    members = {entry.unit_test_id for entry in current.unit_tests}
    for member in command.members:
        if member.unit_test_id not in members:
            raise NotInTheSet(path=member.path)


def also(
    command: AnyUnitTestSetCommand, state: UnitTestSet, _meta: Envelope
) -> Sequence[Command]:
    """Ask for references to the unit tests that come in, and drop those that go."""
    key, path = command.set_id, "$.set_id"
    before = state.current.unit_tests if state.current else []
    match command:
        case CreateUnitTestSet(unit_tests=after):
            opened = OpenReferences(target_id=key, kind="unit_test_set", path=path)
            return [opened, *moved(key, before, after)]
        case ChangeUnitTestSet(unit_tests=list(after)):
            return list(moved(key, before, after))
        case DeleteUnitTestSet():
            return [CloseReferences(target_id=key, path=path), *moved(key, before, [])]
        case _:
            return []


def moved(
    key: UUID,
    before: Sequence[facts.UnitTestEntry],
    after: Sequence[facts.UnitTestEntry],
) -> Iterator[Command]:
    """Yield the references to add and to drop between two contents of a set."""
    by = f"unit_test_set:{key}"
    old = [entry.unit_test_id for entry in before]
    new = [entry.unit_test_id for entry in after]
    known, kept = set(old), set(new)
    for index, target in enumerate(new):
        if target not in known:
            path = f"$.unit_tests[{index}].unit_test_id"
            yield AddReference(target_id=target, kind="unit_test", by=by, path=path)
    for target in old:
        if target not in kept:
            yield DropReference(target_id=target, by=by)


decider: Final = Decider[AnyUnitTestSetCommand, UnitTestSet, UnitTestSetEvent](
    category="testing.unit_test_set",
    commands=get_args(AnyUnitTestSetCommand),
    events=get_args(UnitTestSetEvent),
    initial=UnitTestSet(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.set_id,
    also=also,
    internal=(ConfirmMembers,),
)
