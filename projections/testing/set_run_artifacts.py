"""The read table `set_run_artifacts`: the files about a run, kept among the blobs."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.set_runs import ArtifactGenerated
from projections.projection import Column, Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    BY_CREATION,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
    text,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="set_run_artifacts",
    version=1,
    note="Files generated about runs of sets",
    columns=(
        text("run_id", "Run that the file is about"),
        text("artifact_id", "Artifact identifier"),
        text("name", "File name"),
        text("media_type", "Media type, such as application/json"),
        text("sha256", "Key of the content among the blobs, in hex"),
        Column(name="size", type="bigint", nullable=False, note="Size in bytes"),
        Column(
            name="position",
            type="bigint",
            nullable=False,
            note="Place of its fact in the log",
        ),
        *CREATED,
    ),
    key=("run_id", "artifact_id"),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("sha256",)),
        BY_CREATION,
    ),
    references=(
        Reference(column="run_id", table="testing.simulation_unit_test_set_runs"),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each artifact into its row."""
    for recorded in batch:
        match recorded.event:
            case ArtifactGenerated() as event:
                rows.insert(
                    str(event.run_id),
                    str(event.artifact_id),
                    event.name,
                    event.media_type,
                    event.sha256,
                    event.size,
                    recorded.position,
                    *created(recorded),
                )


PROJECTION: Final = Projection(
    table=TABLE, events=(ArtifactGenerated,), project=project
)
