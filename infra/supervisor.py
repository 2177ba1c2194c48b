"""Runs every role of a stack as a child process, and starts again what dies.

Asked to stop, it asks each child and waits; past the deadline, or asked a second time,
it kills. A child that cannot start because of its settings (exit code 78) ends all,
unless it has started before. No child outlives the supervisor, however that dies.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Final

import structlog

from infra.settings import whole_environment
from infra.tether import tethered


MISCONFIGURED: Final = 78  # EX_CONFIG of sysexits.h: starting again cannot help
COMMAND: Final = (sys.executable, "-m", "infra.cli")
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
STEADY_SECONDS: Final = 60.0
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


async def supervise(
    roles: Mapping[str, Callable[[], list[str]]],
    *,
    command: Sequence[str] = COMMAND,
    environment: Mapping[str, str] | None = None,
    grace_seconds: float = 15.0,
    first_pause: float = FIRST_PAUSE,
    started: Callable[[str, int], None] = lambda _name, _pid: None,
) -> int:
    """Run `command` with each role's arguments until told to stop; return a code.

    The arguments are asked for at every start, and `started` is told its name and
    process id. `environment` is added to our own. SIGTERM and SIGINT stop. 0: stopped
    as asked; 78: a role's settings are wrong; 1: a role had to be killed.
    """
    supervision = _Supervision(
        command, environment or {}, grace_seconds, first_pause, started
    )
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, supervision.stop)
    try:
        async with asyncio.TaskGroup() as group:
            for name, arguments in roles.items():
                group.create_task(supervision.keep(name, arguments))
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
    return supervision.code


class _Supervision:
    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        grace_seconds: float,
        first_pause: float,
        started: Callable[[str, int], None],
    ) -> None:
        self.code = 0
        self._command = command
        self._environment = environment
        self._started = started
        self._grace_seconds = grace_seconds
        self._first_pause = first_pause
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()

    def stop(self) -> None:
        """Ask everything to stop; asked again, kill."""
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()

    async def keep(self, name: str, arguments: Callable[[], list[str]]) -> None:
        """Run a role, again and again, until told to stop."""
        pause = self._first_pause
        starts = 0
        while not self._stopping.is_set():
            starts += 1
            began = time.monotonic()
            code = await self._run(name, arguments())
            if self._stopping.is_set():
                return
            # Once it has started, it is the database that is away.
            if code == MISCONFIGURED and starts == 1:
                log.error("role_misconfigured", role=name)
                self.code = MISCONFIGURED
                self._stopping.set()
                return
            if time.monotonic() - began > STEADY_SECONDS:
                pause = self._first_pause
            log.warning("role_ended", role=name, code=code, again_in_seconds=pause)
            await _first(self._stopping.wait(), asyncio.sleep(pause))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run(self, name: str, arguments: list[str]) -> int:
        child = await asyncio.create_subprocess_exec(
            *tethered([*self._command, *arguments]),
            stdin=asyncio.subprocess.DEVNULL,
            env={**whole_environment(), **self._environment},
            start_new_session=True,  # the terminal's ^C reaches us, who pass it on
        )
        log.info("role_started", role=name, pid=child.pid)
        self._started(name, child.pid)
        try:
            await _first(child.wait(), self._stopping.wait())
        finally:
            if child.returncode is None:
                await asyncio.shield(self._end(name, child))
        return await child.wait()

    async def _end(self, name: str, child: asyncio.subprocess.Process) -> None:
        child.terminate()
        await _first(
            child.wait(), self._hurried.wait(), asyncio.sleep(self._grace_seconds)
        )
        if child.returncode is None:
            log.error("role_killed", role=name, pid=child.pid)
            self.code = self.code or 1
            child.kill()
        code = await child.wait()
        log.info("role_stopped", role=name, code=code)


async def _first(*awaitables: Coroutine[object, object, object]) -> None:
    """Return when the first is done; cancel the others."""
    tasks = [asyncio.ensure_future(one) for one in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
