"""Commands that run a role alone, and that give a token or tell the settings."""

from datetime import timedelta
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from events.errors import Malformed
from infra.commands.shared import (
    OK,
    OPERATOR,
    ORG,
    AdminPort,
    Broker,
    Where,
    answer,
    run,
)
from infra.roles import (
    serve_api,
    serve_background,
    serve_dispatch,
    serve_projections,
    serve_work,
)
from infra.settings import SetupError, printable
from infra.wiring import database, issuer


MINUTES: Final = Number(gt=0, lte=366 * 24 * 60)


def api(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    http_port: Annotated[int | None, Parameter(help="Port of the API.")] = None,
    admin_port: Annotated[
        int | None, Parameter(help="Port of health, metrics.")
    ] = None,
) -> int:
    """Run the HTTP role alone."""
    settings = where.settings(http_port=http_port, admin_port=admin_port)

    async def work() -> int:
        async with database(settings) as urls:
            await serve_api(settings, urls)
        return OK

    return run(where, work, logging=settings)


def project(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    admin_port: AdminPort = None,
) -> int:
    """Run the projection role alone; it also follows erasures and makes partitions."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls:
            await serve_projections(settings, urls, admin_port=admin_port)
        return OK

    return run(where, work, logging=settings)


def dispatch(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    broker: Broker = None,
    admin_port: AdminPort = None,
) -> int:
    """Run the dispatch role alone: what events ask for, timers, what was not taken."""
    settings = where.settings(broker=broker)

    async def work() -> int:
        async with database(settings) as urls:
            await serve_dispatch(settings, urls, admin_port=admin_port)
        return OK

    return run(where, work, logging=settings)


def work(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    broker: Broker = None,
    admin_port: AdminPort = None,
) -> int:
    """Run the work role alone; any number may run."""
    settings = where.settings(broker=broker)

    async def serve() -> int:
        async with database(settings) as urls:
            await serve_work(settings, urls, admin_port=admin_port)
        return OK

    return run(where, serve, logging=settings)


def background(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    broker: Broker = None,
) -> int:
    """Run projections, dispatch and work in one process, as a small stack does."""
    settings = where.settings(broker=broker)

    async def serve() -> int:
        async with database(settings) as urls:
            await serve_background(settings, urls)
        return OK

    return run(where, serve, logging=settings)


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
