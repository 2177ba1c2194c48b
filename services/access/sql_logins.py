"""A login in PostgreSQL: given to one user at a time, and taken from them."""

from collections.abc import Sequence
from typing import Annotated, Final, assert_never, get_args
from uuid import UUID, uuid5

import msgspec

from events.access.sql_logins import SqlLoginEvent, SqlLoginGiven, SqlLoginTaken
from events.errors import Missing, Refused
from events.ids import SqlLoginId, UserId
from events.message import Meta
from services.access.common import AccessCommand, Reason
from services.decider import Decider


SPACE: Final = UUID("0b1f6f7e-6d0c-5f4e-9a53-7e1c5a2f9d41")

LoginName = Annotated[
    str,
    msgspec.Meta(pattern=r"^(?!pg_|rehearsal_|postgres$)[a-z][a-z0-9_]{2,62}$(?!\n)"),
]


class NoSuchSqlLogin(Missing):
    """There is no such login."""


class SqlLoginHeld(Refused):
    """This login stands for another user; take it from them first."""


class GiveSqlLogin(AccessCommand, frozen=True, kw_only=True):
    """Say for whom a login stands."""

    login: LoginName
    user_id: UserId


class TakeSqlLogin(AccessCommand, frozen=True, kw_only=True):
    """Say that a login stands for nobody any more."""

    login: LoginName
    reason: Reason


SqlLoginCommand = GiveSqlLogin | TakeSqlLogin


class SqlLogin(msgspec.Struct, frozen=True):
    """A login as its rules see it."""

    known: bool = False
    user_id: UserId | None = None


def login_id(login: str) -> SqlLoginId:
    """Return the id of a login: names are the server's, so not an organisation's."""
    return SqlLoginId(uuid5(SPACE, login))


def evolve(_state: SqlLogin, event: SqlLoginEvent) -> SqlLogin:
    """Return the state after an event."""
    match event:
        case SqlLoginGiven():
            return SqlLogin(known=True, user_id=event.user_id)
        case SqlLoginTaken():
            return SqlLogin(known=True)
        case _:
            assert_never(event)


def decide(
    command: SqlLoginCommand, state: SqlLogin, _meta: Meta
) -> Sequence[SqlLoginEvent]:
    """Return what happens, or refuse."""
    match command:
        case GiveSqlLogin():
            return give(command, state)
        case TakeSqlLogin():
            return take(command, state)
        case _:
            assert_never(command)


def give(command: GiveSqlLogin, state: SqlLogin) -> list[SqlLoginEvent]:
    """Give a login to a user, unless another has it."""
    if state.user_id == command.user_id:
        return []
    if state.user_id is not None:
        raise SqlLoginHeld(path="$.login")
    return [
        SqlLoginGiven(
            login_id=login_id(command.login),
            login=command.login,
            user_id=command.user_id,
        )
    ]


def take(command: TakeSqlLogin, state: SqlLogin) -> list[SqlLoginEvent]:
    """Take a login from whoever has it."""
    if not state.known:
        raise NoSuchSqlLogin(path="$.login")
    if state.user_id is None:
        return []
    return [SqlLoginTaken(login_id=login_id(command.login), reason=command.reason)]


def identify(command: SqlLoginCommand) -> UUID:
    """Return the login's id."""
    return login_id(command.login)


decider: Final = Decider[SqlLoginCommand, SqlLogin, SqlLoginEvent](
    category="access.sql_login",
    commands=get_args(SqlLoginCommand),
    events=get_args(SqlLoginEvent),
    initial=SqlLogin(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    internal=get_args(SqlLoginCommand),
)
