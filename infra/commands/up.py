"""The command that runs a whole stack: up.

The supervisor imports nothing that only its roles need: it stays for as long as they.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

from cyclopts import Parameter

from infra.commands.shared import Where, run
from infra.embedded import embedded_postgres
from infra.preparing import furnish_apart
from infra.settings import Settings, require
from infra.supervisor import supervise


def roles_of(settings: Settings) -> Mapping[str, Callable[[], list[str]]]:
    """Return the arguments of each role of a stack, for the supervisor."""
    shared = [
        *["--data-dir", str(settings.data_dir)],
        *["--log-level", settings.log_level],
    ]
    ports = [
        *["--http-port", str(settings.http_port)],
        *["--admin-port", str(settings.admin_port)],
    ]
    return {
        "api": lambda: ["api", *shared, *ports],
        "background": lambda: ["background", *shared],
    }


def up(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    http_port: Annotated[int | None, Parameter(help="Port of the API.")] = None,
    admin_port: Annotated[
        int | None, Parameter(help="Port of health, metrics.")
    ] = None,
) -> int:
    """Run every role under one supervisor, with an embedded PostgreSQL unless given."""
    settings = where.settings(http_port=http_port, admin_port=admin_port)

    async def work() -> int:
        async with prepared(settings):
            return await supervise(
                roles_of(settings),
                grace_seconds=settings.shutdown_seconds + 5.0,
            )

    return run(where, work, logging=settings)


@asynccontextmanager
async def prepared(settings: Settings) -> AsyncIterator[None]:
    """Hold a database that is up to date: an embedded one, or that of the addresses."""
    if settings.embedded:
        async with embedded_postgres(settings.data_dir, join=False) as addresses:
            await furnish_apart(owner=addresses.owner, projector=addresses.projector)
            yield
        return
    owner, projector = require(settings, "owner_url", "projector_url")
    await furnish_apart(owner=owner, projector=projector)
    yield
