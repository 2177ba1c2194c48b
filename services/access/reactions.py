"""What follows from the facts of users: the sessions of who may sign in no more end."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from events.access.users import UserDeactivated, UserErased
from events.ids import UserId
from events.message import Recorded
from services.reactions import Reaction, Reactions, job


END_SESSIONS: Final = "end_sessions"


class EndSessionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job that ends what sessions a user has begun until a moment."""

    user_id: UserId
    why: Literal["deactivated", "erased"]
    until: datetime


def on_deactivated(recorded: Recorded[UserDeactivated]) -> Sequence[Reaction]:
    """Ask that a deactivated user's sessions end."""
    return (ask(recorded, "deactivated"),)


def on_erased(recorded: Recorded[UserErased]) -> Sequence[Reaction]:
    """Ask that what is kept of an erased user's sessions and password goes."""
    return (ask(recorded, "erased"),)


def ask(
    recorded: Recorded[UserDeactivated] | Recorded[UserErased],
    why: Literal["deactivated", "erased"],
) -> Reaction:
    """Return the job that ends sessions."""
    body = EndSessionsBody(
        user_id=recorded.event.user_id, why=why, until=recorded.recorded_at
    )
    return job(recorded, END_SESSIONS, body=msgspec.to_builtins(body))


REACTIONS: Final[Reactions] = {
    UserDeactivated: (on_deactivated,),
    UserErased: (on_erased,),
}
