"""The real thing: a PostgreSQL, the API and the projections as processes of their own.

Everything is as in production but for the tokens' key, which is ours, so that tokens
can be good, late, forged or another organisation's.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg
import msgspec

from infra.clock import now
from infra.embedded.server import free_port
from infra.furnishing import furnish
from infra.sealing import ensure_master_keys
from infra.settings import Settings
from infra.tether import tethered
from infra.tokens import Issuer, development_key
from infra.wiring import MASTER_KEY, Urls, caught_up
from infra.wiring import database as database_of
from services.http.limits import Limits
from tests.chaos.findings import Findings
from tests.fuzz.counting import Counts
from tests.postgres_ladder import Database, Servers, ladder


ROOT: Final = Path(__file__).parents[2]
TOKEN_KEY: Final = "token_key.pem"  # noqa: S105 - a name
START_SECONDS: Final = 60.0
ORG: Final = "library"
ACTOR: Final = "user:mila"
OTHER_ORG: Final = "museum"
DAY: Final = timedelta(days=1)

STORED: Final = """
SELECT
    (SELECT coalesce(max(position), 0) FROM es.events) AS events,
    (SELECT count(*) FROM es.commands) AS commands,
    (SELECT count(*) FROM es.blobs) AS blobs
"""


class Stored(msgspec.Struct, frozen=True):
    """How many events, accepted commands and blobs the database holds."""

    events: int
    commands: int
    blobs: int


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running system, and the keys to it."""

    database: Database
    urls: Urls
    settings: Settings
    folder: Path
    port: int
    admin_port: int
    findings: Findings
    counts: Counts
    limits: Limits
    broker: str | None = None

    def token(
        self,
        *,
        org: str = ORG,
        subject: str = ACTOR,
        roles: Iterable[str] = ("admin",),
        scopes: Iterable[str] = ("import", "events", "blobs"),
    ) -> str:
        """Return a bearer token that the API believes for a day."""
        return self.issuer().issue(
            subject, org=org, roles=roles, scopes=scopes, lifetime=DAY
        )

    def issuer(self, *, audience: str | None = None, name: str | None = None) -> Issuer:
        """Return an issuer with the key that the API believes."""
        given = self.settings
        return Issuer(
            development_key(given.data_dir),
            issuer=name or given.token_issuer,
            audience=audience or given.token_audience,
            clock=now,
        )

    async def stored(self) -> Stored:
        """Return what the database holds now."""
        connection = await asyncpg.connect(self.database.superuser)
        try:
            row = await connection.fetchrow(STORED)
        finally:
            await connection.close()
        assert row is not None
        return Stored(row["events"], row["commands"], row["blobs"])

    async def caught_up(self) -> None:
        """Return once the read tables hold everything that was accepted."""
        await caught_up(self.urls, (await self.stored()).events)

    def environment(self) -> Mapping[str, str]:
        """Return the environment of a process that is to join the system."""
        inherited = {
            name: value
            for name, value in os.environ.items()  # noqa: TID251 - programs need the machine's own
            if not name.startswith("REHEARSAL_")
        }
        given = self.database
        broker = {} if self.broker is None else {"REHEARSAL_BROKER": self.broker}
        return {
            **broker,
            **inherited,
            "REHEARSAL_DATA_DIR": str(self.folder),
            "REHEARSAL_OWNER_URL": given.owner,
            "REHEARSAL_APP_URL": given.app,
            "REHEARSAL_PROJECTOR_URL": given.projector,
            "REHEARSAL_READER_URL": given.reader,
            "REHEARSAL_KEYS_URL": given.keys,
            "REHEARSAL_MASTER_KEY_FILE": str(self.folder / MASTER_KEY),
            "REHEARSAL_TOKEN_PUBLIC_KEY_FILES": str(self.folder / TOKEN_KEY),
            "REHEARSAL_LOG_FORMAT": "json",
        }

    def complaints(self, role: str = "api") -> list[str]:
        """Return what a role logged as errors, each once."""
        lines = (self.folder / f"{role}.log").read_text(errors="replace").splitlines()
        return [line for line in lines if '"level":"error"' in line.replace(" ", "")]


@asynccontextmanager
async def stack_on(
    database: Database, folder: Path, findings: Findings
) -> AsyncIterator[Stack]:
    """Run the system on a migrated database while inside, its keys in a folder."""
    await furnish(owner=database.owner, projector=database.projector)
    ensure_master_keys(folder / MASTER_KEY)
    development_key(folder)
    settings = Settings(
        data_dir=folder,
        owner_url=database.owner,
        app_url=database.app,
        projector_url=database.projector,
        reader_url=database.reader,
        keys_url=database.keys,
        master_key_file=folder / MASTER_KEY,
        token_public_key_files=(folder / TOKEN_KEY,),
    )
    async with database_of(settings) as urls, AsyncExitStack() as stack:
        system = Stack(
            database=database,
            urls=urls,
            settings=settings,
            folder=folder,
            port=free_port(),
            admin_port=free_port(),
            findings=findings,
            counts=Counts(),
            limits=Limits(),
        )
        ports = [
            *("--http-port", str(system.port)),
            *("--admin-port", str(system.admin_port)),
        ]
        api = await stack.enter_async_context(role(system, "api", *ports))
        project = await stack.enter_async_context(role(system, "project"))
        await answering(system, api)
        yield system
        for process, name in ((api, "API"), (project, "projections'")):
            if process.returncode is not None:
                findings.add(f"the {name} process died", tail(system))


@asynccontextmanager
async def own_stack(
    findings: Findings, *, postgres: str | None
) -> AsyncIterator[Stack]:
    """Run the system on a database of its own, on the fullest server there is."""
    async with AsyncExitStack() as stack:
        servers = Servers(stack)
        rung = (await asyncio.to_thread(ladder, postgres))[0]
        database = await stack.enter_async_context(
            servers.database(rung, durable=False, furnished=True)
        )
        folder = stack.enter_context(temporary_folder())
        yield await stack.enter_async_context(stack_on(database, folder, findings))


def rehearsal(*arguments: str | Path) -> list[str]:
    """Return the command line of the system with these arguments."""
    return [sys.executable, "-m", "infra.cli", *map(str, arguments)]


@asynccontextmanager
async def role(
    stack: Stack, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a role of the system as a process while inside, its log in a file."""
    with (stack.folder / f"{arguments[0]}.log").open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *tethered(rehearsal(*arguments)),
            env=stack.environment(),
            cwd=ROOT,
            stdout=said,
            stderr=said,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def answering(stack: Stack, api: asyncio.subprocess.Process) -> None:
    """Return once the API answers; raise `AssertionError` where it does not."""
    address = f"http://127.0.0.1:{stack.admin_port}/livez"
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(address):
                    return
            except aiohttp.ClientError:
                pass
            assert api.returncode is None, tail(stack)
            assert loop.time() < deadline, tail(stack)
            await asyncio.sleep(0.05)


def tail(stack: Stack) -> str:
    """Return the last of what the API said."""
    return (stack.folder / "api.log").read_text(errors="replace")[-2_000:]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder, and remove it after."""
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-fuzz-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
