"""What the commands of the playgrounds context share: base, limits, plain refusals."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from msgspec import Meta

from events.errors import Forbidden, Missing, Refused
from events.message import Command, Event
from events.message import Meta as Envelope


AREA: Final = "playgrounds"
PERSON: Final = "user:"


class PlaygroundsCommand(
    Command, frozen=True, kw_only=True, tag=lambda name: f"playgrounds.{name}"
):
    """A request about people judging models."""


Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
Description = Annotated[str, Meta(max_length=4_096)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"\S")]
ModelKey = Annotated[
    str,
    Meta(min_length=1, max_length=50, pattern=r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$(?!\n)"),
]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class AlreadyExists(Refused):
    """There is another one with this id."""


class Gone(Missing):
    """This was deleted."""


class NotYours(Forbidden):
    """Only its owner or an admin may do this."""


T = TypeVar("T")
E = TypeVar("E", bound=Event)


def still_there(thing: T | None, *, gone: bool, path: str) -> T:
    """Return a thing that was created and not deleted, or raise `Missing`."""
    if thing is None:
        raise Missing(path=path)
    if gone:
        raise Gone(path=path)
    return thing


def created_once(
    facts: list[E], known: Sequence[Event], *, gone: bool, path: str
) -> list[E]:
    """Return a creation's facts, or none where it happened with just these."""
    if not known:
        return facts
    if gone:
        raise Gone(path=path)
    if list(known) != facts:
        raise AlreadyExists(path=path)
    return []


def either(given: T | None, known: T) -> T:
    """Return what a request gives, or what is known where it gives nothing."""
    return known if given is None else given


def administers(meta: Envelope) -> bool:
    """Say whether the actor may do what every owner may."""
    return meta.holds("admin", AREA)


def check_owner(owner: str, meta: Envelope) -> None:
    """Raise `NotYours` unless the actor is the owner or administers the area."""
    if meta.actor_id != owner and not administers(meta):
        raise NotYours
