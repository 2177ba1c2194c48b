"""The PostgreSQL of a data directory: one process owns it, others join it.

<data-dir>/lock           held by the owner for as long as it runs
<data-dir>/postgres       the cluster, or a link to it where root's folders are closed
<data-dir>/postgres.log   what the server says
<data-dir>/secrets.json   the passwords, readable by the owner of the folder alone
<data-dir>/stack.json     where the running server listens; gone when it is stopped
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import structlog

from infra.embedded.folder import locked, owner_of, place, prepared, write
from infra.embedded.installation import Installation, bundled, runnable
from infra.embedded.server import (
    SMALL,
    SUPERUSER,
    Listening,
    Server,
    initialise,
    new_password,
    start,
    stop_orphan,
)
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
from infra.settings import SetupError


DATABASE: Final = "rehearsal"
LOCK: Final = "lock"
JOIN_SECONDS: Final = 60.0
LONGEST_PAUSE: Final = 10.0

Begin = Callable[[Listening | None], Awaitable[Server]]

log = structlog.get_logger()


class StackRunningError(SetupError):
    """Another process owns the data directory."""


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where each role connects to the embedded database, passwords included.

    `port` is that of the loopback, for tools that cannot use a socket.
    """

    superuser: str
    owner: str
    app: str
    projector: str
    reader: str
    keys: str
    port: int

    def __repr__(self) -> str:
        return f"Addresses(port={self.port})"


class _Running(msgspec.Struct, frozen=True, kw_only=True):
    """What `stack.json` holds."""

    pid: int
    directory: str
    port: int
    database: str


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path, *, join: bool = True
) -> AsyncIterator[Addresses]:
    """Run the PostgreSQL of a data directory, or join the one that runs, and yield it.

    It is empty at first: `migrate` it. A server that dies is started again at the
    same address. Raises `StackRunningError` where one runs and `join` is false, and
    `SetupError` where none can run.
    """
    data_dir = prepared(data_dir)
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        with locked(data_dir / LOCK) as owned:
            if owned:
                async with _own(data_dir) as addresses:
                    yield addresses
                return
        if not join:
            message = (
                f"another process runs the stack in {data_dir}; stop it, or choose "
                "another --data-dir"
            )
            raise StackRunningError(message)
        joined = running_stack(data_dir)
        if joined is not None:
            yield joined
            return
        if time.monotonic() > deadline:
            message = (
                f"another process holds {data_dir} but its database does not come up; "
                "stop that process, or choose another --data-dir"
            )
            raise StackRunningError(message)
        await asyncio.sleep(0.1)


def running_stack(data_dir: Path) -> Addresses | None:
    """Return the addresses of the stack that runs in a data directory, if one does."""
    data_dir = data_dir.absolute()
    if not (data_dir / LOCK).exists():
        return None
    with locked(data_dir / LOCK, shared=True) as unowned:
        if unowned:
            return None
    try:
        running = msgspec.json.decode(
            (data_dir / "stack.json").read_bytes(), type=_Running
        )
    except FileNotFoundError:
        return None
    secrets = _secrets(data_dir)
    listening = Listening(Path(running.directory), running.port)
    return _addresses(listening, secrets)


@asynccontextmanager
async def _own(data_dir: Path) -> AsyncIterator[Addresses]:
    announcement = data_dir / "stack.json"
    announcement.unlink(missing_ok=True)
    account = owner_of(data_dir / "postgres")
    cluster = place(data_dir / "postgres", account)
    installation = runnable(_installation(cluster), account)
    fresh = not (cluster / "PG_VERSION").exists()
    secrets = _owned_secrets(data_dir, fresh=fresh)
    password = secrets[SUPERUSER]
    await asyncio.to_thread(stop_orphan, installation, cluster, account)
    await asyncio.to_thread(
        initialise, installation, cluster, account=account, password=password
    )

    async def begin(listening: Listening | None) -> Server:
        return await start(
            installation,
            cluster,
            account=account,
            log=data_dir / "postgres.log",
            options=SMALL,
            password=password,
            listening=listening,
        )

    keeper = _Keeper(await begin(None), begin)
    try:
        listening = keeper.server.listening
        await _furnish(listening, secrets)
        addresses = _addresses(listening, secrets)
        watching = asyncio.create_task(keeper.keep())
        running = _Running(
            pid=os.getpid(),
            directory=str(listening.directory),
            port=listening.port,
            database=DATABASE,
        )
        write(announcement, msgspec.json.encode(running), mode=0o644)
        log.info("postgres_started", port=addresses.port, data_dir=str(data_dir))
        try:
            yield addresses
        finally:
            announcement.unlink(missing_ok=True)
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    finally:
        await asyncio.shield(keeper.server.stop())
        log.info("postgres_stopped", data_dir=str(data_dir))


class _Keeper:
    """Starts a server again that ended without being asked to."""

    def __init__(self, server: Server, begin: Begin) -> None:
        self.server = server
        self._begin = begin

    async def keep(self) -> None:
        """Run until cancelled."""
        listening = self.server.listening
        while True:
            code = await self.server.wait()
            log.error("postgres_ended", code=code, log=str(self.server.log))
            pause = 0.1
            while not self.server.running:
                try:
                    self.server = await self._begin(listening)
                except SetupError as error:
                    # Sessions of the dead server may live on for a moment.
                    log.warning("postgres_start_failed", reason=str(error))
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
            log.info("postgres_started", port=listening.port, again=True)


async def _furnish(listening: Listening, secrets: Mapping[str, str]) -> None:
    superuser = _address(listening, SUPERUSER, secrets, database=SUPERUSER)
    await ensure_roles(superuser, {role: secrets[role] for role in ROLES})
    await create_database(superuser, DATABASE)


def _installation(cluster: Path) -> Installation:
    try:
        return bundled(int((cluster / "PG_VERSION").read_text()))
    except FileNotFoundError:
        return bundled()


def _owned_secrets(data_dir: Path, *, fresh: bool) -> dict[str, str]:
    """Return the passwords, new ones where there are no data yet that need the old."""
    file = data_dir / "secrets.json"
    known = _secrets(data_dir) if file.exists() or not fresh else {}
    names = (SUPERUSER, *ROLES)
    secrets = {name: known.get(name) or new_password() for name in names}
    if secrets != known:
        write(file, msgspec.json.format(msgspec.json.encode(secrets)), mode=0o600)
    return secrets


def _secrets(data_dir: Path) -> dict[str, str]:
    file = data_dir / "secrets.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"the passwords in {file} cannot be read: {reason}; restore the file"
        raise SetupError(message) from None


def _addresses(listening: Listening, secrets: Mapping[str, str]) -> Addresses:
    return Addresses(
        superuser=_address(listening, SUPERUSER, secrets),
        owner=_address(listening, OWNER, secrets),
        app=_address(listening, APP, secrets),
        projector=_address(listening, PROJECTOR, secrets),
        reader=_address(listening, READER, secrets),
        keys=_address(listening, KEYS, secrets),
        port=listening.port,
    )


def _address(
    listening: Listening,
    role: str,
    secrets: Mapping[str, str],
    *,
    database: str = DATABASE,
) -> str:
    directory = quote(str(listening.directory), safe="")
    login = f"{role}:{secrets[role]}"
    return f"postgresql://{login}@/{database}?host={directory}&port={listening.port}"
