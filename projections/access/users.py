"""The read table `users`: everybody with an account, and what they show of themselves.

After an erasure a row shows nothing of its person any more.
"""

from collections.abc import Sequence
from typing import Final

from events.access.users import UserRegistered
from events.message import Event, Recorded
from projections import accounts
from projections.access.columns import (
    ADMINISTRATOR,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
)
from projections.projection import Index, Projection, Rows, Table


OWN: Final = f"id::text = access.current_actor_id() OR {ADMINISTRATOR}"

TABLE: Final = Table(
    schema=SCHEMA,
    name="users",
    version=2,
    note="Accounts: one's own, and the public profiles of the organisation",
    columns=(*accounts.columns(OWN), *CREATED),
    key=("id",),
    rows=f"{OWN_ORGANISATION} AND (profile_public OR {OWN})",
    indexes=(*accounts.INDEXES, Index(columns=("org_id", "created_at"))),
    everyone=True,
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of users into their rows."""
    for recorded in batch:
        match recorded.event:
            case UserRegistered() as event:
                rows.insert(
                    *accounts.registered(recorded.org_id, event), *created(recorded)
                )
            case _:
                accounts.follow(recorded, rows)


PROJECTION: Final = Projection(table=TABLE, events=accounts.EVENTS, project=project)
