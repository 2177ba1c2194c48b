"""The roles of a stack as processes that are killed and started again."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.clock import now
from infra.embedded.server import free_port
from infra.sealing import ensure_master_keys
from infra.settings import inherited
from infra.tether import tethered
from infra.tokens import Issuer
from tests.chaos.children import ROOT
from tests.postgres_ladder import Database


NAME: Final = "rehearsal"
BETWEEN_LOOKS: Final = 0.05
STARTING: Final = 60.0


class Role:
    """A process of the command line, on addresses of its own."""

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.port = free_port(0)
        self.admin_port = free_port(0)
        self.deaths = 0
        self._environment = environment
        self._log = folder / f"{name}-{self.port}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Return where the API answers."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start the process; return once it is ready where it says so."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tethered([sys.executable, "-m", "infra.cli", self.name]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={
                    **self._environment,
                    "REHEARSAL_HTTP_PORT": str(self.port),
                    "REHEARSAL_ADMIN_PORT": str(self.admin_port),
                },
            )

    async def ready(self) -> None:
        """Return once the process answers that it is ready."""
        url = f"http://127.0.0.1:{self.admin_port}/readyz"
        async with asyncio.timeout(STARTING), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(url) as answer:
                        if answer.ok:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(BETWEEN_LOOKS)

    async def kill(self) -> None:
        """Kill the process as by a loss of power."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
            self.deaths += 1


class Stack:
    """Some APIs and one process behind them."""

    def __init__(self, database: Database, folder: Path, *, apis: int) -> None:
        key = Ed25519PrivateKey.generate()
        public = folder / "token.pem"
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM,
                serialization.PublicFormat.SubjectPublicKeyInfo,
            )
        )
        ensure_master_keys(folder / "master.key")
        environment = {
            **inherited(),
            "REHEARSAL_DATA_DIR": str(folder / "data"),
            "REHEARSAL_APP_URL": database.app,
            "REHEARSAL_PROJECTOR_URL": database.projector,
            "REHEARSAL_KEYS_URL": database.keys,
            "REHEARSAL_MASTER_KEY_FILE": str(folder / "master.key"),
            "REHEARSAL_TOKEN_PUBLIC_KEY_FILES": str(public),
            "REHEARSAL_LOG_LEVEL": "error",
        }
        (folder / "data").mkdir()
        self.issuer = Issuer(key, issuer=NAME, audience=NAME, clock=now)
        self.apis: Sequence[Role] = [
            Role("api", environment, folder) for _ in range(apis)
        ]
        self.background = Role("background", environment, folder)

    @property
    def roles(self) -> Sequence[Role]:
        """Return every process."""
        return [*self.apis, self.background]

    async def start(self) -> None:
        """Start everything; return once every API is ready."""
        for role in self.roles:
            await role.start()
        for role in self.apis:
            await role.ready()

    async def end(self) -> None:
        """Kill everything."""
        for role in self.roles:
            await role.kill()

    async def harm(self, random: Random) -> Role:
        """Kill a process, mostly an API, and start it again."""
        role = self.background if random.random() < 0.2 else random.choice(self.apis)
        await role.kill()
        await asyncio.sleep(random.random() * 0.3)
        await role.start()
        return role
