"""Where populations are made: processes of their own, kept while there is work.

As many as the machine has cores make runs at a time; one that nobody needed for a while
ends, and gives back what the compiled engine takes in memory. A process that dies costs
the attempt of a job, which goes on from the last chunk.
"""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from infra.kernels import kernel_directory
from infra.population_child import (
    LENGTH,
    Answer,
    Broken,
    Made,
    Open,
    Request,
    Run,
    answers,
    encode,
)
from services.engines.population.chunks import Begin, MadeChunk
from services.work.populations import Population


IDLE: Final = 20.0  # seconds until a process that nobody needs ends
CROWD: Final = 5_000  # agents from which on a run gets every core
LIMIT: Final = 1 << 30  # bytes of one message


class PopulationProcessError(Exception):
    """A process that makes populations failed; the message says how."""


class Child:
    """A process, asked one thing at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._broken = False

    @property
    def alive(self) -> bool:
        """Say whether the process runs, and can be asked."""
        return self._process.returncode is None and not self._broken

    async def ask(self, request: Request) -> Answer:
        """Return the answer to a request, or raise what the process tells."""
        source, sink = self._process.stdout, self._process.stdin
        if source is None or sink is None:
            message = "the process has no pipes"
            raise PopulationProcessError(message)
        body = encode(request)
        try:
            sink.write(len(body).to_bytes(LENGTH, "little") + body)
            await sink.drain()
            head = await source.readexactly(LENGTH)
            answer: Answer = answers.decode(
                await source.readexactly(int.from_bytes(head, "little"))
            )
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self._broken = True
            message = f"the process that makes populations ended{await self._last()}"
            raise PopulationProcessError(message) from error
        if isinstance(answer, Broken):
            raise PopulationProcessError(answer.error)
        return answer

    async def _last(self) -> str:
        """Return the last line that the process said before it ended."""
        said = (
            b"" if self._process.stderr is None else await self._process.stderr.read()
        )
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        return f": {last}" if last else ""

    async def run(self, until: int) -> MadeChunk:
        """Go on until a step, or until nobody lives."""
        answer = await self.ask(Run(until))
        if not isinstance(answer, Made):
            message = f"the process answered {type(answer).__name__}"
            raise PopulationProcessError(message)
        return answer.chunk

    async def end(self) -> None:
        """End the process."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


class ProcessPopulations:
    """Makes runs in processes; `open_populations` ends them."""

    def __init__(self, *, size: int, kernels: Path) -> None:
        self._slots = asyncio.Semaphore(size)
        self._size = size
        self._kernels = kernels
        self._free: list[Child] = []
        self._all: set[Child] = set()
        self._ending: asyncio.TimerHandle | None = None
        self._ends: set[asyncio.Task[None]] = set()

    def opened(self, begin: Begin) -> AbstractAsyncContextManager[Population]:
        """Lend a place to make a run in, once one is free."""
        return self._opened(begin)

    @asynccontextmanager
    async def _opened(self, begin: Begin) -> AsyncIterator[Population]:
        async with self._slots:
            if self._ending is not None:
                self._ending.cancel()
            child = await self._child()
            intact = False
            try:
                threads = self._size if _crowded(begin) else 1
                await child.ask(Open(begin, threads))
                yield child
                intact = True
            finally:
                # What was cancelled in the middle of an answer cannot be asked again.
                if intact and child.alive:
                    self._free.append(child)
                else:
                    self._all.discard(child)
                    await child.end()
                if len(self._free) == len(self._all):
                    loop = asyncio.get_running_loop()
                    self._ending = loop.call_later(IDLE, self._end_idle)

    async def _child(self) -> Child:
        while self._free:
            child = self._free.pop()
            if child.alive:
                return child
            self._all.discard(child)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "infra.population_child",
            str(self._kernels),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LIMIT,
        )
        child = Child(process)
        self._all.add(child)
        return child

    def _end_idle(self) -> None:
        ended, self._free = self._free, []
        for child in ended:
            self._all.discard(child)
            task = asyncio.ensure_future(child.end())
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def close(self) -> None:
        """End every process."""
        if self._ending is not None:
            self._ending.cancel()
        for child in self._all:
            await child.end()
        await asyncio.gather(*self._ends)


@asynccontextmanager
async def open_populations(
    data_dir: Path, *, size: int | None = None
) -> AsyncIterator[ProcessPopulations]:
    """Make populations while inside; machine code is kept in the data directory.

    At most `size` are made at a time, unless told as many as there are cores.
    """
    made = ProcessPopulations(size=size or cores(), kernels=kernels_in(data_dir))
    try:
        yield made
    finally:
        await made.close()


def kernels_in(data_dir: Path) -> Path:
    """Return where machine code is kept in a data directory."""
    return kernel_directory(data_dir.absolute() / "kernels")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _crowded(begin: Begin) -> bool:
    population = begin.configuration.get("population", {})
    return int(population.get("maximum", 0)) >= CROWD
