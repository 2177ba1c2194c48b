"""Commands about the logins with which people read the tables in SQL."""

from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Annotated, Any, Final, TypeVar, cast
from urllib.parse import quote, urlsplit

import msgspec
from cyclopts import App, Parameter
from rich.table import Table as Grid

from events.errors import Malformed
from infra.commands.shared import OK, OPERATOR, Where, Who, answer, run, screen
from infra.commands.users import Someone, found, opened
from infra.postgres.failures import reaching_database
from infra.postgres.roles import give_login, take_login
from infra.wiring import caught_up, database, projecting, reading
from services.access.common import Deactivated
from services.access.sql_logins import GiveSqlLogin, TakeSqlLogin
from services.accounts.people import Caller


T = TypeVar("T")

sql_logins: Final = App(
    name="sql-logins",
    help="Give people logins in PostgreSQL that see what they see, and take them away.",
)

LIST: Final = """
SELECT s.login, s.user_id, u.email, s.is_active, s.created_at, s.taken_at
FROM access.sql_logins AS s
LEFT JOIN access.users AS u ON u.id = s.user_id
ORDER BY s.created_at DESC, s.login
LIMIT $1
"""

Login = Annotated[
    str, Parameter(help="Name of the login: a to z, digits and _, 3 to 63 of them.")
]


@sql_logins.command(name="list")
def list_logins(
    *,
    limit: Annotated[int, Parameter(help="At most so many.")] = 50,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """List the newest logins, and for whom they stand."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            rows = await reader.read(who.identity(settings), LIST, [limit])
        known: list[dict[str, Any]] = [
            dict(cast("Mapping[str, Any]", row)) for row in rows
        ]

        def show() -> None:
            grid = Grid("login", "address", "good", "since")
            for row in known:
                good = row["is_active"] and row["taken_at"] is None
                grid.add_row(
                    row["login"],
                    row["email"],
                    "yes" if good else "no",
                    f"{row['created_at']:%Y-%m-%d}",
                )
            screen.print(grid)

        answer(where, {"sql_logins": known}, show)
        return OK

    return run(where, work)


@sql_logins.command
def give(
    login: Login,
    user: Someone,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Give a user a login; its password is printed this once.

    It reads, and no more: the rows and columns that the user's roles show, as they are
    at that moment. Again for the same user, it makes another password.
    """
    settings = where.settings()

    async def work() -> int:
        password = token_urlsafe(24)
        async with opened(settings) as (urls, parts, accounts), projecting(urls, parts):
            superuser = urls.superuser
            user_id = await found(accounts, who.org, user)
            if not (await accounts.people.user(who.org, user_id)).active:
                raise Deactivated(path="user")
            outcome = await accounts.people.record(
                checked(GiveSqlLogin, login=login, user_id=user_id),
                Caller(),
                org_id=who.org,
                actor=OPERATOR,
            )
            with reaching_database():
                await give_login(superuser, login, password)
            await caught_up(urls, outcome.position)
        address = address_of(urls.reader, login, password)
        done = {"login": login, "user_id": str(user_id), "url": address}

        def show() -> None:
            screen.print(f"login {login} of user {user_id}")
            print(address)  # noqa: T201 - what was asked for, to be piped

        answer(where, done, show)
        return OK

    return run(where, work)


@sql_logins.command
def take(
    login: Login,
    *,
    reason: Annotated[str, Parameter(help="Why.")],
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Take a login away, and end its sessions."""
    settings = where.settings()

    async def work() -> int:
        async with opened(settings) as (urls, parts, accounts), projecting(urls, parts):
            superuser = urls.superuser
            outcome = await accounts.people.record(
                checked(TakeSqlLogin, login=login, reason=reason),
                Caller(),
                org_id=who.org,
                actor=OPERATOR,
            )
            with reaching_database():
                await take_login(superuser, login)
            await caught_up(urls, outcome.position)
        answer(where, {"login": login}, lambda: screen.print(f"login {login} is gone"))
        return OK

    return run(where, work)


def checked(kind: type[T], **fields: object) -> T:
    """Return a command, or raise `Malformed`."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        message = f"This cannot be a login of a person: {error}."
        raise Malformed(message) from error


def address_of(reader: str, login: str, password: str) -> str:
    """Return where a person connects: where the reader does, as themselves."""
    parts = urlsplit(reader)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{login}:{quote(password, safe='')}@{host}").geturl()
