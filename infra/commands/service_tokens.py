"""Commands about the tokens of services: issue, list, revoke."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar, cast, get_args
from uuid import UUID

import msgspec
from cyclopts import App, Parameter
from rich.table import Table as Grid

from events.errors import Malformed
from events.roles import Scope
from infra.believing import bearers
from infra.commands.shared import OK, OPERATOR, Where, Who, answer, run, screen
from infra.commands.users import parts_of
from infra.wiring import caught_up, core, database, projecting, reading
from services.access.organisations import granted
from services.accounts.people import Caller
from services.http.auth_bodies import IssueToken, RevokeToken


T = TypeVar("T")

service_tokens: Final = App(
    name="service-tokens",
    help="Give services what they sign in with, and take it away.",
)

LIST: Final = """
SELECT id, service, grants::text, scopes::text, expires_at, revoked_at
FROM access.service_tokens
ORDER BY created_at DESC, id DESC
LIMIT $1
"""


@service_tokens.command(name="list")
def list_tokens(
    *,
    limit: Annotated[int, Parameter(help="At most so many.")] = 50,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """List the newest tokens, and until when they are good."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            rows = await reader.read(who.identity(settings), LIST, [limit])
        found: list[dict[str, Any]] = [
            dict(cast("Mapping[str, Any]", row)) for row in rows
        ]
        for row in found:
            row["grants"] = [
                f"{each['area']}:{each['role']}"
                for each in msgspec.json.decode(row["grants"])
            ]
            row["scopes"] = msgspec.json.decode(row["scopes"])

        def show() -> None:
            grid = Grid("token", "service", "grants", "scopes", "expires", "revoked")
            for row in found:
                grid.add_row(
                    str(row["id"]),
                    row["service"],
                    ", ".join(row["grants"]),
                    ", ".join(row["scopes"]),
                    f"{row['expires_at']:%Y-%m-%d}",
                    "yes" if row["revoked_at"] else "no",
                )
            screen.print(grid)

        answer(where, {"service_tokens": found}, show)
        return OK

    return run(where, work)


@service_tokens.command
def issue(
    service: Annotated[str, Parameter(help="Name of the service.")],
    *,
    grants: Annotated[
        tuple[str, ...],
        Parameter(name="--grant", help="A role as area:role; repeatable."),
    ] = (),
    scopes: Annotated[
        tuple[str, ...],
        Parameter(
            name="--scope", help=f"One of {', '.join(get_args(Scope))}; repeatable."
        ),
    ] = (),
    days: Annotated[int, Parameter(help="For how long it is good, 366 at most.")] = 90,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Give a service a token; it is printed this once and cannot be shown again."""
    settings = where.settings()

    async def work() -> int:
        asked = _checked(
            IssueToken,
            service=service,
            grants=[parts_of(each) for each in grants],
            scopes=list(scopes),
            days=days,
        )
        async with (
            database(settings) as urls,
            core(settings, urls, name="service tokens") as parts,
            bearers(settings, parts) as opened,
            projecting(urls, parts),
        ):
            issued = await opened.service_tokens.issue(
                who.org,
                service=asked.service,
                grants=granted(asked.grants),
                scopes=asked.scopes,
                days=asked.days,
                caller=Caller(),
                actor=OPERATOR,
            )
            await caught_up(urls, issued.position)

        def show() -> None:
            screen.print(f"token {issued.token_id}, until {issued.expires_at:%Y-%m-%d}")
            print(issued.token)  # noqa: T201 - what was asked for, to be piped

        answer(where, issued, show)
        return OK

    return run(where, work)


@service_tokens.command
def revoke(
    token: Annotated[UUID, Parameter(help="The token's id, as list shows it.")],
    *,
    reason: Annotated[str, Parameter(help="Why.")],
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Make a token good no more; everywhere in two seconds."""
    settings = where.settings()

    async def work() -> int:
        asked = _checked(RevokeToken, reason=reason)
        async with (
            database(settings) as urls,
            core(settings, urls, name="service tokens") as parts,
            bearers(settings, parts) as opened,
            projecting(urls, parts),
        ):
            position = await opened.service_tokens.revoke(
                who.org, token, reason=asked.reason, caller=Caller(), actor=OPERATOR
            )
            await caught_up(urls, position)
        done = {"token_id": str(token), "position": position}
        answer(where, done, lambda: screen.print(f"token {token} revoked"))
        return OK

    return run(where, work)


def _checked(kind: type[T], **fields: object) -> T:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        message = f"This cannot be asked for: {error}."
        raise Malformed(message) from error
