"""The PostgreSQL that tests run on: the fullest that this machine can offer.

An address in REHEARSAL_TEST_POSTGRES (a superuser's, of a server that may be played
with), else a container where a Docker daemon answers, else programs on this machine,
else (on Debian, as root) programs that apt installs. The server that came with the
wheel is always there too: tests marked `every_postgres` run on both.

A server of our own that need not flush commits is kept in memory where there is plenty:
thousands of tables and hundreds of databases come and go there for half the time.
"""

import asyncio
import getpass
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import psutil

from infra.embedded import debian
from infra.embedded.account import Account, server_account, shared_directory
from infra.embedded.docker import daemon_answers
from infra.embedded.installation import Installation, bundled, installed, runnable
from infra.embedded.server import (
    SMALL,
    SUPERUSER,
    Server,
    initialise,
    new_password,
    start,
)
from infra.furnishing import furnish
from infra.postgres.migrations import migrate
from infra.postgres.roles import (
    APP,
    KEYS,
    OWNER,
    PROJECTOR,
    READER,
    ROLES,
    admit,
    create_database,
    ensure_roles,
)


IMAGE: Final = "postgres:18-alpine"
ROLE_PASSWORD: Final = "rehearsal-tests"  # noqa: S105 - two runs on one server agree on it
MIGRATED: Final = f"rehearsal_migrated_{os.getpid()}"
FURNISHED: Final = f"rehearsal_furnished_{os.getpid()}"
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - its folders are made as any temporary one
PLENTY: Final = 2 << 30  # bytes
PREFIX: Final = "rehearsal-of-"
FORGETFUL: Final[Mapping[str, str]] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass(frozen=True)
class Database:
    """Addresses of one database, by who asks."""

    superuser: str
    owner: str
    app: str
    projector: str
    reader: str
    keys: str


@dataclass(frozen=True)
class Rung:
    """A way to a server; `open` yields its superuser's address.

    Durable means that a commit survives a crash of the machine.
    """

    name: str
    full: bool
    open: Callable[[bool], AbstractAsyncContextManager[str]]


def ladder(address: str | None, docker_host: str | None = None) -> list[Rung]:
    """Return the fullest rung of this machine, if any, and the wheel's."""
    wheel = Rung("embedded 18", full=False, open=lambda durable: _own(bundled, durable))
    if address:
        return [Rung("given", full=True, open=lambda _: _given(address)), wheel]
    if daemon_answers(docker_host):
        return [Rung(IMAGE, full=True, open=_container), wheel]
    found = installed()
    if found is not None:
        name = f"local {found.major}"
        return [Rung(name, full=True, open=lambda d: _own(lambda: found, d)), wheel]
    if debian.can_install():
        return [Rung("apt", full=True, open=lambda d: _own(_apt, d)), wheel]
    return [wheel]


