"""What follows from the facts of people: sessions end, and addresses are kept in mind.

Who loses a role or an address keeps the session, and has to refresh the token.

Addresses are those in lists of playgrounds, so that an erasure finds them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from events.access.users import (
    EmailChanged,
    RoleRevoked,
    UserDeactivated,
    UserErased,
)
from events.ids import UserId
from events.message import Recorded
from events.playgrounds.playgrounds import TesterListed
from services.reactions import Reaction, Reactions, job


END_SESSIONS: Final = "end_sessions"
LIST_ADDRESS: Final = "list_address"
LISTING_ATTEMPTS: Final = 100  # an address that is not kept in mind would stay


Why = Literal["deactivated", "erased", "changed"]


class EndSessionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job that ends what sessions a user has begun until a moment.

    Of who has only `changed` they go on, but with other access tokens.
    """

    user_id: UserId
    why: Why
    until: datetime


def on_deactivated(recorded: Recorded[UserDeactivated]) -> Sequence[Reaction]:
    """Ask that a deactivated user's sessions end."""
    return (ask(recorded, "deactivated"),)


def on_erased(recorded: Recorded[UserErased]) -> Sequence[Reaction]:
    """Ask that what is kept of an erased user's sessions and password goes."""
    return (ask(recorded, "erased"),)


def on_changed(
    recorded: Recorded[RoleRevoked] | Recorded[EmailChanged],
) -> Sequence[Reaction]:
    """Ask that tokens are believed no more which tell of a role or address that was."""
    return (ask(recorded, "changed"),)


def on_listed(recorded: Recorded[TesterListed]) -> Sequence[Reaction]:
    """Ask that it is kept in mind where a tester's address is written."""
    place = f"{recorded.stream_id}/{recorded.event.number}"
    asked = job(
        recorded, LIST_ADDRESS, body={}, key=place, max_attempts=LISTING_ATTEMPTS
    )
    return (asked,)


def ask(
    recorded: Recorded[UserDeactivated]
    | Recorded[UserErased]
    | Recorded[RoleRevoked]
    | Recorded[EmailChanged],
    why: Why,
) -> Reaction:
    """Return the job that ends sessions."""
    body = EndSessionsBody(
        user_id=recorded.event.user_id, why=why, until=recorded.recorded_at
    )
    return job(recorded, END_SESSIONS, body=msgspec.to_builtins(body))


REACTIONS: Final[Reactions] = {
    UserDeactivated: (on_deactivated,),
    UserErased: (on_erased,),
    RoleRevoked: (on_changed,),
    EmailChanged: (on_changed,),
    TesterListed: (on_listed,),
}
