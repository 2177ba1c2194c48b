"""What the audit log is made of: columns, what a fact is about, what it may tell.

Personal text is not told, whoever asks: a fact says only that there was some. So an
erasure changes nothing here.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from uuid import UUID

import msgspec

from events.access.readings import PersonalTextRead
from events.access.users import RoleGranted, RoleRevoked
from events.catalogue import tag
from events.message import Event, Recorded
from events.playgrounds.playgrounds import (
    ModelAdded,
    ModelChanged,
    ModelRemoved,
    QuestionAdded,
    QuestionChanged,
    QuestionRemoved,
    TesterListed,
    TesterUnlisted,
)
from events.testing.agents import VersionSetAssigned
from projections.projection import Column, Value


SCHEMA: Final = "audit"
OWN_ORGANISATION: Final = "org_id = access.current_org()"
ADMINISTRATOR: Final = "access.has_role('access', 'admin')"

READ: Final = "read"
SEALED: Final = "[sealed]"
SECRET: Final = "[secret]"  # noqa: S105 - what stands in the place of one
SECRETS: Final = (
    *("password", "secret", "token"),
    *("email_key", "username_key", "identity_key"),
)
LONGEST: Final = 1_000  # characters of a text that are told

PARTS: Final[Mapping[type[Event], tuple[str, ...]]] = {
    ModelAdded: ("model_key",),
    ModelChanged: ("model_key",),
    ModelRemoved: ("model_key",),
    QuestionAdded: ("question_id",),
    QuestionChanged: ("question_id",),
    QuestionRemoved: ("question_id",),
    TesterListed: ("number",),
    TesterUnlisted: ("number",),
    RoleGranted: ("area", "role"),
    RoleRevoked: ("area", "role"),
    VersionSetAssigned: ("name",),
}
"""The fields by which a fact is about a part of its resource."""

_encoder: Final = msgspec.json.Encoder()


def uuid(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a column of identifiers."""
    return Column(name=name, type="uuid", nullable=nullable, note=note)


def text(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a text column."""
    return Column(name=name, type="text", nullable=nullable, note=note)


def resource_of(recorded: Recorded[Event]) -> tuple[str, UUID | None]:
    """Return what a fact is about: a kind, such as `playground`, and an id."""
    event = recorded.event
    read = event.stream_id if isinstance(event, PersonalTextRead) else None
    category, _, identifier = (read or recorded.stream_id).partition("-")
    kind = category.rpartition(".")[2]
    try:
        return kind, UUID(identifier)
    except ValueError:
        return kind, None


def action_of(event: Event) -> str:
    """Return what was done: `read`, or the type of the fact that something changed."""
    return READ if isinstance(event, PersonalTextRead) else tag(type(event))


def part_of(event: Event) -> str | None:
    """Return the part of the resource that a fact is about, as `field=value`."""
    names = PARTS.get(type(event))
    if names is None:
        return None
    return " ".join(f"{name}={getattr(event, name)}" for name in names)


def stated(event: Event, resource_id: UUID | None) -> str:
    """Return, as JSON, what a fact states, but for the id of its resource."""
    whole: dict[str, Value] = msgspec.to_builtins(event)
    told: dict[str, Value] = {}
    for name in event.__struct_fields__:
        value = whole[name]
        if value == str(resource_id):
            continue
        if name in event.personal and value is not None:
            told[name] = SEALED
        else:
            told[name] = _told(name, value)
    return _encoder.encode(told).decode()


def address(ip: str | None) -> str | None:
    """Return a network address that `inet` holds, or None."""
    try:
        return None if ip is None else str(ip_address(ip.partition("%")[0]))
    except ValueError:
        return None


def _told(name: str, value: Value) -> Value:
    """Return a value as it may be told, whole unless it is long."""
    if value is not None and any(each in name.lower() for each in SECRETS):
        return SECRET
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    if isinstance(value, dict):
        return {each: _told(each, held) for each, held in value.items()}
    if isinstance(value, list):
        return [_told("", each) for each in value]
    return value
