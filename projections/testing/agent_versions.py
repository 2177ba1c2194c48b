"""The read table `agent_versions`: every configuration of an agent, never changed."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.agents import AgentConfigured
from projections.projection import Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    ADMINISTRATORS,
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
    name="agent_versions",
    version=1,
    note="Version history for agents under test",
    columns=(
        identifier("Version identifier"),
        text("agent_id", "Parent agent ID"),
        integer("version", "Version number, from 1", check="version >= 1"),
        text("kind", "How the agent is reached, such as http or recorded"),
        text("endpoint", "Address of the agent, if it has one", nullable=True),
        text(
            "secret_ref",
            "Name of the secret that the connection uses; administrators see it",
            nullable=True,
            visible=ADMINISTRATORS,
        ),
        json(
            "settings",
            "The connection's own settings; administrators see them",
            visible=ADMINISTRATORS,
        ),
        *CREATED,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("agent_id", "version"), unique=True),
        BY_CREATION,
    ),
    references=(Reference(column="agent_id", table="testing.agents"),),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each configuration into its row."""
    for recorded in batch:
        match recorded.event:
            case AgentConfigured() as event:
                rows.insert(
                    str(event.version_id),
                    str(event.agent_id),
                    event.version,
                    event.connection.kind,
                    event.connection.endpoint,
                    event.connection.secret_ref,
                    jsonb(event.connection.settings),
                    *created(recorded),
                )


PROJECTION: Final = Projection(table=TABLE, events=(AgentConfigured,), project=project)
