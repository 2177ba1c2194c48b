"""The read table `facts`: what each act came to, fact by fact.

One row for each fact that a command of a person or a service made, over all contexts.
What the system did on its own, the bookkeeping that came with a fact and the lines of a
trial, which its verdict stands for, are not here.
"""

from collections.abc import Sequence
from typing import Final

from events.catalogue import EVENTS
from events.message import Event, Recorded
from projections.audit.columns import (
    ACTION,
    ACTOR,
    CREATED_AT,
    ON_BEHALF_OF,
    OWN_ACTS,
    RESOURCE_ID,
    RESOURCE_TYPE,
    SCHEMA,
    action_of,
    ends,
    is_told,
    part_of,
    position,
    resource_of,
    stated,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="facts",
    version=1,
    note="What acts came to, fact by fact; for administrators everybody's",
    columns=(
        position("Position of the fact in the log"),
        uuid("id", "Identifier of the fact"),
        uuid("command_id", "Command of the act"),
        ACTOR,
        ON_BEHALF_OF,
        ACTION,
        RESOURCE_TYPE,
        RESOURCE_ID,
        text("part", "Part of the resource, as field=value", nullable=True),
        Column(
            name="stated",
            type="jsonb",
            nullable=False,
            note="What the fact states; personal text and secrets left out",
        ),
        Column(
            name="ends",
            type="boolean",
            nullable=False,
            note="Whether nothing that was stated about the part holds any more",
        ),
        text("org_id", "Organization identifier"),
        CREATED_AT,
    ),
    key=("position",),
    rows=OWN_ACTS,
    indexes=(
        Index(columns=("org_id", "position")),
        Index(columns=("command_id", "position")),
        Index(columns=("resource_type", "resource_id", "position")),
    ),
    everyone=True,
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each fact of a person or a service into a row."""
    for recorded in batch:
        if not is_told(recorded):
            continue
        kind, resource_id = resource_of(recorded)
        event = recorded.event
        rows.insert(
            recorded.position,
            recorded.event_id,
            recorded.command_id,
            recorded.actor,
            recorded.on_behalf_of,
            action_of(event),
            kind,
            resource_id,
            part_of(event),
            stated(event, resource_id),
            ends(event),
            recorded.org_id,
            recorded.recorded_at,
        )


PROJECTION: Final = Projection(
    table=TABLE, events=tuple(EVENTS.values()), project=project
)
