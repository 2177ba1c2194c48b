"""The read table `users`: those who hold a role in playgrounds.

The table holds everybody with an account, because a role may be granted later; it shows
those who hold a role now. A user is seen by themselves, by administrators, by owners of
a playground that they evaluated in, and with a public profile by all.
"""

from collections.abc import Sequence
from typing import Final

from events.access.users import RoleGranted, RoleRevoked, UserRegistered
from events.message import Event, Recorded
from events.roles import ROLES, Role
from projections import accounts
from projections.playgrounds.columns import (
    BY_CREATION,
    CREATED_AT,
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    UPDATED_AT,
    flag,
    organisation,
)
from projections.projection import Column, Index, Projection, Rows, Table


OWN: Final = (
    "id::text = access.current_actor_id() OR access.has_role('playgrounds', 'admin')"
)
HOLDS: Final[dict[Role, str]] = {role: f"is_{role}" for role in ROLES}
HOLDER: Final = " OR ".join(HOLDS.values())

TABLE: Final = Table(
    schema=SCHEMA,
    name="users",
    version=2,
    note="Who holds a role in playgrounds: oneself, public profiles, one's testers",
    columns=(
        *accounts.columns(OWN),
        *(flag(name, f"Whether they are {role} here") for role, name in HOLDS.items()),
        *ORGANISATION,
        CREATED_AT,
        UPDATED_AT,
    ),
    key=("id",),
    rows=(
        f"{OWN_ORGANISATION} AND ({HOLDER})"
        f" AND (profile_public OR {OWN}"
        " OR id = ANY (access.evaluating_users()::uuid[]))"
    ),
    indexes=(*accounts.INDEXES, BY_CREATION, Index(columns=("org_id", "is_admin"))),
    view="""
        SELECT
            t.*,
            CASE
                WHEN t.is_admin
                THEN 'admin'
                ELSE 'tester'
            END AS role
        FROM {table} AS t
    """,
    view_columns=(
        Column(
            name="role",
            type="text",
            note="admin for administrators of playgrounds, tester for all others",
        ),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of users, and of their roles here, into their rows."""
    for recorded in batch:
        match recorded.event:
            case UserRegistered() as event:
                rows.insert(
                    *accounts.registered(recorded.org_id, event),
                    *(False for _ in HOLDS),
                    *organisation(recorded),
                    recorded.recorded_at,
                    recorded.recorded_at,
                )
            case (
                RoleGranted(area="playgrounds")
                | RoleRevoked(area="playgrounds") as event
            ):
                held = isinstance(event, RoleGranted)
                rows.patch(
                    (event.user_id,),
                    updated_at=recorded.recorded_at,
                    **{HOLDS[event.role]: held},
                )
            case _:
                accounts.follow(recorded, rows)


PROJECTION: Final = Projection(
    table=TABLE,
    events=(*accounts.EVENTS, RoleGranted, RoleRevoked),
    project=project,
)
