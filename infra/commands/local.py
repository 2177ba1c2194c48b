"""Commands that tell of a stack without asking it: token, settings."""

from datetime import timedelta
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from events.errors import Malformed
from infra.believing import issuer
from infra.commands.shared import OK, OPERATOR, ORG, Where, answer, run
from infra.settings import SetupError, printable


MINUTES: Final = Number(gt=0, lte=366 * 24 * 60)


def token(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    org: Annotated[str, Parameter(help="The bearer's organisation.")] = ORG,
    subject: Annotated[str, Parameter(help="user:ID or service:ID.")] = OPERATOR,
    role: Annotated[tuple[str, ...], Parameter(help="A role; repeatable.")] = (
        "admin",
    ),
    scope: Annotated[tuple[str, ...], Parameter(help="A scope; repeatable.")] = (),
    minutes: Annotated[
        float, Parameter(help="How long it is valid.", validator=MINUTES)
    ] = 60.0,
) -> int:
    """Print a bearer token for an embedded stack, signed by its development key."""
    settings = where.settings()

    async def work() -> int:
        development = issuer(settings)
        if development is None:
            message = "tokens come from your identity provider: addresses were given"
            raise SetupError(message)
        try:
            issued = development.issue(
                subject,
                org=org,
                roles=role,
                scopes=scope,
                lifetime=timedelta(minutes=minutes),
            )
        except msgspec.ValidationError as error:
            message = f"There is no such bearer: {error}."
            raise Malformed(message) from error
        answer(where, {"token": issued}, lambda: print(issued))  # noqa: T201 - the answer
        return OK

    return run(where, work)


def settings(*, where: Where = Where()) -> int:  # noqa: B008 - frozen
    """Print every setting and its value, passwords struck out."""
    known = printable(where.settings())

    async def work() -> int:
        def show() -> None:
            for name, value in known.items():
                print(f"REHEARSAL_{name.upper()}={value if value is not None else ''}")  # noqa: T201 - the answer

        answer(where, known, show)
        return OK

    return run(where, work)
