"""Wakes those who wait for the log to grow: a doorbell for speed, a poll for certainty.

After a commit the bell rings in this process at once and, at most once in `QUIET`, in
every other by NOTIFY. A ring says only that something may be there: who hears it asks
for the head. While somebody waits the head is asked for anyway, at intervals that grow
from `SHORTEST` to `LONGEST`, so that a lost ring costs time and nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import asyncpg
import structlog

from events.errors import Unavailable
from infra.postgres.failures import AWAY


CHANNEL: Final = "es"
QUIET: Final = 0.005
SHORTEST: Final = 0.02
LONGEST: Final = 1.0

_log: Final = structlog.get_logger()

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]


class Doorbell:
    """Knows how far the log has grown, and tells those who wait for more."""

    def __init__(
        self,
        *,
        head: Callable[[], Awaitable[int]],
        notify: Callable[[int], Awaitable[None]],
        connect: Connect,
    ) -> None:
        self._head = head
        self._notify = notify
        self._connect = connect
        self._position = 0
        self._waiting: dict[asyncio.Future[int], int] = {}
        self._stored = asyncio.Event()
        self._heard = asyncio.Event()
        self._wanted = asyncio.Event()
        self._tasks = [
            asyncio.create_task(work, name=f"doorbell {name}")
            for name, work in (
                ("listen", self._listen()),
                ("poll", self._poll()),
                ("ring", self._ring()),
            )
        ]

    def stored(self, position: int) -> None:
        """Say that this process has committed up to a position."""
        self._reach(position)
        self._stored.set()

    async def wait(self, after: int, *, seconds: float) -> int:
        """Return the head's position once it is above `after`, or after `seconds`."""
        if self._position > after:
            return self._position
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[future] = after
        self._wanted.set()
        self._heard.set()
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return max(await self._head(), self._position)
        finally:
            del self._waiting[future]

    async def close(self) -> None:
        """Stop listening and ringing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    def _reach(self, position: int) -> None:
        if position <= self._position:
            return
        self._position = position
        for future, after in self._waiting.items():
            if position > after and not future.done():
                future.set_result(position)

    async def _poll(self) -> None:
        pause = SHORTEST
        while True:
            if not self._waiting:
                self._wanted.clear()
                await self._wanted.wait()
                pause = SHORTEST
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._heard.wait()
            heard = self._heard.is_set()
            self._heard.clear()
            before = self._position
            with suppress(Unavailable):
                self._reach(await self._head())
            grown = self._position > before
            pause = SHORTEST if heard or grown else min(pause * 2, LONGEST)

    async def _ring(self) -> None:
        while True:
            await self._stored.wait()
            self._stored.clear()
            with suppress(Unavailable):
                await self._notify(self._position)
            await asyncio.sleep(QUIET)

    async def _listen(self) -> None:
        pause = SHORTEST
        while True:
            try:
                connection = await self._connect()
            except AWAY as error:
                _log.warning("doorbell_not_heard", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST)
                continue
            pause = SHORTEST
            lost = asyncio.Event()
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, self._hear)
                self._heard.set()
                await lost.wait()
            except AWAY as error:
                _log.warning("doorbell_not_heard", error=str(error))
            finally:
                connection.terminate()

    def _hear(
        self, _connection: object, _pid: int, _channel: str, payload: object
    ) -> None:
        known = str(payload).isdecimal() and int(str(payload)) <= self._position
        if not known:
            self._heard.set()
