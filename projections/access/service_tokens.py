"""The read table `service_tokens`: which programs may do what, and for how long."""

from collections.abc import Sequence
from typing import Final

from events.access.service_tokens import ServiceTokenIssued, ServiceTokenRevoked
from events.message import Event, Recorded
from projections.access.columns import (
    ADMINISTRATOR,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
    jsonb,
    moment,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="service_tokens",
    version=1,
    note="Tokens of services, without their secrets; administrators see them",
    columns=(
        uuid("id", "Token identifier"),
        text("service", "Service that bears it; its actor is service:NAME"),
        Column(
            name="grants",
            type="jsonb",
            nullable=False,
            note="Roles of its bearer: a list of area and role",
        ),
        Column(
            name="scopes",
            type="jsonb",
            nullable=False,
            note="Scopes of its bearer: a list of names",
        ),
        moment("expires_at", "Until when it is good"),
        moment("revoked_at", "When it was revoked", nullable=True),
        text("revoked_reason", "Why it was revoked", nullable=True),
        text("issued_by_user_id", "Who issued it"),
        *CREATED,
    ),
    key=("id",),
    rows=f"{OWN_ORGANISATION} AND ({ADMINISTRATOR})",
    indexes=(
        Index(columns=("org_id", "service")),
        Index(columns=("org_id", "created_at")),
    ),
    everyone=True,
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of service tokens into their rows."""
    for recorded in batch:
        match recorded.event:
            case ServiceTokenIssued() as event:
                rows.insert(
                    event.token_id,
                    event.service,
                    jsonb(event.grants),
                    jsonb(event.scopes),
                    event.expires_at,
                    None,
                    None,
                    recorded.actor_id,
                    *created(recorded),
                )
            case ServiceTokenRevoked() as event:
                rows.patch(
                    (event.token_id,),
                    revoked_at=recorded.recorded_at,
                    revoked_reason=event.reason,
                    updated_at=recorded.recorded_at,
                )


PROJECTION: Final = Projection(
    table=TABLE, events=(ServiceTokenIssued, ServiceTokenRevoked), project=project
)
