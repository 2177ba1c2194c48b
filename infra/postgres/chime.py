"""Words that processes call to each other through PostgreSQL, for speed only.

Whoever waits for a word hears it from its own process at once and from others by a
NOTIFY, which is sent after commits, for all words of the last `QUIET` seconds together.
A word may be lost: whoever waits looks for itself from time to time, and whenever a
connection was made.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
import structlog

from events.errors import Unavailable
from infra.postgres.failures import AWAY, reaching_database
from infra.postgres.pool import CONNECT_SECONDS, Pool


CHANNEL: Final = "es_work"
QUIET: Final = 0.005
FIRST_PAUSE: Final = 0.05
LAST_PAUSE: Final = 2.0

NOTIFY: Final = """
SELECT pg_notify($1, called.word)
FROM unnest($2::text[]) AS called (word)
"""

_log: Final = structlog.get_logger()

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]
Notify = Callable[[Sequence[str]], Awaitable[None]]


class Chime:
    """Calls words, and wakes those who wait for them; `open_chime` makes one."""

    def __init__(self, *, notify: Notify, connect: Connect) -> None:
        self._notify = notify
        self._connect = connect
        self._counts: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}
        self._losses = 0
        self._connections = 0
        self._listening = asyncio.Event()
        self._to_call: set[str] = set()
        self._called = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._listen(), name="chime listen"),
            asyncio.create_task(self._send(), name="chime send"),
        ]

    @property
    def losses(self) -> int:
        """Return how often the connection was lost, or could not be made."""
        return self._losses

    def heard(self, word: str) -> int:
        """Return a number that changes when a word may have been called."""
        return self._counts[word] + self._connections

    def call(self, word: str) -> None:
        """Call a word, once what it tells is committed."""
        self._hear(word)
        self._to_call.add(word)
        self._called.set()

    async def wait(self, word: str, heard: int, *, seconds: float) -> None:
        """Return once `heard(word)` is another number, or after `seconds`."""
        if self.heard(word) != heard:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = word
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await future
        finally:
            del self._waiting[future]

    async def listening(self) -> None:
        """Return once the first connection listens, or could not be made in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._listening.wait()

    async def close(self) -> None:
        """Stop listening and calling."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hear(self, word: str) -> None:
        self._counts[word] += 1
        self._wake(word)

    def _wake(self, word: str | None) -> None:
        for future, wanted in self._waiting.items():
            if word in {wanted, None} and not future.done():
                future.set_result(None)

    async def _send(self) -> None:
        while True:
            await self._called.wait()
            self._called.clear()
            words, self._to_call = self._to_call, set()
            with suppress(Unavailable):
                await self._notify(sorted(words))
            await asyncio.sleep(QUIET)

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await self._connect()
            except AWAY as error:
                _log.warning("chime_not_heard", error=str(error))
                self._losses += 1
                await asyncio.sleep(pause)
                pause = min(pause * 2, LAST_PAUSE)
                continue
            pause = FIRST_PAUSE
            lost = asyncio.Event()
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, self._notified)
                # What was called before may have been missed.
                self._connections += 1
                self._wake(None)
                self._listening.set()
                await lost.wait()
            except AWAY as error:
                _log.warning("chime_not_heard", error=str(error))
            finally:
                connection.terminate()
                self._losses += 1

    def _notified(
        self, _connection: object, _pid: int, _channel: str, payload: object
    ) -> None:
        self._hear(str(payload))


@asynccontextmanager
async def open_chime(
    pool: Pool, direct_dsn: str, *, application_name: str = "rehearsal chime"
) -> AsyncIterator[Chime]:
    """Open a chime that listens at an address without a pooler between."""

    async def notify(words: Sequence[str]) -> None:
        with reaching_database():
            await pool.execute(NOTIFY, CHANNEL, words)

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            direct_dsn,
            timeout=CONNECT_SECONDS,
            server_settings={
                "application_name": application_name,
                "tcp_keepalives_idle": "30",
                "tcp_keepalives_interval": "10",
                "tcp_keepalives_count": "3",
            },
        )

    chime = Chime(notify=notify, connect=connect)
    try:
        await chime.listening()
        yield chime
    finally:
        await chime.close()
