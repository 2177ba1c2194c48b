"""The processes of the campaign: started, killed, paused, and started again."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.tether import tethered


ROOT: Final = Path(__file__).parents[3]
READY: Final = b'"role_ready"'
STARTING: Final = 120.0
STOPPING: Final = 40.0
PAUSE: Final = 0.1
AGAIN: Final = 0.5
LONGEST: Final = 8.0


class NotStartedError(Exception):
    """A role did not start; what it said last."""


@dataclass
class Member:
    """A place in the fleet: which role, with which settings, and who fills it now.

    Who is not `near` reaches the database and the broker through proxies.
    """

    name: str
    role: str
    environment: Mapping[str, str]
    log: Path
    near: bool = True
    without: str | None = None
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    paused: bool = False
    starts: int = 0

    @property
    def serving(self) -> bool:
        """Whether it runs and could do its work."""
        return self.ready.is_set() and not self.paused

    async def keep(self) -> None:
        """Start the role, and start it again whenever it has ended.

        What did not come to serve is started after ever longer pauses, so that many
        who cannot start do not keep what they wait for from starting.
        """
        pause = AGAIN
        while True:
            offset = self.log.stat().st_size if self.log.exists() else 0
            self.process = await self._start()
            self.starts += 1
            watching = asyncio.create_task(self._watch(offset))
            try:
                await self.process.wait()
            finally:
                watching.cancel()
                pause = AGAIN if self.ready.is_set() else min(2 * pause, LONGEST)
                self.ready.clear()
                self.paused = False
            await asyncio.sleep(pause)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal, and say whether there was somebody to receive it."""
        if self.process is None or self.process.returncode is not None:
            return False
        self.process.send_signal(number)
        return True

    async def pause(self, seconds: float) -> None:
        """Hold the role still, then let it go on as if nothing had been."""
        process = self.process
        if process is None or not self.send(signal.SIGSTOP):
            return
        self.paused = True
        try:
            await asyncio.sleep(seconds)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
            if process is self.process:
                self.paused = False

    async def stop(self) -> int | None:
        """Ask the role to end, and return its exit code; None where it had to die."""
        process = self.process
        if process is None or process.returncode is not None:
            return 0
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            return await asyncio.wait_for(process.wait(), STOPPING)
        except TimeoutError:
            process.kill()
            await process.wait()
            return None

    async def _start(self) -> asyncio.subprocess.Process:
        words = [sys.executable, "-m", "tests.chaos.work.role", self.role]
        with self.log.open("ab") as said:
            return await asyncio.create_subprocess_exec(
                *tethered([*words, *([self.without] if self.without else [])]),
                env=dict(self.environment),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # as under the supervisor
            )

    async def _watch(self, offset: int) -> None:
        """Tell when the role is ready."""
        while READY not in await asyncio.to_thread(_since, self.log, offset):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(PAUSE)
        self.ready.set()


class Fleet:
    """All members."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start everybody, and return once all are ready."""
        self._keeping = [
            asyncio.create_task(member.keep(), name=member.name)
            for member in self.members
        ]
        deadline = time.monotonic() + STARTING
        for member in self.members:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await member.ready.wait()
            except TimeoutError:
                raise NotStartedError(member.name, complaints(member.log)) from None

    async def stop(self) -> dict[str, int | None]:
        """Stop everybody in order; return how each ended that did not end well."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        codes = await asyncio.gather(*(member.stop() for member in self.members))
        ended = zip(self.members, codes, strict=True)
        return {member.name: code for member, code in ended if code != 0}


def complaints(log: Path) -> str:
    """Return the end of what a role said."""
    return log.read_text(errors="replace")[-2000:]


def _since(log: Path, offset: int) -> bytes:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read()
