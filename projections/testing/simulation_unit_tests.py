"""The read table `simulation_unit_tests`: who plays what against whom, judged how."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.unit_tests import (
    UnitTestChanged,
    UnitTestCreated,
    UnitTestDeleted,
)
from projections.projection import Index, Projection, Reference, Rows, Table
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
    integer,
    json,
    jsonb,
    key,
    text,
    updated,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulation_unit_tests",
    version=2,
    note="Unit test configurations for conversation simulations",
    columns=(
        identifier("Unit test identifier"),
        text("name", "Test name"),
        text("description", "Test description"),
        text("persona_id", "Associated persona ID"),
        text("scenario_id", "Associated scenario ID"),
        text("service_id", "Associated service ID: the agent under test"),
        text("service_version_set_name", "Version set name"),
        integer("max_interactions", "Maximum interactions"),
        text(
            "on_limit",
            "What a trial that uses them up is: fail, or evaluate by the criteria",
            check="on_limit IN ('fail', 'evaluate')",
        ),
        json(
            "success_criterions",
            "Success criteria: metric_id, metric_version, operator, value of each",
        ),
        TAGS,
        EXTERNAL_ID,
        *DELETABLE,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("persona_id",)),
        Index(columns=("scenario_id",)),
        Index(columns=("service_id",)),
        BY_CREATION,
        BY_TAGS,
        BY_NAME,
    ),
    references=(
        Reference(column="persona_id", table="testing.simulation_personas"),
        Reference(column="scenario_id", table="testing.simulation_scenarios"),
        Reference(column="service_id", table="testing.agents"),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of unit tests into their rows."""
    for recorded in batch:
        match recorded.event:
            case UnitTestCreated() as event:
                rows.insert(
                    str(event.unit_test_id),
                    event.name,
                    event.description,
                    str(event.persona_id),
                    str(event.scenario_id),
                    str(event.service_id),
                    event.service_version_set_name,
                    event.max_interactions,
                    event.on_limit,
                    jsonb(event.success_criterions),
                    jsonb(event.tags),
                    event.external_id,
                    *deletable(recorded),
                )
            case UnitTestChanged() as event:
                rows.patch(
                    key(event.unit_test_id),
                    name=event.name,
                    description=event.description,
                    persona_id=str(event.persona_id),
                    scenario_id=str(event.scenario_id),
                    service_id=str(event.service_id),
                    service_version_set_name=event.service_version_set_name,
                    max_interactions=event.max_interactions,
                    on_limit=event.on_limit,
                    success_criterions=jsonb(event.success_criterions),
                    tags=jsonb(event.tags),
                    **updated(recorded),
                )
            case UnitTestDeleted() as event:
                rows.patch(key(event.unit_test_id), **deleted(recorded))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(UnitTestCreated, UnitTestChanged, UnitTestDeleted),
    project=project,
)
