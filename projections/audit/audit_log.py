"""The read table `audit_log`: who did what to what, and how it was before.

One row for each command of a person or a service that made a fact, over all contexts;
what the system did on its own is not here. A command's facts are recorded at one
moment, so its id and that moment are the key, and its first fact, however the log is
cut into pages, makes the row. The first fact is of the stream that the command is for.

What was changed is looked up in `facts`: each field that the command's facts state, as
they state it last, where the last earlier fact about the same part of the same resource
states otherwise. Only administrators, who see every earlier fact, are shown what was
before.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from events.catalogue import EVENTS
from events.message import SEALED, Event, Recorded
from events.people import person_id
from projections.audit.columns import (
    ACTION,
    ACTOR,
    ADMINISTRATOR,
    CREATED_AT,
    ON_BEHALF_OF,
    OWN_ACTS,
    RESOURCE_ID,
    RESOURCE_TYPE,
    SCHEMA,
    action_of,
    address,
    is_of_the_system,
    position,
    resource_of,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Rows, Table


USER: Final = "user:"

ITS_FACTS: Final = """
    FROM audit.facts AS f
    WHERE f.command_id = t.command_id
      AND f.org_id = t.org_id
      AND f.created_at = t.created_at
"""
SAME_PART: Final = """
    e.resource_type = f.resource_type
    AND e.resource_id = f.resource_id
    AND e.org_id = f.org_id
    AND e.part IS NOT DISTINCT FROM f.part
"""
FIELDS: Final = f"""
    SELECT DISTINCT ON (f.resource_type, f.resource_id, f.part, f.name)
        f.*,
        CASE
            WHEN f.resource_type = t.resource_type
             AND f.resource_id IS NOT DISTINCT FROM t.resource_id
            THEN f.part
            ELSE concat_ws(' ', f.resource_type, f.resource_id, f.part)
        END AS place
    FROM (
        SELECT f.*, field.key AS name, field.value
        FROM (SELECT f.* {ITS_FACTS}) AS f, jsonb_each(f.stated) AS field
        UNION ALL
        SELECT f.*, field.key AS name, NULL AS value
        FROM (SELECT f.* {ITS_FACTS} AND f.ends) AS f
        JOIN audit.facts AS e ON {SAME_PART} AND e.position < f.position,
            jsonb_object_keys(e.stated) AS field (key)
    ) AS f
    ORDER BY
        f.resource_type, f.resource_id, f.part, f.name,
        f.position DESC, f.value IS NULL
"""  # noqa: S608 - names of our own
CHANGED: Final = f"""
    SELECT f.place, f.name, f.value, earlier.value AS before
    FROM ({FIELDS}) AS f
    LEFT JOIN LATERAL (
        SELECT e.stated -> f.name AS value
        FROM audit.facts AS e
        WHERE {SAME_PART}
          AND e.position < t.position
          AND (e.stated ? f.name OR e.ends)
        ORDER BY e.position DESC
        LIMIT 1
    ) AS earlier ON true
    WHERE f.value = '"{SEALED}"'
       OR f.value IS DISTINCT FROM earlier.value
"""  # noqa: S608 - names of our own


def _object(fields: str, value: str) -> str:
    """Return the subquery of an object of values, those of other places in objects."""
    return f"""(
        SELECT jsonb_object_agg(told.name, told.value)
        FROM (
            SELECT f.name, f.{value} AS value
            FROM ({fields}) AS f
            WHERE f.place IS NULL
              AND f.{value} IS NOT NULL
            UNION ALL
            SELECT f.place, jsonb_object_agg(f.name, f.{value})
            FROM ({fields}) AS f
            WHERE f.place IS NOT NULL
              AND f.{value} IS NOT NULL
            GROUP BY f.place
        ) AS told
    )"""  # noqa: S608 - names of our own


TABLE: Final = Table(
    schema=SCHEMA,
    name="audit_log",
    version=2,
    note="Who did what to what: what one did, or a service for one; for administrators"
    " everything",
    columns=(
        position("Position of the act's first fact in the log"),
        uuid("id", "Identifier of the act's first fact"),
        uuid("command_id", "Command that was asked for"),
        uuid("correlation_id", "What the command was part of"),
        ACTOR,
        ON_BEHALF_OF,
        uuid("user_id", "User who asked; null for a service", nullable=True),
        ACTION,
        RESOURCE_TYPE,
        RESOURCE_ID,
        Column(name="ip_address", type="inet", note="Network address of who asked"),
        text("org_id", "Organization identifier"),
        text("region_name", "Deployment region"),
        CREATED_AT,
    ),
    key=("org_id", "command_id", "created_at"),
    rows=OWN_ACTS,
    indexes=(
        Index(columns=("position",), unique=True),
        Index(columns=("org_id", "position")),
        Index(columns=("user_id", "position")),
        Index(columns=("on_behalf_of", "position")),
        Index(columns=("resource_type", "resource_id", "position")),
        Index(columns=("org_id", "created_at")),
        Index(columns=("command_id",)),
    ),
    view=f"""
SELECT
    t.*,
    CASE
        WHEN (SELECT {ADMINISTRATOR})
        THEN {_object(CHANGED, "before")}
    END AS old_values,
    CASE
        WHEN (SELECT {ADMINISTRATOR})
        THEN {_object(CHANGED, "value")}
        ELSE {_object(FIELDS, "value")}
    END AS new_values,
    (
        SELECT jsonb_agg(
            jsonb_build_object(
                'position', f.position,
                'action', f.action,
                'resource_type', f.resource_type,
                'resource_id', f.resource_id,
                'part', f.part
            )
            ORDER BY f.position
        )
        {ITS_FACTS}
    ) AS facts
FROM {{table}} AS t
""",  # noqa: S608 - names of our own
    view_columns=(
        Column(
            name="old_values",
            type="jsonb",
            note="What was changed, as it was before; shown to administrators",
        ),
        Column(
            name="new_values",
            type="jsonb",
            note="What was changed, as it is now; not here: taken away. Parts of the"
            " resource, and other resources, are objects under their names",
        ),
        Column(
            name="facts",
            type="jsonb",
            note="What it came to, in order: position, action, resource_type,"
            " resource_id, part",
        ),
    ),
    view_key=("position",),
    everyone=True,
    also=("playgrounds",),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the first fact of each command of a person or a service into a row."""
    for recorded in batch:
        if is_of_the_system(recorded):
            continue
        kind, resource_id = resource_of(recorded)
        rows.insert_new(
            recorded.position,
            recorded.event_id,
            recorded.command_id,
            recorded.correlation_id,
            recorded.actor,
            recorded.on_behalf_of,
            _user(recorded),
            action_of(recorded.event),
            kind,
            resource_id,
            address(recorded.ip),
            recorded.org_id,
            recorded.region,
            recorded.recorded_at,
        )


def _user(recorded: Recorded[Event]) -> UUID | None:
    if not recorded.actor.startswith(USER):
        return None
    return person_id(recorded.org_id, recorded.actor_id)


PROJECTION: Final = Projection(
    table=TABLE, events=tuple(EVENTS.values()), project=project
)
