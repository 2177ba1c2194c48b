"""Group commit: commands that arrive while one batch is being stored share the next.

Nothing waits for company: a command that finds the log idle is sent at once. A batch
holds each stream and each command id at most once; a second use goes to a later batch,
so that it is judged by what the first did. A batch takes at most half of what is
outstanding, so that the process works on the answers of one half while the server
stores the other; but up to 16, since a call costs as much as some twenty commands.

There are two lanes, each with a connection of its own, the second made when it is first
needed. A batch that is full goes ahead while another is being stored, unless they share
a stream or a command id: the server takes its arguments apart and keeps it before the
lock, so that it need not wait for this process between the two.

A call that fails without the server's word that it was rolled back may have been
committed. The connection is given up and the same batch is sent again: commands that
were stored answer `duplicate`. After `PATIENCE` the callers get `Unavailable`. A batch
that cannot be encoded, or that the server refuses for a value, is halved until the
command at fault is alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg

from events.errors import Malformed, TooLarge, Unavailable
from events.log import Append, Status, Told, Verdict
from infra.postgres.columns import ARGUMENTS, SINGLE_ARGUMENTS, Arguments, Columns
from infra.postgres.failures import AWAY, REFUSED_VALUE
from infra.postgres.partitions import has_no_partition, make_partitions
from services.ports import Ids


APPEND: Final = f"SELECT * FROM es.append_v4({ARGUMENTS})"  # noqa: S608 - all bound
APPEND_SINGLES: Final = f"SELECT * FROM es.append_singles_v2({SINGLE_ARGUMENTS})"  # noqa: S608 - all bound
PATIENCE: Final = 5.0
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
MOST_COMMANDS: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
SMALL: Final = 16
LANES: Final = 2

Key = str | int
Rows = Sequence[Sequence[Any]]
Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]


class Batch:
    """Commands that are stored together, and who is told their verdicts."""

    __slots__ = ("commands", "deadline", "keys", "waiting")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.commands: list[Append] = []
        self.waiting: list[Told] = []
        self.keys: set[Key] = set()

    def add(self, asked: Sequence[tuple[Append, Told]], keys: Sequence[Key]) -> None:
        """Add commands, and what they must not share with others."""
        self.commands += [command for command, _ in asked]
        self.waiting += [told for _, told in asked]
        self.keys.update(keys)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Return two batches with the commands of this one."""
        middle = len(self.commands) // 2
        first, second = (Batch(self.deadline) for _ in range(2))
        first.commands = self.commands[:middle]
        first.waiting = self.waiting[:middle]
        second.commands = self.commands[middle:]
        second.waiting = self.waiting[middle:]
        return first, second

    def answer(self, verdicts: Sequence[Verdict]) -> int:
        """Give everybody their verdict; return the last position, 0 for no events."""
        last, accepted = 0, Status.OK
        for told, verdict in zip(self.waiting, verdicts, strict=True):
            if verdict.events and verdict.status is accepted:
                last = verdict.position
            told(verdict)
        return last

    def fail(self, error: Exception) -> None:
        """Give everybody the same failure."""
        for told in self.waiting:
            told(error)