class Servers:
    """The servers of a session: each started when first asked for, with a template."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._running: dict[tuple[str, bool], _Running] = {}
        self._made = 0

    @asynccontextmanager
    async def database(
        self, rung: Rung, *, durable: bool, furnished: bool = False
    ) -> AsyncIterator[Database]:
        """Yield a migrated database that no one has used, and drop it after.

        One that is furnished has the read tables already.
        """
        server = await self._server(rung, durable=durable)
        template = await server.furnished() if furnished else MIGRATED
        self._made += 1
        name = f"rehearsal_test_{os.getpid()}_{self._made}"
        await server.copy(template, name)
        try:
            yield addresses(server.superuser, name)
        finally:
            await server.drop(name)

    async def _server(self, rung: Rung, *, durable: bool) -> "_Running":
        key = (rung.name, durable)
        if key not in self._running:
            superuser = await self._stack.enter_async_context(rung.open(durable))
            await ensure_roles(superuser, dict.fromkeys(ROLES, ROLE_PASSWORD))
            await create_database(superuser, MIGRATED)
            await migrate(addresses(superuser, MIGRATED).owner)
            self._running[key] = _Running(superuser)
            self._stack.push_async_callback(self._running[key].close)
        return self._running[key]


class _Running:
    """A server with templates; one connection of its superuser copies and drops."""

    def __init__(self, superuser: str) -> None:
        self.superuser = superuser
        self._templates = [MIGRATED]
        self._furnishing = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def furnished(self) -> str:
        """Return the name of a template that has the read tables, made once."""
        async with self._furnishing:
            if FURNISHED not in self._templates:
                await self.copy(MIGRATED, FURNISHED)
                made = addresses(self.superuser, FURNISHED)
                await furnish(owner=made.owner, projector=made.projector)
                self._templates.append(FURNISHED)
        return FURNISHED

    async def copy(self, template: str, name: str) -> None:
        """Make a database like a template, that the same roles may enter."""
        async with self._asked() as connection:
            # Copied as files it takes a tenth of the time.
            await connection.execute(
                f"CREATE DATABASE {name} OWNER {OWNER} "
                f"TEMPLATE {template} STRATEGY file_copy"
            )
            # Of a database's own grants nothing is copied.
            await admit(connection, name)

    async def drop(self, name: str) -> None:
        """Drop a database, and end who is in it."""
        async with self._asked() as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def close(self) -> None:
        """Drop the templates."""
        for template in self._templates:
            await self.drop(template)
        if self._connection is not None:
            await self._connection.close()

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        async with self._asking:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self.superuser)
            yield self._connection


def addresses(superuser: str, database: str) -> Database:
    """Return every role's address of a database on a superuser's server."""

    def as_role(role: str) -> str:
        return _address(superuser, database, f"{role}:{ROLE_PASSWORD}")

    return Database(
        superuser=_address(superuser, database, None),
        owner=as_role(OWNER),
        app=as_role(APP),
        projector=as_role(PROJECTOR),
        reader=as_role(READER),
        keys=as_role(KEYS),
    )


@asynccontextmanager
async def temporary_server(
    installation: Installation,
    *,
    options: Mapping[str, str],
    memory: Path | None = None,
) -> AsyncIterator[tuple[str, Server]]:
    """Yield a superuser's address and the server of an empty, passing cluster.

    Its folder is made in memory where some is given.
    """
    account = server_account()
    installation = runnable(installation, account)
    folder = _passable_folder(account, memory)
    password = new_password()
    try:
        initialise(
            installation,
            folder / "postgres",
            account=account,
            password=password,
            durable=False,
        )
        server = await start(
            installation,
            folder / "postgres",
            account=account,
            log=folder / "log",
            options={**SMALL, "max_connections": "200", **options},
            password=password,
        )
        login = f"{SUPERUSER}:{password}"
        directory = quote(str(server.listening.directory), safe="")
        where = f"host={directory}&port={server.listening.port}"
        try:
            yield f"postgresql://{login}@/{SUPERUSER}?{where}", server
        finally:
            await server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _plenty_of_memory() -> Path | None:
    """Return where folders are kept in memory, if that has room for a server."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return None
    for left in MEMORY.glob(f"{PREFIX}*"):
        # Who was killed could not remove its own.
        if not psutil.pid_exists(int(left.name.removeprefix(PREFIX).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    return MEMORY if shutil.disk_usage(MEMORY).free >= PLENTY else None


def _passable_folder(account: Account, memory: Path | None) -> Path:
    prefix = "rehearsal-" if memory is None else f"{PREFIX}{os.getpid()}-"
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=memory))
    folder.chmod(0o711)
    if account.may_enter(folder):
        return folder
    folder.rmdir()
    folder = Path(tempfile.mkdtemp(prefix="tests-", dir=shared_directory()))
    folder.chmod(0o711)
    return folder


@asynccontextmanager
async def _given(address: str) -> AsyncIterator[str]:
    yield address


@asynccontextmanager
async def _own(find: Callable[[], Installation], durable: bool) -> AsyncIterator[str]:  # noqa: FBT001 - a Rung's `open`
    options, memory = ({}, None) if durable else (FORGETFUL, _plenty_of_memory())
    async with temporary_server(find(), options=options, memory=memory) as (address, _):
        yield address


@asynccontextmanager
async def _container(durable: bool) -> AsyncIterator[str]:  # noqa: FBT001 - a Rung's `open`
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - slow to import, and seldom used

    container = PostgresContainer(IMAGE, driver=None)
    if not durable:
        flags = " ".join(f"-c {name}={value}" for name, value in FORGETFUL.items())
        container = container.with_command(f"postgres {flags}")
    with container:
        yield container.get_connection_url()


def _apt() -> Installation:
    debian.install("postgresql-common")
    # The programs alone are wanted, not a server that runs from now on.
    setting = Path("/etc/postgresql-common/createcluster.conf")
    with setting.open("a") as file:
        file.write("create_main_cluster = false\n")
    debian.install("postgresql")
    found = installed()
    assert found is not None, "apt installed no PostgreSQL"
    return found


def _address(superuser: str, database: str, login: str | None) -> str:
    parts = urlsplit(superuser)
    current, _, host = parts.netloc.rpartition("@")
    login = login or current or getpass.getuser()
    return urlunsplit(parts._replace(netloc=f"{login}@{host}", path=f"/{database}"))
