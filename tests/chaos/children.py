"""Processes of the campaign: told what to do line by line, and answering likewise."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final, TypeVar

import msgspec
import structlog

from infra.logs import NOISY
from infra.tether import tethered


ROOT: Final = Path(__file__).parents[2]
LINE: Final = 1 << 20

T = TypeVar("T")


class Child:
    """A Python module that runs as a process of its own, and dies with us."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        hear: Callable[[dict[str, Any]], None],
    ) -> None:
        self.name = name
        self.process = process
        self._hear = hear
        self._hearing = asyncio.create_task(self._listen())

    def tell(self, order: object) -> None:
        """Send an order."""
        if self.process.stdin is not None:
            self.process.stdin.write(msgspec.json.encode(order) + b"\n")

    async def wait(self) -> int:
        """Return the exit code once everything that was said has been heard."""
        await self._hearing
        return await self.process.wait()

    async def end(self) -> None:
        """Kill the process if it still runs."""
        if self.process.returncode is None:
            self.process.kill()
        await self.wait()

    async def _listen(self) -> None:
        if self.process.stdout is not None:
            async for line in self.process.stdout:
                self._hear(msgspec.json.decode(line))


async def spawn(
    module: str,
    orders: object,
    *,
    name: str,
    log: Path,
    hear: Callable[[dict[str, Any]], None],
) -> Child:
    """Start a module with its first orders; what it complains of goes to `log`."""
    with log.open("ab") as complaints:
        process = await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", module]),
            stdin=PIPE,
            stdout=PIPE,
            stderr=complaints,
            cwd=ROOT,
            limit=LINE,
        )
    child = Child(name, process, hear)
    child.tell(orders)
    return child


async def orders() -> AsyncIterator[bytes]:
    """Yield the orders of our parent, until it is gone."""
    reader = asyncio.StreamReader(limit=LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        yield line


def say(**answer: object) -> None:
    """Tell our parent."""
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def complain_only() -> None:
    """Log errors alone, to where complaints go."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
