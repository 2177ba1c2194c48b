"""Group commit: commands that arrive while one batch is being stored share the next.

Nothing waits for company: a command that finds the log idle is sent at once. A batch
holds each stream and each command id at most once; a second use goes to a later batch,
so that it is judged by what the first one did. A batch takes at most half of what is
outstanding, so that the process works on the answers of one half while the server
stores the other; but up to 16, since a call costs as much as some twenty commands.

A call that fails without the server's word that it was rolled back may have been
committed. The connection is given up and the same batch is sent again: commands that
were stored answer `duplicate`. After `PATIENCE` the callers get `Unavailable`. A batch
that the server refuses for a value is halved until the command at fault is alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg

from events.errors import Malformed, Unavailable
from events.log import Status, Verdict
from infra.postgres.columns import ARGUMENTS, Ready, arguments, verdicts
from infra.postgres.failures import AWAY, REFUSED_VALUE
from infra.postgres.partitions import has_no_partition, make_partitions


APPEND: Final = f"SELECT * FROM es.append_v3({ARGUMENTS})"  # noqa: S608 - all bound
PATIENCE: Final = 5.0
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
MOST_COMMANDS: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
SMALL: Final = 16

Rows = Sequence[Sequence[Any]]
Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]


class Batch:
    """Commands that are stored together, and who waits for their verdicts."""

    __slots__ = ("commands", "deadline", "keys", "size", "waiting")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.commands: list[Ready] = []
        self.waiting: list[asyncio.Future[Verdict]] = []
        self.keys: set[str | int] = set()
        self.size = 0

    def halves(self) -> tuple["Batch", "Batch"]:
        """Return two batches with the commands of this one."""
        middle = len(self.commands) // 2
        first, second = (Batch(self.deadline) for _ in range(2))
        first.commands = self.commands[:middle]
        first.waiting = self.waiting[:middle]
        second.commands = self.commands[middle:]
        second.waiting = self.waiting[middle:]
        return first, second

    def answer(self, rows: Rows) -> int:
        """Give everybody their verdict; return the last position, 0 for no events."""
        last, accepted = 0, Status.OK
        for future, verdict in zip(
            self.waiting, verdicts(self.commands, rows), strict=True
        ):
            if verdict.events and verdict.status is accepted:
                last = verdict.position
            if not future.done():
                future.set_result(verdict)
        return last

    def fail(self, error: BaseException) -> None:
        """Give everybody the same failure."""
        for future in self.waiting:
            if not future.done():
                future.set_exception(error)


class Flusher:
    """Stores commands in batches, over one connection of its own."""

    def __init__(
        self, connect: Connect, *, on_stored: Callable[[int], None], patience: float
    ) -> None:
        self._connect = connect
        self._on_stored = on_stored
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._batches: deque[Batch] = deque()
        self._outstanding = 0
        self._idle: asyncio.Future[None] | None = None
        self._closed = False
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._statement: Any = None
        self._task = self._loop.create_task(self._run(), name="event log flusher")

    def append(self, ready: Ready) -> asyncio.Future[Verdict]:
        """Return what will be the verdict on a command once it is stored."""
        if self._closed:
            raise Unavailable("The log is closed.")
        future: asyncio.Future[Verdict] = self._loop.create_future()
        entry = ready.entry
        keys: list[str | int] = [write.stream_id for write in entry.writes]
        keys.append(entry.meta.command_id.int)
        self._outstanding += 1
        batch = self._batch_for(keys, ready.size)
        if batch is None:
            batch = Batch(self._loop.time() + self._patience)
            self._batches.append(batch)
        batch.commands.append(ready)
        batch.waiting.append(future)
        batch.keys.update(keys)
        batch.size += ready.size
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        return future

    async def close(self) -> None:
        """Store what waits, within the patience, and let the connection go."""
        self._closed = True
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        done, _ = await asyncio.wait([self._task], timeout=self._patience)
        if not done:
            self._task.cancel()
            await asyncio.wait([self._task])
        for batch in self._batches:
            batch.fail(Unavailable("The log is closed."))
        self._disconnect()

    def _batch_for(self, keys: Sequence[str | int], size: int) -> Batch | None:
        """Return the first batch with room after the last that holds a key."""
        room = max(SMALL, min(MOST_COMMANDS, self._outstanding // 2))
        found = None
        for batch in reversed(self._batches):
            if not batch.keys.isdisjoint(keys):
                break
            if len(batch.commands) < room and batch.size + size <= MOST_BYTES:
                found = batch
        return found

    async def _run(self) -> None:
        while True:
            if self._batches:
                batch = self._batches.popleft()
                try:
                    await self._store(batch)
                except asyncio.CancelledError:
                    batch.fail(Unavailable("The log was closed meanwhile."))
                    raise
                self._outstanding -= len(batch.commands)
            elif self._closed:
                return
            else:
                self._idle = self._loop.create_future()
                await self._idle
                self._idle = None

    async def _store(self, batch: Batch) -> None:
        try:
            rows = await self._call(batch)
        except REFUSED_VALUE as error:
            if len(batch.commands) > 1:
                for half in batch.halves():
                    await self._store(half)
                return
            refused = Malformed("The command holds a value that cannot be stored.")
            refused.__cause__ = error
            batch.fail(refused)
        except Exception as error:  # noqa: BLE001 - the callers must hear of any defect
            batch.fail(error)
        else:
            last = batch.answer(rows)
            if last:
                self._on_stored(last)

    async def _call(self, batch: Batch) -> Rows:
        values = arguments(batch.commands)
        pause = FIRST_PAUSE
        while True:
            left = max(batch.deadline - self._loop.time(), self._patience / 5)
            try:
                if self._statement is None:
                    await self._reconnect()
                rows: Rows = await self._statement.fetch(*values, timeout=left)
            except AWAY as error:
                self._disconnect()
                if self._loop.time() + pause > batch.deadline:
                    message = "The database is away; the outcome is unknown."
                    raise Unavailable(message) from error
            except asyncpg.CheckViolationError as error:
                if not has_no_partition(error):
                    raise
                await self._make_partitions(error)
            except asyncio.CancelledError:
                self._disconnect()
                raise
            else:
                return rows
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _reconnect(self) -> None:
        self._connection = await self._connect()
        self._statement = await self._connection.prepare(APPEND)

    async def _make_partitions(self, missing: Exception) -> None:
        if self._connection is None or not await make_partitions(self._connection):
            message = "The log has no partition for the next position."
            raise Unavailable(message) from missing

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = self._statement = None
