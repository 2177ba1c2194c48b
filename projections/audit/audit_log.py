"""The read table `audit_log`: who did what to what, and how it was before.

One row for each fact that a command of a person or a service made, over all contexts;
the facts of one command share its `command_id`. What the system did on its own, and the
bookkeeping that came with a fact, are not here. The values before are those that the
last earlier row about the same part of the same resource states, which the view looks
up; only administrators, who see every earlier row, are shown them.
"""

from collections.abc import Sequence
from typing import Final, get_args
from uuid import UUID

from events import conversation, reservations
from events.access import addresses
from events.catalogue import EVENTS
from events.message import Event, Recorded
from events.people import person_id
from events.testing import references
from projections.audit.columns import (
    ADMINISTRATOR,
    OWN_ORGANISATION,
    SCHEMA,
    SEALED,
    action_of,
    address,
    part_of,
    resource_of,
    stated,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Rows, Table


SYSTEM: Final = "system:"
USER: Final = "user:"
TRIAL: Final = "testing.trial-"

BOOKKEEPING: Final = frozenset(
    {
        *get_args(reservations.ReservationFact),
        *get_args(references.ReferenceEvent),
        *get_args(addresses.AddressEvent),
    }
)
CONVERSATION: Final = frozenset(get_args(conversation.ConversationFact))


def _changed(values: str) -> str:
    """Return the subquery of an object of values, by the names of what changed."""
    return f"""(
        SELECT jsonb_object_agg(field.key, {values}) FILTER (WHERE {values} IS NOT NULL)
        FROM jsonb_each(t.stated) AS field
        LEFT JOIN LATERAL (
            SELECT e.stated -> field.key AS value
            FROM {{table}} AS e
            WHERE e.resource_type = t.resource_type
              AND e.resource_id = t.resource_id
              AND e.org_id = t.org_id
              AND e.part IS NOT DISTINCT FROM t.part
              AND e.position < t.position
              AND e.stated ? field.key
            ORDER BY e.position DESC
            LIMIT 1
        ) AS earlier ON true
        WHERE field.value = '"{SEALED}"'
           OR field.value IS DISTINCT FROM earlier.value
    )"""  # noqa: S608 - names of our own


TABLE: Final = Table(
    schema=SCHEMA,
    name="audit_log",
    version=1,
    note="Who did what to what: one's own acts, and for administrators everybody's",
    columns=(
        Column(
            name="position",
            type="bigint",
            nullable=False,
            note="Position of the fact in the log",
        ),
        uuid("id", "Identifier of the fact"),
        uuid("command_id", "Command that made the fact; several facts may share it"),
        uuid("correlation_id", "What the command was part of"),
        text("actor", "Who asked, as kind:id"),
        uuid("user_id", "User who asked; null for a service", nullable=True),
        Column(
            name="action",
            type="varchar(255)",
            nullable=False,
            note="Type of the fact; read, where personal text of others was read",
        ),
        Column(
            name="resource_type",
            type="varchar(100)",
            nullable=False,
            note="What it was done to: playground, persona, user, ...",
        ),
        uuid("resource_id", "Identifier of what it was done to", nullable=True),
        text("part", "Part of the resource, as field=value", nullable=True),
        Column(
            name="stated",
            type="jsonb",
            nullable=False,
            note="What the fact states; personal text and secrets left out",
        ),
        Column(name="ip_address", type="inet", note="Network address of who asked"),
        text("org_id", "Organization identifier"),
        text("region_name", "Deployment region"),
        Column(
            name="created_at",
            type="timestamptz",
            nullable=False,
            note="When it was recorded",
        ),
    ),
    key=("position",),
    rows=(
        f"{OWN_ORGANISATION} AND (actor = access.current_actor() OR {ADMINISTRATOR})"
    ),
    indexes=(
        Index(columns=("org_id", "position")),
        Index(columns=("user_id", "position")),
        Index(columns=("resource_type", "resource_id", "position")),
        Index(columns=("org_id", "created_at")),
        Index(columns=("command_id",)),
    ),
    view=f"""
SELECT
    t.*,
    CASE
        WHEN (SELECT {ADMINISTRATOR})
        THEN {_changed("earlier.value")}
    END AS old_values,
    CASE
        WHEN (SELECT {ADMINISTRATOR})
        THEN {_changed("field.value")}
        ELSE t.stated
    END AS new_values
FROM {{table}} AS t
""",  # noqa: S608 - names of our own
    view_columns=(
        Column(
            name="old_values",
            type="jsonb",
            note="What was changed, as it was before; shown to administrators",
        ),
        Column(name="new_values", type="jsonb", note="What was changed, as it is now"),
    ),
    everyone=True,
    also=("playgrounds",),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each fact of a person or a service into a row."""
    for recorded in batch:
        if recorded.actor.startswith(SYSTEM) or _is_beside(recorded):
            continue
        kind, resource_id = resource_of(recorded)
        event = recorded.event
        rows.insert(
            recorded.position,
            recorded.event_id,
            recorded.command_id,
            recorded.correlation_id,
            recorded.actor,
            _user(recorded),
            action_of(event),
            kind,
            resource_id,
            part_of(event),
            stated(event, resource_id),
            address(recorded.ip),
            recorded.org_id,
            recorded.region,
            recorded.recorded_at,
        )


def _is_beside(recorded: Recorded[Event]) -> bool:
    """Say whether a fact is bookkeeping, or a line of a trial, which is told whole."""
    kind = type(recorded.event)
    line = kind in CONVERSATION and recorded.stream_id.startswith(TRIAL)
    return line or kind in BOOKKEEPING


def _user(recorded: Recorded[Event]) -> UUID | None:
    if not recorded.actor.startswith(USER):
        return None
    return person_id(recorded.org_id, recorded.actor_id)


PROJECTION: Final = Projection(
    table=TABLE,
    events=tuple(kind for kind in EVENTS.values() if kind not in BOOKKEEPING),
    project=project,
)
