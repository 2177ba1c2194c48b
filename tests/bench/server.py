"""The server that everything is measured on: durable, small, and nobody else's.

By default the embedded PostgreSQL from its wheel, with the settings of an embedded
stack, on an empty cluster; else a server whose superuser's address is given, which
should flush its commits (fsync and synchronous_commit on).
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import asyncpg

from infra.embedded.installation import bundled, installed
from infra.furnishing import furnish
from infra.postgres.roles import ROLES, create_database, ensure_roles
from infra.sealing import ensure_master_keys
from infra.settings import Settings
from infra.tokens import development_key
from infra.wiring import MASTER_KEY, Core, Urls, core, database
from tests.postgres_ladder import (
    ROLE_PASSWORD,
    Database,
    addresses,
    temporary_server,
)


ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 300.0
STOP_SECONDS: Final = 30.0
TOKEN_KEY: Final = "token_key.pem"  # noqa: S105 - a file


class FailedError(Exception):
    """A measurement could not be made; that is a failure of the bench."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every row gets: the server's superuser, a folder, and how long to measure.

    `programs` is where PostgreSQL's programs are.
    """

    superuser: str
    programs: Path
    folder: Path
    rounds: int
    seconds: float
    recorded: Path | None
    trials: int
    commands: int
    simulations: int

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator["Place"]:
        """Yield a new database with everything in it, and drop it after."""
        full = f"rehearsal_bench_{name}"
        await create_database(self.superuser, full)
        try:
            given = addresses(self.superuser, full)
            settings = settings_of(given, self.folder)
            await furnish(owner=given.owner, projector=given.projector)
            async with database(settings) as urls:
                yield Place(database=given, urls=urls, settings=settings)
        finally:
            await execute(self.superuser, f"DROP DATABASE {full} WITH (FORCE)")


@dataclass(frozen=True, kw_only=True)
class Place:
    """One database, and the settings under which each role of the system uses it."""

    database: Database
    urls: Urls
    settings: Settings

    @asynccontextmanager
    async def core(self) -> AsyncIterator[Core]:
        """Yield what handles commands, in this process."""
        async with core(self.settings, self.urls, name="bench") as parts:
            yield parts

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator[Any]:
        """Yield a superuser's connection."""
        connection = await asyncpg.connect(self.database.superuser)
        try:
            yield connection
        finally:
            await connection.close()

    def environment(self) -> dict[str, str]:
        """Return the settings as a process of the system takes them."""
        given = self.database
        folder = self.settings.data_dir
        return {
            "REHEARSAL_DATA_DIR": str(folder),
            "REHEARSAL_OWNER_URL": given.owner,
            "REHEARSAL_APP_URL": given.app,
            "REHEARSAL_PROJECTOR_URL": given.projector,
            "REHEARSAL_READER_URL": given.reader,
            "REHEARSAL_KEYS_URL": given.keys,
            "REHEARSAL_MASTER_KEY_FILE": str(folder / MASTER_KEY),
            "REHEARSAL_TOKEN_PUBLIC_KEY_FILES": str(folder / TOKEN_KEY),
        }


def settings_of(given: Database, folder: Path) -> Settings:
    """Return the settings for a database, with keys that are made in a folder."""
    ensure_master_keys(folder / MASTER_KEY)
    development_key(folder)
    return Settings(
        data_dir=folder,
        owner_url=given.owner,
        app_url=given.app,
        projector_url=given.projector,
        reader_url=given.reader,
        keys_url=given.keys,
        master_key_file=folder / MASTER_KEY,
        token_public_key_files=(folder / TOKEN_KEY,),
    )


@asynccontextmanager
async def bench(
    *,
    postgres: str | None,
    rounds: int,
    seconds: float,
    recorded: Path | None,
    trials: int,
    commands: int,
    simulations: int,
) -> AsyncIterator[Bench]:
    """Yield a bench on an own embedded server, or on the server of an address."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        found = bundled() if postgres is None else installed() or bundled()
        if postgres is None:
            superuser, _ = await stack.enter_async_context(
                temporary_server(found, options={})
            )
        else:
            superuser = postgres
        await ensure_roles(superuser, dict.fromkeys(ROLES, ROLE_PASSWORD))
        yield Bench(
            superuser=superuser,
            programs=found.programs,
            folder=folder,
            rounds=rounds,
            seconds=seconds,
            recorded=recorded,
            trials=trials,
            commands=commands,
            simulations=simulations,
        )


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder that the server's user may pass, and remove it after."""
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-bench-"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def execute(address: str, statement: str) -> None:
    """Run a statement on a connection of its own."""
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def libpq(address: str) -> dict[str, str]:
    """Return an address as the environment of programs that use libpq."""
    parts = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    found = {
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
        "PGHOST": query.get("host", parts.hostname or ""),
        "PGPORT": query.get("port", str(parts.port or 5432)),
    }
    return {name: value for name, value in found.items() if value}


def environment(*more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment, without settings of the system, and more."""
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - programs need the machine's own
        if not name.startswith("REHEARSAL_")
    }
    for each in more:
        inherited |= each
    return inherited


@asynccontextmanager
async def process(
    command: Sequence[str | Path], env: Mapping[str, str], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program while inside, what it says in a file; then ask it to end."""
    with log.open("ab") as said:
        child = await asyncio.create_subprocess_exec(
            *map(str, command),
            env=dict(env),
            cwd=ROOT,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()


async def answer_of(command: Sequence[str | Path], env: Mapping[str, str]) -> str:
    """Run a program to its end and return what it prints, or raise `FailedError`."""
    child = await asyncio.create_subprocess_exec(
        *map(str, command),
        env=dict(env),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        printed, complaints = await asyncio.wait_for(
            child.communicate(), ANSWER_SECONDS
        )
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode:
        message = f"{command[0]}: {complaints.decode(errors='replace')[-2000:]}"
        raise FailedError(message)
    return printed.decode()


def rehearsal(*arguments: str | Path) -> list[str]:
    """Return the command line of the system with these arguments."""
    return [sys.executable, "-m", "infra.cli", *map(str, arguments)]


async def answering(url: str, child: asyncio.subprocess.Process, log: Path) -> None:
    """Return once a process answers requests, or raise `FailedError`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    patience = aiohttp.ClientTimeout(total=2.0)
    async with aiohttp.ClientSession(timeout=patience) as session:
        while True:
            try:
                async with session.get(url) as response:
                    if response.status < 500:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            if child.returncode is not None or loop.time() > deadline:
                message = f"no answer from {url}: {tail(log)}"
                raise FailedError(message)
            await asyncio.sleep(0.05)


def tail(log: Path) -> str:
    """Return the end of what a process said."""
    return log.read_text(errors="replace")[-2000:]
