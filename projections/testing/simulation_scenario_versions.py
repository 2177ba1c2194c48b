"""The read table `simulation_scenario_versions`: every version, never changed."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.scenarios import ScenarioVersionAdded
from projections.projection import Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    BY_CREATION,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
    identifier,
    integer,
    json,
    jsonb,
    text,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulation_scenario_versions",
    version=1,
    note="Version history for simulation scenarios",
    columns=(
        identifier("Version identifier"),
        text("simulation_scenario_id", "Parent scenario ID"),
        integer("version", "Version number, from 1", check="version >= 1"),
        text("objective", "Scenario objective"),
        text("instructions", "Scenario instructions"),
        json(
            "initial_message_config",
            "Initial message configuration: kind, text, starts_at",
        ),
        *CREATED,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("simulation_scenario_id", "version"), unique=True),
        BY_CREATION,
    ),
    references=(
        Reference(
            column="simulation_scenario_id", table="testing.simulation_scenarios"
        ),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each version added into its row."""
    for recorded in batch:
        match recorded.event:
            case ScenarioVersionAdded() as event:
                rows.insert(
                    str(event.version_id),
                    str(event.scenario_id),
                    event.version,
                    event.objective,
                    event.instructions,
                    jsonb(event.initial_message),
                    *created(recorded),
                )


PROJECTION: Final = Projection(
    table=TABLE, events=(ScenarioVersionAdded,), project=project
)
