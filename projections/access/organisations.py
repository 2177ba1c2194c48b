"""The read table `organisations`: organisations that keep accounts, one row each."""

from collections.abc import Sequence
from typing import Final, get_args

from events.access.organisations import (
    OrganisationChanged,
    OrganisationCreated,
    Registration,
)
from events.message import Event, Recorded
from projections.access.columns import (
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
    jsonb,
    one_of,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="organisations",
    version=1,
    note="Organisations that keep accounts",
    columns=(
        uuid("id", "Organisation identifier"),
        text("name", "Organisation name"),
        text(
            "registration",
            "Whether whoever reads an address may register",
            check=one_of("registration", get_args(Registration)),
        ),
        Column(
            name="default_grants",
            type="jsonb",
            nullable=False,
            note="Roles of who registers: a list of area and role",
        ),
        *CREATED,
    ),
    key=("id",),
    rows=OWN_ORGANISATION,
    indexes=(Index(columns=("org_id",), unique=True),),
    everyone=True,
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of organisations into their rows."""
    for recorded in batch:
        match recorded.event:
            case OrganisationCreated() as event:
                rows.insert(
                    event.organisation_id,
                    event.name,
                    event.registration,
                    jsonb(event.default_grants),
                    *created(recorded),
                )
            case OrganisationChanged() as event:
                rows.patch(
                    (event.organisation_id,),
                    name=event.name,
                    registration=event.registration,
                    default_grants=jsonb(event.default_grants),
                    updated_at=recorded.recorded_at,
                )


PROJECTION: Final = Projection(
    table=TABLE, events=(OrganisationCreated, OrganisationChanged), project=project
)