class Lane:
    """A connection of its own, and the batch that is stored over it."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._statements: dict[str, Any] = {}
        self.batch: Batch | None = None
        self.idle: asyncio.Future[None] | None = None

    async def fetch(self, query: str, values: Arguments, *, seconds: float) -> Rows:
        """Append, over a new connection where there is none."""
        if query not in self._statements:
            if self._connection is None:
                self._connection = await self._connect()
            self._statements[query] = await self._connection.prepare(query)
        rows: Rows = await self._statements[query].fetch(*values, timeout=seconds)
        return rows

    async def make_partitions(self) -> bool:
        """Make partitions ahead; say whether any was made."""
        if self._connection is None:
            return False
        return await make_partitions(self._connection) > 0

    def disconnect(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None
        self._statements = {}

    def wake(self) -> None:
        """Have the lane look for a batch."""
        if self.idle is not None and not self.idle.done():
            self.idle.set_result(None)


class Flusher:
    """Stores commands in batches, over two connections of its own."""

    def __init__(
        self,
        connect: Connect,
        *,
        ids: Ids,
        on_stored: Callable[[int], None],
        patience: float,
    ) -> None:
        self._ids = ids
        self._on_stored = on_stored
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._batches: deque[Batch] = deque()
        self._outstanding = 0
        self._closed = False
        self._lanes = [Lane(connect) for _ in range(LANES)]
        self._tasks = [
            self._loop.create_task(self._run(lane), name=f"event log flusher {number}")
            for number, lane in enumerate(self._lanes, start=1)
        ]

    def send(self, asked: Sequence[tuple[Append, Told]]) -> None:
        """Store commands, and tell the verdict on each, or the failure."""
        if self._closed:
            raise Unavailable("The log is closed.")
        self._outstanding += len(asked)
        room = self._room()
        while asked:
            batch = self._last_with(room)
            run = asked[: room - len(batch.commands)]
            keys = keys_of(run)
            if len(set(keys)) == len(keys) and batch.keys.isdisjoint(keys):
                batch.add(run, keys)
            else:
                for each in run:
                    own = keys_of([each])
                    self._batch_for(own, room).add([each], own)
            asked = asked[len(run) :]
        if self._batches and self._goes(self._batches[0]):
            self._wake()

    async def close(self) -> None:
        """Store what waits, within the patience, and let the connections go."""
        self._closed = True
        self._wake()
        _, late = await asyncio.wait(self._tasks, timeout=self._patience)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        for batch in self._batches:
            batch.fail(Unavailable("The log is closed."))
        for lane in self._lanes:
            lane.disconnect()

    def _room(self) -> int:
        """Return how many commands a batch takes, with so many outstanding."""
        half = self._outstanding // 2
        return SMALL if half < SMALL else min(half, MOST_COMMANDS)

    def _last_with(self, room: int) -> Batch:
        """Return the last batch if it has room, else a new one."""
        if self._batches and len(self._batches[-1].commands) < room:
            return self._batches[-1]
        return self._add()

    def _batch_for(self, keys: Sequence[Key], room: int) -> Batch:
        """Return the first batch with room after the last that holds a key."""
        found = None
        for batch in reversed(self._batches):
            if not batch.keys.isdisjoint(keys):
                break
            if len(batch.commands) < room:
                found = batch
        return found or self._add()

    def _add(self) -> Batch:
        batch = Batch(self._loop.time() + self._patience)
        self._batches.append(batch)
        return batch

    def _wake(self) -> None:
        """Have every idle lane look for a batch."""
        for lane in self._lanes:
            lane.wake()

    def _next(self) -> Batch | None:
        """Return the batch to be stored now, if there is one."""
        if not self._batches or not self._goes(self._batches[0]):
            return None
        return self._batches.popleft()

    def _goes(self, batch: Batch) -> bool:
        """Say whether a batch may be sent: alone, or full and past another."""
        stored = [lane.batch for lane in self._lanes if lane.batch is not None]
        if not stored:
            return True
        full = len(batch.commands) >= self._room()
        return full and all(batch.keys.isdisjoint(each.keys) for each in stored)

    async def _run(self, lane: Lane) -> None:
        while True:
            batch = self._next()
            if batch is not None:
                lane.batch = batch
                try:
                    await self._store(lane, batch)
                except asyncio.CancelledError:
                    batch.fail(Unavailable("The log was closed meanwhile."))
                    raise
                finally:
                    lane.batch = None
                self._outstanding -= len(batch.commands)
                self._wake()
            elif self._closed and not self._batches:
                return
            else:
                lane.idle = self._loop.create_future()
                await lane.idle
                lane.idle = None

    async def _store(self, lane: Lane, batch: Batch) -> None:
        try:
            columns = self._columns(batch)
        except Exception as error:  # noqa: BLE001 - the callers must hear of any defect
            await self._store_halves(lane, batch, error)
            return
        try:
            rows = await self._call(lane, columns, batch.deadline)
            last = batch.answer(columns.verdicts(rows))
        except REFUSED_VALUE as error:
            refused = Malformed("The command holds a value that cannot be stored.")
            refused.__cause__ = error
            await self._store_halves(lane, batch, refused)
        except Exception as error:  # noqa: BLE001 - the callers must hear of any defect
            batch.fail(error)
        else:
            if last:
                self._on_stored(last)

    def _columns(self, batch: Batch) -> Columns:
        columns = Columns(batch.commands, ids=self._ids)
        if columns.size > MOST_BYTES and len(batch.commands) > 1:
            message = f"A batch has at most {MOST_BYTES} bytes of events."
            raise TooLarge(message)
        return columns

    async def _store_halves(self, lane: Lane, batch: Batch, error: Exception) -> None:
        """Store half by half what failed as a whole; one command is told why."""
        if len(batch.commands) == 1:
            batch.fail(error)
            return
        for half in batch.halves():
            await self._store(lane, half)

    async def _call(self, lane: Lane, columns: Columns, deadline: float) -> Rows:
        if columns.are_single:
            query, values = APPEND_SINGLES, columns.single_arguments()
        else:
            query, values = APPEND, columns.arguments()
        pause = FIRST_PAUSE
        while True:
            left = max(deadline - self._loop.time(), self._patience / 5)
            try:
                return await lane.fetch(query, values, seconds=left)
            except AWAY as error:
                lane.disconnect()
                if self._loop.time() + pause > deadline:
                    message = "The database is away; the outcome is unknown."
                    raise Unavailable(message) from error
            except asyncpg.CheckViolationError as error:
                if not has_no_partition(error):
                    raise
                if not await lane.make_partitions():
                    message = "The log has no partition for the next position."
                    raise Unavailable(message) from error
            except asyncio.CancelledError:
                lane.disconnect()
                raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def keys_of(asked: Sequence[tuple[Append, Told]]) -> list[Key]:
    """Return the streams and the ids of commands, by which no two may meet."""
    keys: list[Key] = [
        write.stream_id for command, _ in asked for write in command.writes
    ]
    keys += [command.meta.command_id.int for command, _ in asked]
    return keys
