"""One RabbitMQ broker on a data directory: made, run as our child, and stopped.

The broker, its distribution port and its own port mapper (epmd) listen on the loopback
only, under a cookie of their own: no other node or tool of the machine takes part. Both
processes are direct children, and tethered: when this process dies, by whatever death,
they end too. The programs of the machine are used, and none of its configuration.
"""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.embedded.account import Account
from infra.embedded.server import LOG_BYTES, free_port
from infra.settings import SetupError
from infra.tether import tethered


USER: Final = "rehearsal"
NODE: Final = "rehearsal@localhost"
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0
ATTEMPTS: Final = 3
GREETING: Final = b"AMQP\x00\x00\x09\x01"
OWN: Final = "rabbitmq_prelaunch"  # the one part that is named as plugins are
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SMALL: Final[Mapping[str, str]] = {
    "num_acceptors.tcp": "2",
    "heartbeat": "20",
    "log.console.level": "warning",
    "vm_memory_high_watermark.absolute": "512MB",
    "disk_free_limit.absolute": "100MB",
    "raft.wal_max_size_bytes": "33554432",
}


@dataclass(frozen=True)
class Programs:
    """The folder of RabbitMQ's programs, and their version."""

    folder: Path
    version: str


@dataclass(frozen=True)
class Ports:
    """The ports of the loopback that a broker takes."""

    amqp: int
    distribution: int
    mapper: int


class Broker:
    """A running broker: our child process, beside its port mapper."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        mapper: asyncio.subprocess.Process,
        *,
        node: "_Node",
        password: str,
    ) -> None:
        self.process = process
        self.log = node.log
        self.port = node.ports.amqp
        self.url = f"amqp://{USER}:{password}@127.0.0.1:{self.port}/"
        self._mapper = mapper
        self._node = node

    @property
    def running(self) -> bool:
        """Whether the broker has not ended."""
        return self.process.returncode is None

    @property
    def pids(self) -> tuple[int, int]:
        """The process ids of the broker and of its port mapper."""
        return self.process.pid, self._mapper.pid

    async def wait(self) -> int:
        """Return the broker's exit code once it has ended."""
        return await self.process.wait()

    async def stop(self) -> None:
        """Close every connection and stop in order; insist when that takes too long."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        await self.crash()

    async def crash(self) -> None:
        """Kill the broker where it stands, as a failing machine does."""
        for process in (self.process, self._mapper):
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on the broker and return what it says.

        Raises `SetupError` with its words where it fails.
        """
        program = self._node.programs.folder / "rabbitmqctl"
        child = await asyncio.create_subprocess_exec(
            *tethered([str(program), "--quiet", *arguments], user=self._node.login),
            cwd="/",
            env=self._node.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await child.communicate()
        text = said.decode(errors="replace").strip()
        if child.returncode != 0:
            message = f"rabbitmqctl {arguments[0]} failed: {text}"
            raise SetupError(message)
        return text


def installed() -> Programs | None:
    """Return the RabbitMQ of this machine, if there is one that can be run."""
    if shutil.which("erl", path=PATH) is None:
        return None
    return next(filter(None, map(_inspect, _candidates())), None)


async def start(
    programs: Programs,
    directory: Path,
    *,
    account: Account,
    log: Path,
    password: str,
    port: int = 0,
    options: Mapping[str, str] = SMALL,
) -> Broker:
    """Start the broker of a data directory and return it once it answers.

    An empty directory becomes a new broker, with a user of that password. Port 0 takes
    a free one. Raises `SetupError` with the broker's own words where it does not start.
    """
    _prepare(directory, account)
    await _without_orphan(directory)
    _trim(log)
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(log)
        node = _Node(
            programs,
            directory,
            Ports(port or free_port(), free_port(), free_port()),
            account,
            log,
        )
        node.configure(options, password)
        broker = await node.spawn(password)
        try:
            await _answering(broker)
        except BrokerEndedError:
            await broker.crash()
            said = await asyncio.to_thread(_said_since, log, before)
            if attempt == ATTEMPTS or "eaddrinuse" not in said:
                message = f"the broker did not start: {_cause(said)} (see {log})"
                raise SetupError(message) from None
        except BaseException:
            await broker.crash()
            raise
        else:
            return broker
    raise AssertionError


class BrokerEndedError(Exception):
    """The broker ended before it answered."""


@dataclass(frozen=True)
class _Node:
    """What a broker is started with."""

    programs: Programs
    directory: Path
    ports: Ports
    account: Account
    log: Path

    @property
    def login(self) -> tuple[int, int]:
        if os.geteuid() != 0:
            return (-1, -1)
        return (self.account.uid, self.account.gid)

    @property
    def environment(self) -> dict[str, str]:
        """Return all that the programs see; nothing of the machine's is read."""
        home, ports = self.directory, self.ports
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": PATH,
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(ports.mapper),
            # Without it a shell stands between the broker and its signals.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-noinput {loopback}",
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            "RABBITMQ_CTL_DIST_PORT_MIN": "1024",
            "RABBITMQ_CTL_DIST_PORT_MAX": "65535",
            "RABBITMQ_DIST_PORT": str(ports.distribution),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(ports.amqp),
            "RABBITMQ_CONF_ENV_FILE": str(home / "environment"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(home / "rabbitmq.conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            **({"RABBITMQ_PLUGINS_DIR": str(self._parts)} if self._whole else {}),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(home / "pid"),
        }

    def configure(self, options: Mapping[str, str], password: str) -> None:
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self.ports.amqp}",
            "default_user": USER,
            "default_pass": password,
            "default_user_tags.administrator": "true",
            "loopback_users.guest": "true",
            **options,
        }
        lines = (f"{name} = {value}\n" for name, value in settings.items())
        self._write("rabbitmq.conf", "".join(lines))
        self._leave_plugins_out()
        self._write("plugins", "[].\n")
        self._write("environment", "")

    @property
    def _parts(self) -> Path:
        return self.directory / "parts"

    @property
    def _whole(self) -> Sequence[Path]:
        """What RabbitMQ is made of as it is installed, with all of its plugins."""
        programs = (self.programs.folder / "rabbitmq-server").resolve()
        return sorted(programs.parents[1].glob("plugins/*-*"))

    def _leave_plugins_out(self) -> None:
        """Show the broker its own parts alone: to read of plugins takes it long."""
        shutil.rmtree(self._parts, ignore_errors=True)
        self._parts.mkdir(mode=0o700)
        self.account.own(self._parts, 0o700)
        for part in self._whole:
            if part.name.startswith(OWN) or not part.name.startswith("rabbitmq_"):
                (self._parts / part.name).symlink_to(part)

    async def spawn(self, password: str) -> Broker:
        epmd = shutil.which("epmd", path=PATH) or "epmd"
        where = ["-address", "127.0.0.1", "-port", str(self.ports.mapper)]
        mapper = await self._child([epmd, *where], signal.SIGKILL)
        try:
            server = str(self.programs.folder / "rabbitmq-server")
            process = await self._child([server], signal.SIGTERM)
        except BaseException:
            mapper.kill()
            raise
        return Broker(process, mapper, node=self, password=password)

    async def _child(
        self, command: Sequence[str], death: signal.Signals
    ) -> asyncio.subprocess.Process:
        with self.log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *tethered(command, death=death, user=self.login),
                cwd="/",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # the terminal's ^C is for us alone
            )

    def _write(self, name: str, content: str) -> None:
        file = self.directory / name
        file.write_text(content)
        self.account.own(file, 0o600)


