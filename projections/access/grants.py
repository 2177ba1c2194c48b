"""The read table `grants`: which user has which role in which area."""

from collections.abc import Sequence
from typing import Final

from events.access.users import RoleGranted, RoleRevoked
from events.message import Event, Recorded
from events.roles import AREAS, ROLES
from projections.access.columns import (
    ADMINISTRATOR,
    OWN_ORGANISATION,
    SCHEMA,
    moment,
    one_of,
    text,
    uuid,
)
from projections.projection import Index, Projection, Reference, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="grants",
    version=1,
    note="Roles that users have in areas: one's own, and for administrators all",
    columns=(
        uuid("user_id", "User who has the role"),
        text("area", "Area in which it holds", check=one_of("area", AREAS)),
        text("role", "Role", check=one_of("role", ROLES)),
        text("org_id", "Organization identifier"),
        text("region_name", "Deployment region"),
        moment("granted_at", "When it was granted"),
        text("granted_by_user_id", "User who granted it"),
    ),
    key=("user_id", "area", "role"),
    rows=(
        f"{OWN_ORGANISATION} AND "
        f"(user_id::text = access.current_actor_id() OR {ADMINISTRATOR})"
    ),
    indexes=(
        Index(columns=("org_id", "area", "role")),
        Index(columns=("org_id", "granted_at")),
    ),
    references=(Reference(column="user_id", table="access.users", target="id"),),
    everyone=True,
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each grant into a row, until it is revoked."""
    for recorded in batch:
        match recorded.event:
            case RoleGranted() as event:
                rows.insert(
                    event.user_id,
                    event.area,
                    event.role,
                    recorded.org_id,
                    recorded.region,
                    recorded.recorded_at,
                    recorded.actor_id,
                )
            case RoleRevoked() as event:
                rows.remove((event.user_id, event.area, event.role))


PROJECTION: Final = Projection(
    table=TABLE, events=(RoleGranted, RoleRevoked), project=project
)
