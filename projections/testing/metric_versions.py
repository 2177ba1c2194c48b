"""The read table `metric_versions`: every definition of a metric, never changed."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.metrics import MetricVersionAdded
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
    name="metric_versions",
    version=1,
    note="Version history for metrics",
    columns=(
        identifier("Version identifier"),
        text("metric_id", "Parent metric ID"),
        integer("version", "Version number, from 1", check="version >= 1"),
        text("kind", "Kind of measurement, such as text_match or assertion"),
        json("definition", "How it measures: type and its settings"),
        *CREATED,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("metric_id", "version"), unique=True),
        BY_CREATION,
    ),
    references=(Reference(column="metric_id", table="testing.metrics"),),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each version added into its row."""
    for recorded in batch:
        match recorded.event:
            case MetricVersionAdded() as event:
                rows.insert(
                    str(event.version_id),
                    str(event.metric_id),
                    event.version,
                    event.definition.__struct_config__.tag,
                    jsonb(event.definition),
                    *created(recorded),
                )


PROJECTION: Final = Projection(
    table=TABLE, events=(MetricVersionAdded,), project=project
)
