"""The command that runs a whole stack: up.

The supervisor imports nothing that only its roles need: it stays for as long as they.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from infra.carrying import carrying
from infra.commands.shared import Broker, Where, run
from infra.embedded import embedded_postgres
from infra.embedded.broker import Carrier
from infra.preparing import furnish_apart
from infra.settings import POSTGRES, PREFIX, Settings, require
from infra.supervisor import supervise


WORKERS: Final = Number(gte=0, lte=8)


def roles_of(
    settings: Settings, carrier: Carrier, *, workers: int = 0
) -> Mapping[str, Callable[[], list[str]]]:
    """Return the arguments of each role of a stack, for the supervisor.

    Without `workers` of their own, all but the API share a process.
    """
    shared = [
        *["--data-dir", str(settings.data_dir)],
        *["--log-level", settings.log_level],
    ]
    ports = [
        *["--http-port", str(settings.http_port)],
        *["--admin-port", str(settings.admin_port)],
    ]
    roles = {"api": ["api", *shared, *ports]}
    if workers:
        apart = ["project", "dispatch"]
        if carrier.url is not None:
            apart += ["intake", "relay"]
        roles |= {name: [name, *shared] for name in apart}
        numbers = range(1, workers + 1)
        roles |= {f"work {number}": ["work", *shared] for number in numbers}
    else:
        roles["background"] = ["background", *shared]
    return {name: partial(list, words) for name, words in roles.items()}


def environment_of(settings: Settings, carrier: Carrier) -> dict[str, str]:
    """Return the settings that tell a role what carries work; no list shows them."""
    return {
        f"{PREFIX}LEASE_SECONDS": str(settings.lease_seconds),
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
    workers: Annotated[
        int,
        Parameter(
            help="Workers, each a process; 0: one process for all but the API.",
            validator=WORKERS,
        ),
    ] = 0,
    broker: Broker = None,
) -> int:
    """Run every role under one supervisor, with an embedded PostgreSQL unless given."""
    settings = where.settings(http_port=http_port, admin_port=admin_port, broker=broker)

    async def work() -> int:
        async with prepared(settings), carrying(settings, join=False) as carrier:
            return await supervise(
                roles_of(settings, carrier, workers=workers),
                environment=environment_of(settings, carrier),
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
