"""The command that runs a whole stack: up.

The supervisor imports nothing that only its roles need: it stays for as long as they.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

from cyclopts import Parameter

from infra.carrying import carrying
from infra.commands.shared import Broker, Where, run
from infra.embedded import embedded_postgres
from infra.embedded.broker import Carrier
from infra.preparing import furnish_apart
from infra.settings import POSTGRES, PREFIX, Settings, require
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


def environment_of(carrier: Carrier) -> dict[str, str]:
    """Return the settings that tell a role what carries work; no list shows them."""
    return {
        f"{PREFIX}BROKER": carrier.url or POSTGRES,
        f"{PREFIX}BROKER_NAMESPACE": carrier.namespace,
    }


def up(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    http_port: Annotated[int | None, Parameter(help="Port of the API.")] = None,
    admin_port: Annotated[
        int | None, Parameter(help="Port of health, metrics.")
    ] = None,
    broker: Broker = None,
) -> int:
    """Run every role under one supervisor, with an embedded PostgreSQL unless given."""
    settings = where.settings(http_port=http_port, admin_port=admin_port, broker=broker)

    async def work() -> int:
        async with prepared(settings), carrying(settings, join=False) as carrier:
            return await supervise(
                roles_of(settings),
                environment=environment_of(carrier),
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
