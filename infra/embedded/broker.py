"""The RabbitMQ of a data directory: one process holds it, others join it.

<data-dir>/broker.lock    held by the owner for as long as it runs
<data-dir>/broker.json    where the broker is, whichever it is; gone when it is stopped
<data-dir>/rabbitmq       what a broker of our own keeps, by version: nothing that the
                          log does not know, so it may be removed
<data-dir>/rabbitmq.json  its password, and the mark of this stack's queues
<data-dir>/rabbitmq.log   what it says

A broker that runs on this machine already is shared with others, so each stack marks
its exchanges and queues there.
"""

import asyncio
import contextlib
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog

from infra.embedded.folder import locked, owner_of, place, prepared, write
from infra.embedded.ladder import REASONS, Rung, ladder
from infra.embedded.rabbit import Broker, Programs, greets, start
from infra.embedded.server import new_password
from infra.settings import SetupError


LOCK: Final = "broker.lock"
ANNOUNCEMENT: Final = "broker.json"
USUAL: Final = ("127.0.0.1", 5672)
GUEST: Final = "amqp://guest:guest@127.0.0.1:5672/"  # as every new RabbitMQ has
JOIN_SECONDS: Final = 180.0
LONGEST_PAUSE: Final = 10.0

Begin = Callable[[int], Awaitable[Broker]]

log = structlog.get_logger()


class Carrier(msgspec.Struct, frozen=True, kw_only=True):
    """What carries work: a RabbitMQ at a URL, or PostgreSQL where there is none."""

    name: str
    url: str | None
    namespace: str

    def __repr__(self) -> str:
        return f"Carrier({self.name})"


class NoBrokerError(SetupError):
    """No RabbitMQ can be had here."""


class _Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What `rabbitmq.json` holds."""

    password: str
    mark: str


@asynccontextmanager
async def embedded_rabbit(
    data_dir: Path, *, namespace: str, join: bool = True
) -> AsyncIterator[Carrier]:
    """Hold the broker of a data directory, or join the one that is held, and yield it.

    One that runs on this machine is taken, else the ladder is climbed. A broker of our
    own that dies is started again at the same address. Raises `NoBrokerError` with the
    reasons where none can be had.
    """
    data_dir = prepared(data_dir)
    lock = data_dir / LOCK
    lock.touch()
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        with locked(lock) as owned:
            if owned:
                async with _own(data_dir, namespace) as carrier:
                    yield carrier
                return
        joined = _announced(data_dir) if join else None
        if joined is not None:
            yield joined
            return
        if not join or time.monotonic() > deadline:
            message = (
                f"another process holds the broker of {data_dir}; stop it, or choose "
                "another --data-dir"
            )
            raise SetupError(message)
        await asyncio.sleep(0.1)


async def at_hand() -> bool:
    """Say whether a RabbitMQ runs here or can be run, without installing anything."""
    if await running() is not None:
        return True
    rung = ladder()
    return rung is not None and rung.name.startswith("local")


async def running() -> str | None:
    """Return the version of the RabbitMQ of this machine that lets guests in."""
    if not await greets(*USUAL):
        return None
    try:
        return await probed(GUEST)
    except SetupError as error:
        log.warning("running_broker_unusable", reason=str(error))
        return None


async def probed(url: str) -> str:
    """Return the version of the broker at an address.

    It is asked by a process that ends: what speaks AMQP is large, and we stay. Raises
    `SetupError` where it does not answer, refuses us, or is not fit.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.rabbit.probing"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await child.communicate(url.encode())
    text = said.decode().strip()
    if child.returncode != 0:
        raise SetupError(text or "the broker could not be asked")
    return text


@asynccontextmanager
async def _own(data_dir: Path, namespace: str) -> AsyncIterator[Carrier]:
    announcement = data_dir / ANNOUNCEMENT
    announcement.unlink(missing_ok=True)
    async with _opened(data_dir, namespace) as carrier:
        write(announcement, msgspec.json.encode(carrier), mode=0o600)
        log.info("broker_ready", broker=carrier.name, namespace=carrier.namespace)
        try:
            yield carrier
        finally:
            announcement.unlink(missing_ok=True)


@asynccontextmanager
async def _opened(data_dir: Path, namespace: str) -> AsyncIterator[Carrier]:
    kept = _secrets(data_dir)
    version = await running()
    if version is not None:
        name = f"RabbitMQ {version}, running on this machine"
        yield Carrier(name=name, url=GUEST, namespace=f"{namespace}-{kept.mark}")
        return
    rung = ladder()
    if rung is None:
        message = (
            f"no RabbitMQ can be had: none at {USUAL[0]}:{USUAL[1]} lets us in; "
            f"{'; '.join(REASONS)}. Give the address of one as REHEARSAL_BROKER, or "
            "use --broker postgres"
        )
        raise NoBrokerError(message)
    name = f"RabbitMQ, {rung.name}"
    if rung.open is not None:
        async with rung.open() as url:
            yield Carrier(name=name, url=url, namespace=namespace)
        return
    async with _kept_running(rung, data_dir, kept.password) as url:
        yield Carrier(name=name, url=url, namespace=namespace)


@asynccontextmanager
async def _kept_running(
    rung: Rung, data_dir: Path, password: str
) -> AsyncIterator[str]:
    assert rung.programs is not None, "a rung opens, or has programs"  # noqa: S101 - for the type checker
    programs: Programs = await asyncio.to_thread(rung.programs)
    account = owner_of(data_dir / "rabbitmq")
    folder = place(data_dir / "rabbitmq", account)
    folder.mkdir(exist_ok=True)
    account.own(folder, 0o700)

    async def begin(port: int) -> Broker:
        return await start(
            programs,
            folder / programs.version,
            account=account,
            log=data_dir / "rabbitmq.log",
            password=password,
            port=port,
        )

    keeper = _Keeper(await begin(0), begin)
    keeping = asyncio.create_task(keeper.keep(), name="broker")
    try:
        yield keeper.broker.url
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        await asyncio.shield(keeper.broker.stop())
        log.info("broker_stopped", data_dir=str(data_dir))


class _Keeper:
    """Starts a broker again that ended without being asked to."""

    def __init__(self, broker: Broker, begin: Begin) -> None:
        self.broker = broker
        self._begin = begin

    async def keep(self) -> None:
        """Run until cancelled."""
        port = self.broker.port
        while True:
            code = await self.broker.wait()
            log.error("broker_ended", code=code, log=str(self.broker.log))
            await self.broker.crash()
            pause = 0.1
            while not self.broker.running:
                try:
                    self.broker = await self._begin(port)
                except SetupError as error:
                    log.warning("broker_start_failed", reason=str(error))
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
            log.info("broker_ready", again=True)


def _announced(data_dir: Path) -> Carrier | None:
    try:
        content = (data_dir / ANNOUNCEMENT).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(content, type=Carrier)


def _secrets(data_dir: Path) -> _Secrets:
    """Return the broker's secrets; new ones where what they opened is gone, too."""
    file = data_dir / "rabbitmq.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Secrets)
    except FileNotFoundError:
        shutil.rmtree((data_dir / "rabbitmq").resolve(), ignore_errors=True)
        made = _Secrets(password=new_password(), mark=secrets.token_hex(4))
        write(file, msgspec.json.encode(made), mode=0o600)
        return made
    except (OSError, msgspec.DecodeError) as error:
        message = f"{file} cannot be read: {error}; remove it and {data_dir}/rabbitmq"
        raise SetupError(message) from None
