"""Commands, events and their envelopes: what crosses a process boundary."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec

from events import roles


class Command(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """A request, in the imperative; the edges refuse fields that it does not have.

    What is not given is not encoded, so the hash of a command that is sent again after
    an upgrade does not depend on fields that the upgrade added.
    """


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """A fact, in the past tense; readers tolerate fields that they do not know.

    `personal` names the text fields that the log seals with the key of the data
    subject in the event's `subject_id`; where that is None nothing is sealed. After
    the subject's erasure such a field reads as `ERASED`.
    """

    personal: ClassVar[tuple[str, ...]] = ()


ERASED = "[erased]"
SEALED = "[sealed]"
ON_BEHALF_OF = "on_behalf_of"


class Meta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who asks for a command, where from and since what; never chosen by the body.

    `actor` is `user:ID`, `service:ID` or `system:ID`. `occurred_at` is the producer's
    clock, recorded as such. `headers` holds the W3C trace context, and for whom a
    service asks.
    `expected_version` is the version of the command's first stream that the client
    has seen, 0 for "must not exist". `email` is the actor's address, where the token
    proves one.
    """

    command_id: UUID
    org_id: str
    region: str
    actor: str
    correlation_id: UUID
    occurred_at: datetime
    causation_id: UUID | None = None
    ip: str | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    expected_version: int | None = None
    fence: tuple[UUID, int] | None = None
    email: str | None = None

    @property
    def actor_id(self) -> str:
        """Return the actor without its kind."""
        return actor_id(self.actor)

    @property
    def on_behalf_of(self) -> str | None:
        """Return the user, as `user:ID`, for whom a service asks, if it named one."""
        return self.headers.get(ON_BEHALF_OF)

    def holds(self, role: str, area: str) -> bool:
        """Say whether the actor has a role in an area, or everywhere."""
        return roles.holds(self.roles, role, area)


def actor_id(actor: str) -> str:
    """Return an actor's id without its kind: `ID` of `user:ID`."""
    return actor.partition(":")[2]


E = TypeVar("E", bound=Event, covariant=True)


class Recorded(msgspec.Struct, Generic[E], frozen=True, kw_only=True, gc=False):
    """An event as the log holds it.

    `position` is its place in the whole log, from 1 without gaps; `version` its place
    in its stream, from 1 without gaps; `recorded_at` never goes back.
    """

    position: int
    stream_id: str
    version: int
    event_id: UUID
    org_id: str
    region: str
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None
    actor: str
    ip: str | None
    occurred_at: datetime
    recorded_at: datetime
    headers: Mapping[str, str] | None
    event: E

    @property
    def actor_id(self) -> str:
        """Return the actor without its kind."""
        return actor_id(self.actor)

    @property
    def on_behalf_of(self) -> str | None:
        """Return the user, as `user:ID`, for whom it was asked, if one was named."""
        return (self.headers or {}).get(ON_BEHALF_OF)
