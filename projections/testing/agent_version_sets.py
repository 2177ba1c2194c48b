"""The read table `agent_version_sets`: which version each named set points to now."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.agents import VersionSetAssigned
from projections.projection import Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    OWN_ORGANISATION,
    SCHEMA,
    integer,
    moment,
    text,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="agent_version_sets",
    version=1,
    note="Version sets of agents under test, such as release",
    columns=(
        text("agent_id", "Agent that the version set belongs to"),
        text("name", "Version set name"),
        integer("version", "Number of the version that it names now"),
        text("org_id", "Organization identifier"),
        text("region_name", "Deployment region"),
        moment("assigned_at", "When it came to name this version"),
        text("assigned_by_user_id", "User who assigned this version"),
    ),
    key=("agent_id", "name"),
    rows=OWN_ORGANISATION,
    indexes=(Index(columns=("org_id", "assigned_at")),),
    references=(Reference(column="agent_id", table="testing.agents"),),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each assignment into the row of its version set."""
    for recorded in batch:
        match recorded.event:
            case VersionSetAssigned() as event:
                agent_id = str(event.agent_id)
                rows.remove((agent_id, event.name))
                rows.insert(
                    agent_id,
                    event.name,
                    event.version,
                    recorded.org_id,
                    recorded.region,
                    recorded.recorded_at,
                    recorded.actor_id,
                )


PROJECTION: Final = Projection(
    table=TABLE, events=(VersionSetAssigned,), project=project
)
