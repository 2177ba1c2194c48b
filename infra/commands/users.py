"""Commands about users: list, invite, grant, revoke, deactivate, reactivate, erase."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, cast
from uuid import UUID

import msgspec
from cyclopts import App, Parameter

from events.errors import Malformed, Missing
from events.ids import UserId
from events.message import Command
from events.roles import Area, Role
from infra.believing import signing_in
from infra.commands.shared import OK, OPERATOR, Where, Who, answer, run, screen
from infra.settings import Settings, SetupError
from infra.wiring import (
    Core,
    Urls,
    caught_up,
    core,
    database,
    projecting,
    reading,
)
from services.access.organisations import granted
from services.access.users import (
    DeactivateUser,
    EraseUser,
    GrantRole,
    ReactivateUser,
    RevokeRole,
)
from services.accounts.accounts import Accounts
from services.accounts.people import Caller
from services.http.auth_bodies import Invite


users: Final = App(name="users", help="Look after the people who have accounts.")

LIST: Final = """
SELECT u.id,
       u.email,
       u.username,
       u.is_active,
       u.is_verified,
       u.last_login,
       (
           SELECT coalesce(
               array_agg(g.area || ':' || g.role ORDER BY g.area, g.role),
               '{}'
           )
           FROM access.grants AS g
           WHERE g.user_id = u.id
       ) AS grants
FROM access.users AS u
WHERE NOT u.is_erased
ORDER BY u.created_at DESC, u.id DESC
LIMIT $1
"""

Someone = Annotated[str, Parameter(help="The user's id or address.")]


@users.command(name="list")
def list_users(
    *,
    limit: Annotated[int, Parameter(help="At most so many.")] = 50,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """List the newest users, with what they may do."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            rows = await reader.read(who.identity(settings), LIST, [limit])
        found: list[dict[str, Any]] = [
            dict(cast("Mapping[str, Any]", row)) for row in rows
        ]

        def show() -> None:
            for row in found:
                active = "" if row["is_active"] else "  (deactivated)"
                line = f"{row['id']}  {row['email']}  {row['username']}{active}"
                screen.print(line, markup=False, highlight=False, soft_wrap=True)
                grants = ", ".join(row["grants"]) or "no grants"
                screen.print(f"    {grants}", highlight=False, soft_wrap=True)

        answer(where, {"users": found}, show)
        return OK

    return run(where, work)


@users.command
def invite(
    email: str,
    *,
    username: Annotated[str, Parameter(help="Unique user name.")],
    full_name: Annotated[str, Parameter(help="Display name.")],
    grants: Annotated[
        tuple[str, ...],
        Parameter(name="--grant", help="A role as area:role; repeatable."),
    ] = (),
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Make an account for somebody, and write to them how to sign in."""
    settings = where.settings()

    async def work() -> int:
        asked = checked(
            email=email,
            username=username,
            full_name=full_name,
            grants=[parts_of(each) for each in grants],
        )
        async with opened(settings) as (urls, parts, accounts), projecting(urls, parts):
            invited = await accounts.invite(
                who.org,
                email=asked.email,
                username=asked.username,
                full_name=asked.full_name,
                grants=granted(asked.grants),
                caller=Caller(),
                actor=OPERATOR,
            )
            await caught_up(urls, invited.position)
        answer(where, invited, lambda: screen.print(f"user {invited.user_id}"))
        return OK

    return run(where, work)


@users.command
def grant(
    user: Someone,
    area: Annotated[Area, Parameter(help="Area in which it holds.")],
    role: Annotated[Role, Parameter(help="Role.")],
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Give a user a role in an area."""
    return change(
        user, lambda key: GrantRole(user_id=key, area=area, role=role), where, who
    )


@users.command
def revoke(
    user: Someone,
    area: Annotated[Area, Parameter(help="Area in which it holds.")],
    role: Annotated[Role, Parameter(help="Role.")],
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Take a role in an area from a user; tokens hold it two seconds more."""
    return change(
        user, lambda key: RevokeRole(user_id=key, area=area, role=role), where, who
    )


@users.command
def deactivate(
    user: Someone,
    *,
    reason: Annotated[str, Parameter(help="Why.")],
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Keep a user from signing in, and end their sessions."""
    return change(
        user, lambda key: DeactivateUser(user_id=key, reason=reason), where, who
    )


@users.command
def reactivate(
    user: Someone,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Let a user sign in again."""
    return change(user, lambda key: ReactivateUser(user_id=key), where, who)


@users.command
def erase(
    user: Someone,
    *,
    reason: Annotated[str, Parameter(help="Why.")],
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """End an account and erase its person for ever; there is no way back."""
    return change(user, lambda key: EraseUser(user_id=key, reason=reason), where, who)


def change(
    user: str, command: Callable[[UserId], Command], where: Where, who: Who
) -> int:
    """Ask for a change of a user, who is found by id or address."""
    settings = where.settings()

    async def work() -> int:
        async with opened(settings) as (urls, parts, accounts), projecting(urls, parts):
            user_id = await found(accounts, who.org, user)
            outcome = await parts.handler.handle(command(user_id), who.meta(settings))
            await caught_up(urls, outcome.position)
        done = {"user_id": str(user_id), "position": outcome.position}
        answer(where, done, lambda: screen.print(f"user {user_id}"))
        return OK

    return run(where, work)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Urls, Core, Accounts]]:
    """Open the database, what handles commands, and the accounts."""
    async with (
        database(settings) as urls,
        core(settings, urls, name="users") as parts,
        signing_in(settings, parts, {}) as accounts,
    ):
        if accounts is None:
            message = "people sign in elsewhere: there is no token_private_key_file"
            raise SetupError(message)
        yield urls, parts, accounts


async def found(accounts: Accounts, org: str, user: str) -> UserId:
    """Return the id of a user that is given by id or address."""
    if "@" not in user:
        try:
            return UserId(UUID(user))
        except ValueError:
            message = "This is neither a user's id nor an address."
            raise Malformed(message, path="user") from None
    known = await accounts.people.find(org, user)
    if known is None:
        raise Missing("Nobody has this address.", path="user")
    return known[0]


def checked(**fields: object) -> Invite:
    """Return an invitation, or raise `Malformed`."""
    try:
        return msgspec.convert(fields, Invite)
    except msgspec.ValidationError as error:
        message = f"This is no invitation: {error}."
        raise Malformed(message) from error


def parts_of(grant: str) -> Mapping[str, str]:
    """Return the area and the role of `area:role`."""
    area, _, role = grant.partition(":")
    return {"area": area, "role": role}
