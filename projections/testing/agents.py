"""The read table `agents`: the agents under test, which unit tests call services."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.agents import (
    AgentConfigured,
    AgentRegistered,
    AgentRetired,
    VersionSetAssigned,
)
from projections.projection import Column, Projection, Rows, Table
from projections.testing.columns import (
    AUTHORED,
    BY_CREATION,
    BY_NAME,
    BY_TAGS,
    EXTERNAL_ID,
    OWN_ORGANISATION,
    SCHEMA,
    TAGS,
    authored,
    flag,
    identifier,
    jsonb,
    key,
    moment,
    text,
    updated,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="agents",
    version=1,
    note="Agents under test, with the versions that their version sets name",
    columns=(
        identifier("Agent identifier, the service_id of unit tests"),
        text("name", "Agent name"),
        text("description", "Agent description"),
        Column(
            name="latest_version",
            type="integer",
            note="Number of the latest configuration",
        ),
        text(
            "latest_version_kind",
            "How the latest configuration reaches it, such as http or recorded",
            nullable=True,
        ),
        TAGS,
        EXTERNAL_ID,
        *AUTHORED,
        flag("is_retired", "Whether it may no longer be tested"),
        moment("retired_at", "Retirement timestamp", nullable=True),
        text("retired_by_user_id", "User who retired it", nullable=True),
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(BY_CREATION, BY_TAGS, BY_NAME),
    view="""
        SELECT
            t.*,
            (
                SELECT coalesce(
                    jsonb_object_agg(s.name, s.version ORDER BY s.name),
                    jsonb_build_object()
                )
                FROM testing.agent_version_sets AS s
                WHERE s.agent_id = t._id
            ) AS version_sets
        FROM {table} AS t
    """,
    view_columns=(
        Column(
            name="version_sets",
            type="jsonb",
            note="The version that each version set names: a map from name to number",
        ),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of agents into their rows."""
    for recorded in batch:
        match recorded.event:
            case AgentRegistered() as event:
                rows.insert(
                    str(event.agent_id),
                    event.name,
                    event.description,
                    None,
                    None,
                    jsonb(event.tags),
                    event.external_id,
                    *authored(recorded),
                    False,
                    None,
                    None,
                )
            case AgentConfigured() as event:
                rows.patch(
                    key(event.agent_id),
                    latest_version=event.version,
                    latest_version_kind=event.connection.kind,
                    **updated(recorded),
                )
            case VersionSetAssigned() as event:
                rows.patch(key(event.agent_id), **updated(recorded))
            case AgentRetired() as event:
                rows.patch(
                    key(event.agent_id),
                    is_retired=True,
                    retired_at=recorded.recorded_at,
                    retired_by_user_id=recorded.actor_id,
                    **updated(recorded),
                )


PROJECTION: Final = Projection(
    table=TABLE,
    events=(AgentRegistered, AgentConfigured, VersionSetAssigned, AgentRetired),
    project=project,
)
