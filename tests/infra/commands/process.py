"""The command line as people meet it: a process, its answer, its exit code."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import asyncpg
import msgspec
import psutil

from infra.embedded import running_stack
from infra.sealing import ensure_master_keys
from infra.wiring import MASTER_KEY
from tests.infra.commands.forking import forks, number
from tests.postgres_ladder import Database


COMMAND: Final = (sys.executable, "-m", "infra.cli")
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 15.0
LONGEST: Final = 300.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Return the one JSON object of standard output."""
        assert self.out.endswith(b"}\n"), self
        return msgspec.json.decode(self.out)

    @property
    def problem(self) -> tuple[str, str | None]:
        """Return the kind of a problem, and the path where it is."""
        assert self.code != 0, self
        assert "Traceback" not in self.err
        return self.json["problem"], self.json.get("path")


async def rehearsal(
    *words: object,
    content: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """Run a command to its end, with some content on standard input.

    One in an environment of its own begins from nothing; others are forked.
    """
    if environment is None:
        return await _forked([str(word) for word in words], content)
    with tempfile.TemporaryFile() as told:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *map(str, words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=told,
            env=_environment(environment),
        )
        try:
            async with asyncio.timeout(LONGEST):
                out, _ = await process.communicate(content)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise _unended(words, told) from None
        told.seek(0)
        err = told.read().decode()
    assert process.returncode is not None
    return Answer(code=process.returncode, out=out, err=err)


async def _forked(words: Sequence[str], content: bytes) -> Answer:
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as told:
        given.write(content)
        given.seek(0)
        taking, giving = os.pipe()
        with open(taking, "rb") as out:  # noqa: ASYNC230, PTH123 - a pipe
            streams = [given.fileno(), giving, told.fileno()]
            with forks().ask(words, _environment({}), streams) as telling:
                os.close(giving)
                pid = await asyncio.to_thread(number, telling)
                ending = asyncio.gather(
                    asyncio.to_thread(out.read), asyncio.to_thread(number, telling)
                )
                done, _ = await asyncio.wait([ending], timeout=LONGEST)
                if not done:
                    os.kill(pid, signal.SIGKILL)
                    await ending
                    raise _unended(words, told)
                answered, code = ending.result()
        told.seek(0)
        return Answer(code=code, out=answered, err=told.read().decode())


def _unended(words: Sequence[object], told: IO[bytes]) -> AssertionError:
    told.seek(0)
    return AssertionError(f"{words} has not ended: {told.read().decode()[-8_000:]}")


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder that the server's user may enter, gone after."""
    path = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


class Up:
    """A stack that `rehearsal up` runs on a data directory."""

    def __init__(self, data_dir: Path, process: asyncio.subprocess.Process) -> None:
        self.data_dir = data_dir
        self.process = process
        self.said: list[dict[str, Any]] = []
        self._ready = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    @property
    def url(self) -> str:
        (port,) = [line["port"] for line in self.said if line["event"] == "api_started"]
        return f"http://127.0.0.1:{port}"

    async def ready(self) -> None:
        """Return once every role has started."""
        waiting = asyncio.create_task(self._ready.wait())
        done, _ = await asyncio.wait(
            (waiting, self._listening),
            timeout=START_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert waiting in done, self.said

    def family(self) -> Sequence[psutil.Process]:
        """Return the process and all that it started."""
        leader = psutil.Process(self.process.pid)
        return [leader, *leader.children(recursive=True)]

    async def end(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit code once no process is left."""
        family = self.family()
        began = time.monotonic()
        self.process.send_signal(number)
        async with asyncio.timeout(STOP_SECONDS):
            code = await self.process.wait()
            while any(map(_lives, family)):  # noqa: ASYNC110 - not our children
                await asyncio.sleep(0.02)
        await self._listening
        assert time.monotonic() - began < STOP_SECONDS
        return code

    async def as_superuser(self, statement: str) -> None:
        """Do what only a superuser of the database may do."""
        addresses = running_stack(self.data_dir)
        assert addresses is not None
        connection = await asyncpg.connect(addresses.superuser)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(msgspec.json.decode(line))
            events = {each["event"] for each in self.said}
            if {"api_started", "role_ready"} <= events:
                self._ready.set()


@asynccontextmanager
async def started(data_dir: Path) -> AsyncIterator[Up]:
    """Yield a stack that is up; whatever the test left of it is killed."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "up", "--data-dir", str(data_dir)),
        *("--http-port", "0", "--admin-port", "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=_environment({}),
    )
    up = Up(data_dir, process)
    try:
        await up.ready()
        yield up
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def role(
    name: str,
    environment: Mapping[str, str],
    *words: object,
    ready: bytes = b"role_ready",
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a role's own process once it is ready; it is told to stop after."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, name, *map(str, words)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=_environment({**environment, "REHEARSAL_LOG_FORMAT": "json"}),
    )
    assert process.stderr is not None
    said: list[bytes] = []
    try:
        async with asyncio.timeout(START_SECONDS):
            while not (said and ready in said[-1]):
                said.append(await process.stderr.readline())
                assert said[-1], said
        draining = asyncio.create_task(process.stderr.read())
        yield process
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            await draining
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def addressed(database: Database, folder: Path) -> dict[str, str]:
    """Return the environment of a stack whose PostgreSQL is given, not embedded."""
    ensure_master_keys(folder / MASTER_KEY)
    return {
        "REHEARSAL_DATA_DIR": str(folder),
        "REHEARSAL_OWNER_URL": database.owner,
        "REHEARSAL_APP_URL": database.app,
        "REHEARSAL_PROJECTOR_URL": database.projector,
        "REHEARSAL_READER_URL": database.reader,
        "REHEARSAL_KEYS_URL": database.keys,
        "REHEARSAL_MASTER_KEY_FILE": str(folder / MASTER_KEY),
    }


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    machine = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a process needs the machine's
        if not name.startswith("REHEARSAL_")
    }
    # Compiled once, the modules are imported by every process of these tests.
    return {**machine, "PYTHONDONTWRITEBYTECODE": "", **more}
