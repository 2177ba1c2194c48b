"""Commands that run a role alone; the API has a module of its own."""

from infra.commands.shared import (
    OK,
    AdminPort,
    Broker,
    Where,
    run,
)
from infra.roles import (
    serve_background,
    serve_dispatch,
    serve_projections,
    serve_work,
)
from infra.wiring import database


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
