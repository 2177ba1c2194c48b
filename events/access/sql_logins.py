"""A login in PostgreSQL with which a person reads the tables themselves.

The password is in no event, nor what could prove it.
"""

from events.access.common import AccessEvent
from events.ids import SqlLoginId, UserId


class SqlLoginGiven(AccessEvent, frozen=True, kw_only=True):
    """A login stands for a user, who sees with it what they see elsewhere."""

    login_id: SqlLoginId
    login: str
    user_id: UserId


class SqlLoginTaken(AccessEvent, frozen=True, kw_only=True):
    """A login stands for nobody any more."""

    login_id: SqlLoginId
    reason: str


SqlLoginEvent = SqlLoginGiven | SqlLoginTaken
