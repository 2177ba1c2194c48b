"""One PostgreSQL server on a data directory: made, run as our child, and stopped.

The server is a direct child, so its death is seen and reaped at once, and it is
tethered: when this process dies, by whatever death, the server shuts down in order.
Whoever starts a server here holds the data directory's lock already.
"""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from infra.embedded.account import Account
from infra.embedded.installation import Installation
from infra.settings import SetupError
from infra.tether import tethered


SUPERUSER = "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
SOCKET_PATH_BYTES = 100
APART = "rehearsal-"
LOG_BYTES = 10_000_000
ATTEMPTS = 3
BUILTIN_LOCALES = 17
IO_METHODS = 18
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

SMALL: Mapping[str, str] = {
    "shared_buffers": "32MB",
    "max_connections": "300",  # they cost when they are used
    "jit": "off",
    "wal_level": "replica",
    "max_wal_senders": "3",
    "max_logical_replication_workers": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "on",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "random_page_cost": "1.1",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
    "idle_in_transaction_session_timeout": "5min",
}


@dataclass(frozen=True)
class Listening:
    """Where a server listens: a socket directory and a port of the loopback."""

    directory: Path
    port: int


class Server:
    """A running server: our child process."""

    def __init__(
        self, process: asyncio.subprocess.Process, listening: Listening, log: Path
    ) -> None:
        self.process = process
        self.listening = listening
        self.log = log

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self.process.returncode is None

    async def wait(self) -> int:
        """Return the server's exit code once it has ended."""
        return await self.process.wait()

    async def stop(self) -> None:
        """End every session and stop in order; insist when that takes too long."""
        for order in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if not self.running:
                break
            self.process.send_signal(order)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        if self.listening.directory.name.startswith(APART):
            shutil.rmtree(self.listening.directory, ignore_errors=True)


def initialise(
    installation: Installation,
    directory: Path,
    *,
    account: Account,
    password: str,
    durable: bool = True,
) -> None:
    """Make an empty cluster with a superuser of that password, unless there is one.

    An attempt that was cut short leaves nothing that a later one would take for whole.
    """
    if (directory / "PG_VERSION").exists():
        return
    making = directory.with_name(f"{directory.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    account.own(making, 0o700)
    # The builtin locale sorts alike on every machine.
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        if installation.major >= BUILTIN_LOCALES
        else ["--lc-collate=C", "--lc-ctype=C.UTF-8", "--lc-messages=C"]
    )
    with tempfile.NamedTemporaryFile("w", prefix=APART) as secret:
        secret.write(password)
        secret.flush()
        account.own(Path(secret.name), 0o600)
        command = [
            str(installation.programs / "initdb"),
            f"--pgdata={making}",
            f"--username={SUPERUSER}",
            f"--pwfile={secret.name}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *locale,
            *([] if durable else ["--no-sync"]),
        ]
        made = _run(command, account)
    if made.returncode != 0:
        shutil.rmtree(making, ignore_errors=True)
        message = f"the database could not be made: {_cause(made.stderr)}"
        raise SetupError(message)
    if directory.exists():
        directory.rmdir()
    making.rename(directory)


async def start(
    installation: Installation,
    directory: Path,
    *,
    account: Account,
    log: Path,
    options: Mapping[str, str],
    password: str,
    listening: Listening | None = None,
) -> Server:
    """Start the server of a cluster and return it once it answers.

    It listens on a free port unless told where. Raises `SetupError` with the server's
    own words where it does not start.
    """
    remove_stale_pid(directory)
    _trim(log)
    sockets = (
        listening.directory if listening else _socket_directory(directory, account)
    )
    for attempt in range(1, ATTEMPTS + 1):
        at = listening or Listening(sockets, free_port())
        command = _command(installation, directory, options, at)
        before = _size(log)
        server = Server(await _spawn(command, account, log), at, log)
        try:
            await _answering(server, password)
        except ServerEndedError:
            said = await asyncio.to_thread(_said_since, log, before)
            if attempt == ATTEMPTS or "Address already in use" not in said:
                message = f"the database did not start: {_cause(said)} (see {log})"
                raise SetupError(message) from None
        except BaseException:
            await server.stop()
            raise
        else:
            return server
    raise AssertionError


