"""The read table `simulation_personas`: one row per persona, its newest version."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.personas import (
    PersonaCreated,
    PersonaDeleted,
    PersonaDetailsChanged,
    PersonaVersionAdded,
)
from projections.projection import Column, Projection, Rows, Table
from projections.testing.columns import (
    BY_CREATION,
    BY_NAME,
    BY_TAGS,
    DELETABLE,
    EXTERNAL_ID,
    OWN_ORGANISATION,
    SCHEMA,
    TAGS,
    deletable,
    deleted,
    identifier,
    jsonb,
    key,
    text,
    updated,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulation_personas",
    version=1,
    note="Simulated user personas for testing",
    columns=(
        identifier("Persona identifier"),
        text("name", "Persona name"),
        text("role", "Persona role"),
        text("latest_version_background", "Latest persona background", nullable=True),
        Column(
            name="latest_version",
            type="integer",
            note="Number of the latest version",
        ),
        TAGS,
        EXTERNAL_ID,
        *DELETABLE,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(BY_CREATION, BY_TAGS, BY_NAME),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of personas into their rows."""
    for recorded in batch:
        match recorded.event:
            case PersonaCreated() as event:
                rows.insert(
                    str(event.persona_id),
                    event.name,
                    event.role,
                    None,
                    None,
                    jsonb(event.tags),
                    event.external_id,
                    *deletable(recorded),
                )
            case PersonaDetailsChanged() as event:
                rows.patch(
                    key(event.persona_id),
                    name=event.name,
                    role=event.role,
                    tags=jsonb(event.tags),
                    **updated(recorded),
                )
            case PersonaVersionAdded() as event:
                rows.patch(
                    key(event.persona_id),
                    latest_version=event.version,
                    latest_version_background=event.background,
                    **updated(recorded),
                )
            case PersonaDeleted() as event:
                rows.patch(key(event.persona_id), **deleted(recorded))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        PersonaCreated,
        PersonaDetailsChanged,
        PersonaVersionAdded,
        PersonaDeleted,
    ),
    project=project,
)
