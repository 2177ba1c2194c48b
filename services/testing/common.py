"""What the commands of the testing context share: base, limits and plain refusals."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from events.errors import Missing, Refused
from events.ids import named
from events.message import Command, Event
from events.testing.common import Tags
from services.decoding import WORDED


class TestingCommand(
    Command, frozen=True, kw_only=True, tag=lambda name: f"testing.{name}"
):
    """A request about testing agents with simulated conversations."""

    __test__ = False


MAX_TAGS: Final = 50

Name = Annotated[str, Meta(min_length=1, max_length=200), WORDED]
Label = Annotated[str, Meta(min_length=1, max_length=100), WORDED]
ListedLabel = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
Description = Annotated[str, Meta(max_length=4_096)]
LongText = Annotated[str, Meta(max_length=32_768)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(min_length=1, max_length=1_000)]
VersionNumber = Annotated[int, Meta(ge=1, le=2_147_483_647)]
TagKey = Annotated[str, Meta(min_length=1, max_length=100)]
TagValue = Annotated[str, Meta(max_length=200)]
GivenTags = (
    Annotated[dict[TagKey, TagValue | None], Meta(max_length=MAX_TAGS)]
    | Annotated[list[TagKey], Meta(max_length=MAX_TAGS)]
)


class AlreadyExists(Refused):
    """There is another one with this id."""


class Deleted(Missing):
    """This was deleted."""


class NoSuchVersion(Missing):
    """There is no such version."""


class NewerVersion(Refused):
    """The newest version is another than expected."""


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a request relies on, and the path where it says so."""

    version: int
    path: str


T = TypeVar("T")
F = TypeVar("F", bound=msgspec.Struct)
E = TypeVar("E", bound=Event)


def tags_of(given: GivenTags) -> Tags:
    """Return tags as a map; those given as a list have no value."""
    return given if isinstance(given, dict) else dict.fromkeys(given)


def version_id(key: UUID, version: int) -> UUID:
    """Return the id of a numbered version, the same wherever it is asked for."""
    return named(key, f"version-{version}")


def as_fact(value: msgspec.Struct, kind: type[F]) -> F:
    """Return what a command's struct says as the struct that events hold."""
    return msgspec.convert(msgspec.to_builtins(value), kind)


def created_once(
    facts: list[E], known: Sequence[Event], *, deleted: bool, path: str
) -> list[E]:
    """Return a creation's facts, or none where it happened with just these."""
    if not known:
        return facts
    if deleted:
        raise Deleted(path=path)
    if list(known) != facts:
        raise AlreadyExists(path=path)
    return []


def still_there(thing: T | None, *, deleted: bool, path: str) -> T:
    """Return a thing that was created and not deleted, or raise `Missing`."""
    if thing is None:
        raise Missing(path=path)
    if deleted:
        raise Deleted(path=path)
    return thing


def either(given: T | None, known: T) -> T:
    """Return what a request gives, or what is known where it gives nothing."""
    return known if given is None else given


def check_newest(expected: int | None, newest: int) -> None:
    """Raise `NewerVersion` unless the newest version is the one that was seen."""
    if expected is not None and expected != newest:
        message = f"The newest version is {newest}, not {expected}."
        raise NewerVersion(message, path="$.expected_latest_version")


def check_pins(pins: Sequence[Pin], newest: int) -> None:
    """Raise `NoSuchVersion` for the first pin above the newest version."""
    for pin in pins:
        if pin.version > newest:
            message = f"There is no version {pin.version}; the newest is {newest}."
            raise NoSuchVersion(message, path=pin.path)
