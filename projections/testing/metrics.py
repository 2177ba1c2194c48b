"""The read table `metrics`: what can be measured, each with its newest definition."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.metrics import MetricCreated, MetricDeleted, MetricVersionAdded
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
    json,
    jsonb,
    key,
    text,
    updated,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="metrics",
    version=1,
    note="Metrics that unit tests judge conversations by",
    columns=(
        identifier("Metric identifier"),
        text("name", "Metric name"),
        text(
            "value_type",
            "Type of its values: boolean, numeric or categorical",
            check="value_type IN ('boolean', 'numeric', 'categorical')",
        ),
        Column(
            name="minimum",
            type="double precision",
            note="Least value of a numeric metric",
        ),
        Column(
            name="maximum",
            type="double precision",
            note="Greatest value of a numeric metric",
        ),
        json("categories", "Values of a categorical metric, in its order"),
        Column(
            name="latest_version",
            type="integer",
            note="Number of the latest version",
        ),
        Column(
            name="latest_version_definition",
            type="jsonb",
            note="How the latest version measures: type and its settings",
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
    """Turn the facts of metrics into their rows."""
    for recorded in batch:
        match recorded.event:
            case MetricCreated() as event:
                rows.insert(
                    str(event.metric_id),
                    event.name,
                    event.value_type,
                    event.minimum,
                    event.maximum,
                    jsonb(event.categories),
                    None,
                    None,
                    jsonb(event.tags),
                    event.external_id,
                    *deletable(recorded),
                )
            case MetricVersionAdded() as event:
                rows.patch(
                    key(event.metric_id),
                    latest_version=event.version,
                    latest_version_definition=jsonb(event.definition),
                    **updated(recorded),
                )
            case MetricDeleted() as event:
                rows.patch(key(event.metric_id), **deleted(recorded))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(MetricCreated, MetricVersionAdded, MetricDeleted),
    project=project,
)
