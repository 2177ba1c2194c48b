"""What the read tables of the testing context share: columns, values, the row policy.

Times and people come from the envelope, never from the payload: `created_at` and
`updated_at` are the moments at which the log recorded the first and the last fact.
"""

from typing import Final
from uuid import UUID

import msgspec

from events.ids import SubjectId
from events.message import ERASED, Event, Recorded
from projections.projection import Column, Index, Value


SCHEMA: Final = "testing"
OWN_ORGANISATION: Final = "org_id = access.current_org()"
ADMINISTRATORS: Final = "access.has_role('testing', 'admin')"
OPENED: Final = (
    "sealed_for IS NULL OR sealed_for = access.current_seal() OR access.opened()"
)

_encoder: Final = msgspec.json.Encoder()


def identifier(note: str) -> Column:
    """Return the `_id` column, a UUID as text."""
    return Column(name="_id", type="text", nullable=False, note=note)


def text(
    name: str,
    note: str,
    *,
    nullable: bool = False,
    check: str | None = None,
    visible: str | None = None,
    personal: bool = False,
) -> Column:
    """Return a text column; a `personal` one is shown to whom the text is opened."""
    if personal:
        opened = f"{OPENED} OR {name} = '{ERASED}'"
        visible = opened if visible is None else f"{visible} AND ({opened})"
    return Column(
        name=name,
        type="text",
        personal=personal,
        note=note,
        nullable=nullable,
        check=check,
        visible=visible,
    )


def json(name: str, note: str, *, visible: str | None = None) -> Column:
    """Return a jsonb column."""
    return Column(name=name, type="jsonb", note=note, nullable=False, visible=visible)


def integer(name: str, note: str, *, check: str | None = None) -> Column:
    """Return an integer column."""
    return Column(name=name, type="integer", note=note, nullable=False, check=check)


def moment(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a column of moments."""
    return Column(name=name, type="timestamptz", note=note, nullable=nullable)


def flag(name: str, note: str) -> Column:
    """Return a boolean column."""
    return Column(name=name, type="boolean", note=note, nullable=False)


EXTERNAL_ID: Final = text(
    "external_id", "Identifier in the system it was imported from", nullable=True
)
SEALED_FOR: Final = text(
    "sealed_for",
    "Organization and person whose key seals the text, if one does",
    nullable=True,
)
TAGS: Final = json("tags", "Associated tags: a map from key to value or null")

CREATED: Final = (
    text("org_id", "Organization identifier"),
    text("region_name", "Deployment region"),
    moment("created_at", "Creation timestamp"),
    moment("updated_at", "Last update timestamp"),
)
AUTHORED: Final = (
    *CREATED,
    text("creator_user_id", "Creator user ID"),
    text("updated_by_user_id", "Last updater user ID"),
)
DELETABLE: Final = (
    *AUTHORED,
    flag("is_deleted", "Deletion status"),
    moment("deleted_at", "Deletion timestamp", nullable=True),
    text("deleted_by_user_id", "User who deleted it", nullable=True),
)

BY_CREATION: Final = Index(columns=("org_id", "created_at"))
BY_SEAL: Final = Index(columns=("sealed_for",), where="sealed_for IS NOT NULL")
BY_TAGS: Final = Index(columns=("tags",), method="gin")
BY_NAME: Final = Index(
    columns=("name gin_trgm_ops",), method="gin", extension="pg_trgm"
)


def key(*identifiers: UUID) -> tuple[str, ...]:
    """Return identifiers as the text that key columns hold."""
    return tuple(str(each) for each in identifiers)


def jsonb(value: Value) -> str:
    """Return the JSON text of a value for a jsonb column."""
    return _encoder.encode(value).decode()


def created(recorded: Recorded[Event]) -> tuple[Value, ...]:
    """Return the values of `CREATED` that a first fact gives."""
    return (
        recorded.org_id,
        recorded.region,
        recorded.recorded_at,
        recorded.recorded_at,
    )


def authored(recorded: Recorded[Event]) -> tuple[Value, ...]:
    """Return the values of `AUTHORED` that a first fact gives."""
    return (*created(recorded), recorded.actor_id, recorded.actor_id)


def deletable(recorded: Recorded[Event]) -> tuple[Value, ...]:
    """Return the values of `DELETABLE` that a first fact gives."""
    return (*authored(recorded), False, None, None)


def updated(recorded: Recorded[Event]) -> dict[str, Value]:
    """Return the columns of `AUTHORED` that a later fact sets."""
    return {
        "updated_at": recorded.recorded_at,
        "updated_by_user_id": recorded.actor_id,
    }


def deleted(recorded: Recorded[Event]) -> dict[str, Value]:
    """Return the columns of `DELETABLE` that a deletion sets."""
    return {
        **updated(recorded),
        "is_deleted": True,
        "deleted_at": recorded.recorded_at,
        "deleted_by_user_id": recorded.actor_id,
    }


def sealed_for(org_id: str, subject_id: SubjectId) -> str:
    """Return the value of `SEALED_FOR`."""
    return f"{org_id}/{subject_id}"


def is_trial(recorded: Recorded[Event]) -> bool:
    """Say whether a fact of a conversation belongs to a trial."""
    return recorded.stream_id.startswith("testing.trial-")
