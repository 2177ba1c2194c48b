"""The read table `simulation_persona_versions`: every version, never changed."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.personas import PersonaVersionAdded
from projections.projection import Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    BY_CREATION,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
    identifier,
    integer,
    text,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulation_persona_versions",
    version=1,
    note="Version history for simulation personas",
    columns=(
        identifier("Version identifier"),
        text("simulation_persona_id", "Parent persona ID"),
        integer("version", "Version number, from 1", check="version >= 1"),
        text("background", "Persona background"),
        text("preferred_language", "Preferred language"),
        text("timezone", "Persona timezone"),
        *CREATED,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("simulation_persona_id", "version"), unique=True),
        BY_CREATION,
    ),
    references=(
        Reference(column="simulation_persona_id", table="testing.simulation_personas"),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each version added into its row."""
    for recorded in batch:
        match recorded.event:
            case PersonaVersionAdded() as event:
                rows.insert(
                    str(event.version_id),
                    str(event.persona_id),
                    event.version,
                    event.background,
                    event.preferred_language,
                    event.timezone,
                    *created(recorded),
                )


PROJECTION: Final = Projection(
    table=TABLE, events=(PersonaVersionAdded,), project=project
)