def _command(
    installation: Installation,
    directory: Path,
    options: Mapping[str, str],
    listening: Listening,
) -> list[str]:
    settings = {
        **options,
        **({"io_method": "sync"} if installation.major >= IO_METHODS else {}),
        "listen_addresses": "127.0.0.1",
        "port": str(listening.port),
        "unix_socket_directories": str(listening.directory),
        "unix_socket_permissions": "0700",
    }
    command = [str(installation.programs / "postgres"), "-D", str(directory)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command


async def _spawn(
    command: Sequence[str], account: Account, log: Path
) -> asyncio.subprocess.Process:
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *tethered(command, death=signal.SIGINT, user=_login(account)),
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # the terminal's ^C is for us alone
        )


class ServerEndedError(Exception):
    """The server ended before it answered."""


async def _answering(server: Server, password: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not server.running:
            raise ServerEndedError
        try:
            connection = await asyncpg.connect(
                host=str(server.listening.directory),
                port=server.listening.port,
                user=SUPERUSER,
                password=password,
                database=SUPERUSER,
                timeout=5,
            )
        except (
            OSError,
            TimeoutError,
            asyncpg.CannotConnectNowError,
            asyncpg.PostgresConnectionError,
        ):
            await asyncio.sleep(0.02)
        except asyncpg.InvalidPasswordError:
            message = "the database refuses the password in secrets.json"
            raise SetupError(message) from None
        else:
            await connection.close()
            return
    message = f"the database did not answer within {START_SECONDS:.0f} s"
    raise SetupError(message)


def stop_orphan(installation: Installation, directory: Path, account: Account) -> None:
    """Stop a server that a dead owner left behind on a cluster."""
    remove_stale_pid(directory)
    if not (directory / "postmaster.pid").exists():
        return
    command = [
        str(installation.programs / "pg_ctl"),
        "stop",
        f"--pgdata={directory}",
        "--mode=fast",
        f"--timeout={STOP_SECONDS:.0f}",
    ]
    stopped = _run(command, account)
    if stopped.returncode != 0 and (directory / "postmaster.pid").exists():
        message = f"a server left behind would not stop: {_cause(stopped.stderr)}"
        raise SetupError(message)


def remove_stale_pid(directory: Path) -> None:
    """Remove the pid file of a server that is dead.

    PostgreSQL itself takes a zombie, or another program that got the same pid after a
    restart of the machine, for a running server and refuses to start.
    """
    file = directory / "postmaster.pid"
    try:
        pid = int(file.read_text().split("\n", 1)[0])
    except FileNotFoundError:
        return
    except ValueError:
        file.unlink()
        return
    if not _serves(pid, directory):
        file.unlink(missing_ok=True)


def _serves(pid: int, directory: Path) -> bool:
    if sys.platform != "linux":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    try:
        working = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        # Gone, a zombie, or another user's: in no case a server of ours.
        return False
    return working == directory.resolve()


def free_port(wanted: int = 0) -> int:
    """Return a port of the loopback that is free now: the wanted one if it is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            if not wanted:
                raise
            return free_port()
        port: int = probe.getsockname()[1]
        return port


def new_password() -> str:
    """Return a password that needs no escaping in a URL."""
    return secrets.token_urlsafe(24)


def _socket_directory(cluster: Path, account: Account) -> Path:
    beside = cluster.with_name(f"{cluster.name}.run")
    longest = beside / ".s.PGSQL.65535"
    fits = len(os.fsencode(longest)) <= SOCKET_PATH_BYTES
    if fits and account.may_enter(cluster.parent):
        beside.mkdir(exist_ok=True)
    else:
        beside = Path(tempfile.mkdtemp(prefix=APART))
    account.own(beside, 0o700)
    return beside


def _trim(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old"))


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _said_since(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


def _cause(text: str) -> str:
    """Return the first error of a server's words; later ones follow from it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"FATAL|PANIC|error:", line)]
    chosen = (errors or lines[-1:] or ["it said nothing"])[0]
    cause = re.sub(r"^.*?(FATAL|PANIC|error): *", "", chosen)
    full = re.search("No space left|free disk space", text)
    return f"the disk is full: {cause}" if full else cause


def _run(command: Sequence[str], account: Account) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own words
        tethered(command, user=_login(account)),
        cwd="/",
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def _login(account: Account) -> tuple[int, int]:
    return (account.uid, account.gid) if os.geteuid() == 0 else (-1, -1)