async def _answering(broker: Broker) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not broker.running:
            raise BrokerEndedError
        if await greets("127.0.0.1", broker.port):
            return
        await asyncio.sleep(0.05)
    message = f"the broker did not answer within {START_SECONDS:.0f} s"
    raise SetupError(message)


async def greets(host: str, port: int) -> bool:
    """Say whether what listens there begins to speak AMQP."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(GREETING)
                return await reader.read(1) == b"\x01"
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError):
        return False


async def _without_orphan(directory: Path) -> None:
    """Return once no broker that a killed owner left behind writes to a directory.

    Its tether has told it to stop; one that does not is killed.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while (pid := _orphan(directory)) is not None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.05)


def _orphan(directory: Path) -> int | None:
    try:
        pid = int((directory / "pid").read_text())
        given = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None  # gone, or never ours
    return pid if f"RABBITMQ_PID_FILE={directory / 'pid'}".encode() in given else None


def _prepare(directory: Path, account: Account) -> None:
    for folder in (directory, directory / "data", directory / "rabbitmq.conf.d"):
        folder.mkdir(mode=0o700, exist_ok=True)
        account.own(folder, 0o700)
    cookie = directory / ".erlang.cookie"
    if not cookie.exists():
        cookie.write_text(secrets.token_hex(16))
        account.own(cookie, 0o400)


def _candidates() -> Iterator[Path]:
    yield Path("/usr/lib/rabbitmq/bin")
    on_path = shutil.which("rabbitmq-server", path=PATH)
    if on_path:
        yield Path(on_path).resolve().parent
    yield from Path("/opt/homebrew/opt/rabbitmq").glob("sbin")


def _inspect(folder: Path) -> Programs | None:
    """Return the programs of a folder; a packager's wrapper scripts do not count."""
    needed = ("rabbitmq-server", "rabbitmqctl", "rabbitmq-env")
    if not all((folder / name).exists() for name in needed):
        return None
    home = (folder / "rabbitmq-server").resolve().parents[1]
    named = re.search(r"(\d+\.\d+\.\d+)", home.name)
    return named and Programs(folder, named[1])


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _trim(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old"))


def _said_since(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


def _cause(text: str) -> str:
    """Return the first error of a broker's words; later ones follow from it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"(?i)error|failed|cannot", line)]
    return (errors or lines[-1:] or ["it said nothing"])[0]
