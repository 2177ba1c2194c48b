"""A PostgreSQL of the campaign's own, that is killed as by a loss of power.

Every process of the server is our descendant. The postmaster is our child: until it is
waited for, its process id lives on as a zombie, and no other would start.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

import psutil

from infra.embedded.account import server_account
from infra.embedded.installation import (
    Installation,
    bundled,
    installed,
    runnable,
)
from infra.embedded.server import SMALL, Server, start
from infra.postgres.migrations import migrate
from infra.postgres.roles import ROLES, create_database, ensure_roles
from tests.postgres_ladder import (
    ROLE_PASSWORD,
    Database,
    addresses,
    temporary_server,
)


NAME: Final = "chaos"
BETWEEN_LOOKS: Final = 0.005
OPTIONS: Final = {
    "max_connections": "200",
    "log_min_messages": "fatal",
    "recovery_init_sync_method": "syncfs",
}


class ChaosServer:
    """A server with one migrated database, which survives its deaths."""

    def __init__(
        self, superuser: str, server: Server, installation: Installation
    ) -> None:
        self.major = installation.major
        self.database: Database = addresses(superuser, NAME)
        self.down = asyncio.Event()
        self._installation = installation
        self._server = server
        self._superuser = superuser

    @property
    def port(self) -> int:
        """Return the port of the loopback that the server listens on."""
        return self._server.listening.port

    async def kill(self) -> int:
        """Kill every process of the server at once, and return how many there were."""
        self.down.set()
        postmaster = psutil.Process(self._server.process.pid)
        tree = [postmaster, *postmaster.children(recursive=True)]
        for process in tree:
            _kill(process.pid)
        await self._server.wait()
        await asyncio.to_thread(_await_death, tree)
        return len(tree)

    async def restart(self) -> None:
        """Start the server on its data again, where it was."""
        old = self._server
        password = self._superuser.split("//", 1)[1].split("@", 1)[0].split(":", 1)[1]
        account = server_account()
        self._server = await start(
            runnable(self._installation, account),
            old.log.parent / "postgres",
            account=account,
            log=old.log,
            options={**SMALL, **OPTIONS},
            password=password,
            listening=old.listening,
        )
        self.down.clear()

    async def stop(self) -> None:
        """Stop the server in order."""
        await self._server.stop()


@asynccontextmanager
async def chaos_server(*, embedded: bool) -> AsyncIterator[ChaosServer]:
    """Run a PostgreSQL with an empty migrated database.

    It is the machine's, where there is one, or the one that came with the wheel.
    """
    installation = (None if embedded else installed()) or bundled()
    async with temporary_server(installation, options=OPTIONS) as (superuser, first):
        await ensure_roles(superuser, dict.fromkeys(ROLES, ROLE_PASSWORD))
        await create_database(superuser, NAME)
        server = ChaosServer(superuser, first, installation)
        await migrate(server.database.owner)
        try:
            yield server
        finally:
            await server.stop()


def through(port: int, role: str) -> str:
    """Return a role's address behind a proxy on a port of the loopback."""
    login = f"{role}:{quote(ROLE_PASSWORD)}"
    return f"postgresql://{login}@127.0.0.1:{port}/{NAME}?sslmode=disable"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _await_death(tree: list[psutil.Process]) -> None:
    """Return once every process is gone, or a zombie that no one has waited for."""
    while any(map(_lives, tree)):
        time.sleep(BETWEEN_LOOKS)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
