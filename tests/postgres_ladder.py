"""The PostgreSQL that tests run on: the fullest that this machine can offer.

An address in REHEARSAL_TEST_POSTGRES (a superuser's, of a server that may be played
with), else a container where a Docker daemon answers, else programs on this machine,
else (on Debian, as root) programs that apt installs. The server that came with the
wheel is always there too: tests marked `every_postgres` run on both.
"""

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
from infra.postgres.migrations import migrate
from infra.postgres.roles import (
    APP,
    KEYS,
    OWNER,
    PROJECTOR,
    READER,
    ROLES,
    create_database,
    ensure_roles,
)


IMAGE: Final = "postgres:18-alpine"
ROLE_PASSWORD: Final = "rehearsal-tests"  # noqa: S105 - two runs on one server agree on it
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
        self._running: dict[tuple[str, bool], str] = {}
        self._templates: set[tuple[str, bool]] = set()
        self._made = 0

    @asynccontextmanager
    async def database(self, rung: Rung, *, durable: bool) -> AsyncIterator[Database]:
        """Yield a migrated database that no one has used, and drop it after."""
        server = await self._server(rung, durable=durable)
        self._made += 1
        name = f"rehearsal_test_{os.getpid()}_{self._made}"
        # Copied as files it takes a tenth of the time.
        await _execute(
            server,
            f"CREATE DATABASE {name} OWNER {OWNER} "
            f"TEMPLATE {_template()} STRATEGY file_copy",
        )
        try:
            await create_database(server, name)
            yield addresses(server, name)
        finally:
            await _drop(server, name)

    async def _server(self, rung: Rung, *, durable: bool) -> str:
        key = (rung.name, durable)
        if key not in self._running:
            server = await self._stack.enter_async_context(rung.open(durable))
            self._running[key] = server
            self._stack.push_async_callback(_drop, server, _template())
        server = self._running[key]
        if key not in self._templates:
            await ensure_roles(server, dict.fromkeys(ROLES, ROLE_PASSWORD))
            await create_database(server, _template())
            await migrate(addresses(server, _template()).owner)
            self._templates.add(key)
        return server


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
    installation: Installation, *, options: Mapping[str, str]
) -> AsyncIterator[tuple[str, Server]]:
    """Yield a superuser's address and the server of an empty, passing cluster."""
    account = server_account()
    installation = runnable(installation, account)
    folder = _passable_folder(account)
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


def _passable_folder(account: Account) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
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
    options = {} if durable else FORGETFUL
    async with temporary_server(find(), options=options) as (address, _server):
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


async def _drop(superuser: str, name: str) -> None:
    await _execute(superuser, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _execute(superuser: str, statement: str) -> None:
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _template() -> str:
    return f"rehearsal_template_{os.getpid()}"


def _address(superuser: str, database: str, login: str | None) -> str:
    parts = urlsplit(superuser)
    current, _, host = parts.netloc.rpartition("@")
    login = login or current or getpass.getuser()
    return urlunsplit(parts._replace(netloc=f"{login}@{host}", path=f"/{database}"))
