"""What the read tables of the access context share: columns, values, the row policy.

A user sees their own rows and those of the organisation that are public; its
administrators of this area see all of them.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from events.message import Event, Recorded
from projections.ddl import literal
from projections.projection import Column, Value


SCHEMA: Final = "access"
OWN_ORGANISATION: Final = "org_id = access.current_org()"
ADMINISTRATOR: Final = "access.has_role('access', 'admin')"

_encoder: Final = msgspec.json.Encoder()


def uuid(name: str, note: str) -> Column:
    """Return a column of identifiers."""
    return Column(name=name, type="uuid", nullable=False, note=note)


def text(
    name: str,
    note: str,
    *,
    size: int | None = None,
    nullable: bool = False,
    check: str | None = None,
    visible: str | None = None,
) -> Column:
    """Return a text column, of a size where one is promised."""
    return Column(
        name=name,
        type="text" if size is None else f"varchar({size})",
        note=note,
        nullable=nullable,
        check=check,
        visible=visible,
    )


def moment(
    name: str, note: str, *, nullable: bool = False, visible: str | None = None
) -> Column:
    """Return a column of moments."""
    return Column(
        name=name, type="timestamptz", note=note, nullable=nullable, visible=visible
    )


def flag(name: str, note: str, *, visible: str | None = None) -> Column:
    """Return a boolean column."""
    return Column(name=name, type="boolean", note=note, nullable=False, visible=visible)


CREATED: Final = (
    text("org_id", "Organization identifier"),
    text("region_name", "Deployment region"),
    moment("created_at", "Creation timestamp"),
    moment("updated_at", "Last update timestamp"),
)


def created(recorded: Recorded[Event]) -> tuple[Value, ...]:
    """Return the values of `CREATED` that a first fact gives."""
    return (
        recorded.org_id,
        recorded.region,
        recorded.recorded_at,
        recorded.recorded_at,
    )


def one_of(name: str, values: Sequence[str]) -> str:
    """Return the check that a column holds one of some texts."""
    return f"{name} IN ({', '.join(map(literal, values))})"


def jsonb(value: Value) -> str:
    """Return the JSON text of a value for a jsonb column."""
    return _encoder.encode(value).decode()
