"""How a process is told to stop, and how what runs in it ends."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog


SLOW: Final = 30.0  # seconds; what a worker lets finish takes less
LONGEST: Final = 120.0

log = structlog.get_logger()


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        yield stopping
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def ended(task: asyncio.Task[None], *, grace: float = 0.0) -> None:
    """Wait for a task that was told to stop, and raise what it raises.

    Says so where that takes long. What has not ended `LONGEST` seconds after its grace
    is cancelled, so that nobody waits for ever; a lease that it holds then expires.
    """
    try:
        waited = 0.0
        while waited < grace + LONGEST:
            done, _ = await asyncio.wait([task], timeout=SLOW)
            if done:
                return task.result()
            waited += SLOW
            log.warning("still_stopping", task=task.get_name(), waits_for=_named())
        log.error("stopped_by_force", task=task.get_name(), seconds=waited)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=SLOW)


def _named() -> list[str]:
    """Return the names of the tasks that have one and run still."""
    names = {task.get_name() for task in asyncio.all_tasks()}
    return sorted(name for name in names if not name.startswith("Task-"))
