"""Who uses a thing: a thing is deleted only when nobody does.

Each persona, scenario, metric, agent, unit test and set has a stream of its users. It
is written in the same append as the user itself, so neither can be there without the
other.
"""

from collections.abc import Mapping
from typing import Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.errors import Missing, Refused
from events.message import Meta
from events.testing.references import (
    Kind,
    ReferenceAdded,
    ReferenceDropped,
    ReferenceEvent,
    ReferencesClosed,
    ReferencesOpened,
)
from services.decider import Decider
from services.testing.common import Deleted, TestingCommand


NAMED_USERS: Final = 5


class OpenReferences(TestingCommand, frozen=True, kw_only=True):
    """Let a new thing be referred to."""

    target_id: UUID
    kind: Kind
    path: str


class AddReference(TestingCommand, frozen=True, kw_only=True):
    """Use a thing; `path` is the field that names it."""

    target_id: UUID
    kind: Kind
    by: str
    path: str


class DropReference(TestingCommand, frozen=True, kw_only=True):
    """Use a thing no longer."""

    target_id: UUID
    by: str


class CloseReferences(TestingCommand, frozen=True, kw_only=True):
    """Let a thing be deleted, if nobody uses it."""

    target_id: UUID
    path: str


ReferenceCommand = OpenReferences | AddReference | DropReference | CloseReferences


class IdTaken(Refused):
    """This id belongs to something else."""


class NoSuchTarget(Missing):
    """There is no such thing to refer to."""


class StillReferenced(Refused):
    """It is still used by others."""


class References(msgspec.Struct, frozen=True):
    """The users of a thing, in buckets by the end of their id.

    The buckets keep what is copied for each new user small.
    """

    kind: Kind | None = None
    users: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    closed: bool = False

    def bucket(self, by: str) -> frozenset[str]:
        """Return the users whose id ends like this one's."""
        return self.users.get(by[-2:], frozenset())


def evolve(state: References, event: ReferenceEvent) -> References:
    """Return the state after an event."""
    match event:
        case ReferencesOpened(kind=kind):
            return replace(state, kind=kind)
        case ReferenceAdded(by=by):
            bucket = state.bucket(by) | {by}
            return replace(state, users={**state.users, by[-2:]: bucket})
        case ReferenceDropped(by=by):
            bucket = state.bucket(by) - {by}
            return replace(state, users={**state.users, by[-2:]: bucket})
        case ReferencesClosed():
            return replace(state, closed=True)
        case _:
            assert_never(event)


def decide(
    command: ReferenceCommand, state: References, _meta: Meta
) -> list[ReferenceEvent]:
    """Return what happens, or refuse."""
    match command:
        case OpenReferences():
            return open_(command, state)
        case AddReference():
            return add(command, state)
        case DropReference():
            return drop(command, state)
        case CloseReferences():
            return close(command, state)
        case _:
            assert_never(command)


def open_(command: OpenReferences, state: References) -> list[ReferenceEvent]:
    """Open the references of a new thing, whose id must be of no other kind."""
    if state.kind is None:
        return [ReferencesOpened(target_id=command.target_id, kind=command.kind)]
    if state.kind != command.kind:
        message = f"This id belongs to a {words(state.kind)}."
        raise IdTaken(message, path=command.path)
    return []


def add(command: AddReference, state: References) -> list[ReferenceEvent]:
    """Add a user to a thing that must exist."""
    if state.kind != command.kind:
        message = f"There is no {words(command.kind)} {command.target_id}."
        raise NoSuchTarget(message, path=command.path)
    if state.closed:
        message = f"The {words(command.kind)} {command.target_id} was deleted."
        raise Deleted(message, path=command.path)
    if command.by in state.bucket(command.by):
        return []
    return [ReferenceAdded(target_id=command.target_id, by=command.by)]


def drop(command: DropReference, state: References) -> list[ReferenceEvent]:
    """Drop a user, if it is one."""
    if command.by not in state.bucket(command.by):
        return []
    return [ReferenceDropped(target_id=command.target_id, by=command.by)]


def close(command: CloseReferences, state: References) -> list[ReferenceEvent]:
    """Close the references of a thing that nobody uses."""
    if state.kind is None or state.closed:
        return []
    users = sorted(user for bucket in state.users.values() for user in bucket)
    if users:
        named = ", ".join(users[:NAMED_USERS])
        more = len(users) - NAMED_USERS
        ending = f" and {more} more" if more > 0 else ""
        message = f"Still used by {named}{ending}."
        raise StillReferenced(message, path=command.path)
    return [ReferencesClosed(target_id=command.target_id)]


def words(kind: Kind) -> str:
    """Return a kind as people say it."""
    return kind.replace("_", " ")


decider: Final = Decider[ReferenceCommand, References, ReferenceEvent](
    category="testing.references",
    commands=get_args(ReferenceCommand),
    events=get_args(ReferenceEvent),
    initial=References(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.target_id,
    internal=get_args(ReferenceCommand),
)
