"""The read table `simulation_scenarios`: one row per scenario, its newest version."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.scenarios import (
    ScenarioCreated,
    ScenarioDeleted,
    ScenarioDetailsChanged,
    ScenarioVersionAdded,
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
    name="simulation_scenarios",
    version=1,
    note="Test scenario configurations",
    columns=(
        identifier("Scenario identifier"),
        text("name", "Scenario name"),
        text("latest_version_objective", "Latest objective", nullable=True),
        text("latest_version_instructions", "Latest instructions", nullable=True),
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
    """Turn the facts of scenarios into their rows."""
    for recorded in batch:
        match recorded.event:
            case ScenarioCreated() as event:
                rows.insert(
                    str(event.scenario_id),
                    event.name,
                    None,
                    None,
                    None,
                    jsonb(event.tags),
                    event.external_id,
                    *deletable(recorded),
                )
            case ScenarioDetailsChanged() as event:
                rows.patch(
                    key(event.scenario_id),
                    name=event.name,
                    tags=jsonb(event.tags),
                    **updated(recorded),
                )
            case ScenarioVersionAdded() as event:
                rows.patch(
                    key(event.scenario_id),
                    latest_version=event.version,
                    latest_version_objective=event.objective,
                    latest_version_instructions=event.instructions,
                    **updated(recorded),
                )
            case ScenarioDeleted() as event:
                rows.patch(key(event.scenario_id), **deleted(recorded))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        ScenarioCreated,
        ScenarioDetailsChanged,
        ScenarioVersionAdded,
        ScenarioDeleted,
    ),
    project=project,
)
