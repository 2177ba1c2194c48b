"""The read table `sql_logins`: for whom a login in PostgreSQL stands.

`access.login()` reads it, so it holds what row policies rest on where somebody asks
straight in SQL.
"""

from collections.abc import Sequence
from typing import Final

from events.access.sql_logins import SqlLoginGiven, SqlLoginTaken
from events.access.users import UserDeactivated, UserErased, UserReactivated
from events.message import Event, Recorded
from projections.access.columns import (
    ADMINISTRATOR,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
    flag,
    moment,
    text,
    uuid,
)
from projections.projection import Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="sql_logins",
    version=1,
    note="Logins in PostgreSQL that stand for users: one's own, for administrators all",
    columns=(
        uuid("id", "Login identifier"),
        text("login", "Name of the login"),
        uuid("user_id", "User for whom it stands, or stood"),
        flag("is_active", "Whether that user may sign in"),
        moment("taken_at", "When it was taken from the user", nullable=True),
        text("taken_reason", "Why it was taken", nullable=True),
        text("given_by_user_id", "Who gave it"),
        *CREATED,
    ),
    key=("id",),
    rows=(
        f"{OWN_ORGANISATION} AND "
        f"(user_id::text = access.current_actor_id() OR {ADMINISTRATOR})"
    ),
    indexes=(
        Index(columns=("login",)),
        Index(columns=("user_id",)),
        Index(columns=("org_id", "created_at")),
    ),
    everyone=True,
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of logins, and of their users, into rows."""
    for recorded in batch:
        at = recorded.recorded_at
        match recorded.event:
            case SqlLoginGiven() as event:
                rows.remove((event.login_id,))
                rows.insert(
                    event.login_id,
                    event.login,
                    event.user_id,
                    True,
                    None,
                    None,
                    recorded.actor_id,
                    *created(recorded),
                )
            case SqlLoginTaken() as event:
                rows.patch(
                    (event.login_id,),
                    taken_at=at,
                    taken_reason=event.reason,
                    updated_at=at,
                )
            case UserDeactivated() | UserErased() | UserReactivated() as event:
                active = isinstance(event, UserReactivated)
                rows.patch_where(
                    "user_id", event.user_id, is_active=active, updated_at=at
                )


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        *(SqlLoginGiven, SqlLoginTaken),
        *(UserDeactivated, UserErased, UserReactivated),
    ),
    project=project,
)
