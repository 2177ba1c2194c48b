"""The event log in PostgreSQL: gapless, in the order of commits, never rewritten.

Format (schema `es`, one file for each object under `sql/0001_log`)

events    one row per event, partitioned by ranges of 2^24 positions. `data` and
          `headers` are `json`, so that the stored text is the text that was hashed;
          `type` is generated from `data`. For slice, hash and chain see
          `infra.postgres.hashing`.
streams   where each stream stands: owner, version, first and last position, closed.
          The authority for versions, since no index spans all partitions.
commands  the outcome of every accepted command, by organisation and command id, kept
          for 30 days: what makes a command take effect once.
flushes   one row per call that appended events: last position, time, chain. The last
          row is the head of the log, and `<last position>-<chain>` is the receipt.
blobs     large bodies by sha256.

Append

A function of the owner's, `es.append_v4`, takes a batch of commands as parallel arrays;
nobody has a right to write the tables themselves. In one transaction it takes an
advisory lock, reads the head, and judges every command with snapshots that are younger
than the lock: known command ids, then each write's stream in order (owner, closed,
expected version). Accepted commands get the next positions, in order; the others are
answered and leave no trace. Since positions are given out under a lock that is released
after the commit has become visible, whoever sees a position sees every position below:
`position > $1 ORDER BY position` loses nothing and a hole is corruption.

`es.append_singles_v2` does the same at less cost for commands of one event each, as
long as all are plainly accepted; else it has `es.append_v4` judge them.

`es.append_bulk_v4` is the same for imports, where a stream may be written by many
commands of one call: expectations count the commands before, and all is stored or
nothing. A long import is several such calls in one transaction. Single calls are
batched in the process (`infra.postgres.flusher`), and readers are woken after the
commit, never inside it (`infra.postgres.doorbell`).

Time is taken under the lock and is never before the head's, so a moment is a position.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec.structs import replace

from events import catalogue
from events.errors import Malformed, Refused, TooLarge, Unavailable
from events.log import Append, Head, Status, Stream, Told, Verdict, Write
from events.message import Event, Recorded
from infra.clock import new_id
from infra.postgres.columns import (
    ARGUMENTS,
    Columns,
    Sealed,
    verdict,
)
from infra.postgres.doorbell import CHANNEL, Doorbell
from infra.postgres.failures import AWAY, REFUSED_VALUE, reaching_database
from infra.postgres.flusher import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    PATIENCE,
    Connect,
    Flusher,
)
from infra.postgres.hashing import GENESIS
from infra.postgres.partitions import keep_partitions, make_partitions
from infra.postgres.pool import Pool, open_pool
from infra.postgres.pruning import keep_pruned
from infra.vault import Vault, is_personal
from services.ports import Ids


ACCEPTED: Final = frozenset({Status.OK, Status.DUPLICATE})
FIRST_PORTION: Final = 256
LARGEST_PORTION: Final = 4096
BREATHER: Final = 64
LARGEST_BULK: Final = 128 * 1024 * 1024
BULK_SECONDS: Final = 25.0
CONNECT_SECONDS: Final = 2.0

COLUMNS: Final = """
       position, stream_id, version, event_id, type, org_id, region, command_id,
       correlation_id, causation_id, actor, ip, occurred_at, recorded_at, headers,
       data, key_id
"""
READ: Final = f"""
SELECT {COLUMNS}
  FROM es.events
 WHERE position > $1
 ORDER BY position
 LIMIT $2
"""  # noqa: S608 - constants
READ_STREAM: Final = f"""
SELECT {COLUMNS}
  FROM es.events
 WHERE stream_id = $1
   AND version > $2
   AND version <= $3
   AND position BETWEEN $4 AND $5
 ORDER BY version
"""  # noqa: S608 - constants
STREAM: Final = """
SELECT version, org_id, first_position, last_position
  FROM es.streams
 WHERE stream_id = $1
"""
HEAD: Final = """
SELECT last_position, recorded_at, chain
  FROM es.flushes
 ORDER BY last_position DESC
 LIMIT 1
"""
POSITION_AT: Final = """
SELECT last_position
  FROM es.flushes
 WHERE recorded_at <= $1
 ORDER BY recorded_at DESC, last_position DESC
 LIMIT 1
"""
OUTCOMES: Final = """
SELECT asked.place, known.body_hash, known.last_position, known.version, known.events,
       NULL::text, known.recorded_at, es.receipt(known.last_position)
  FROM unnest($2::uuid[]) WITH ORDINALITY AS asked (command_id, place)
  JOIN es.commands AS known
    ON known.org_id = $1
   AND known.command_id = asked.command_id
"""
APPEND_BULK: Final = f"SELECT * FROM es.append_bulk_v4({ARGUMENTS})"  # noqa: S608
NOTIFY: Final = f"SELECT pg_notify('{CHANNEL}', $1)"

KEY: Final = 16

_headers: Final = msgspec.json.Decoder(dict[str, str])


class HoleError(Exception):
    """A position is missing from the log: it was damaged."""

    def __init__(self, position: int) -> None:
        super().__init__(f"position {position} is missing from the log")
        self.position = position


class SomeRefusedError(Exception):
    """A part of a bulk append was refused, so that nothing of it is kept."""


class PostgresEventLog:
    """An `EventLog` on PostgreSQL; `open_event_log` makes one."""

    def __init__(
        self,
        *,
        pool: Pool,
        flusher: Flusher,
        doorbell: Doorbell,
        vault: Vault | None,
        ids: Ids,
        patience: float,
    ) -> None:
        self._pool = pool
        self._flusher = flusher
        self._doorbell = doorbell
        self._vault = vault
        self._ids = ids
        self._patience = patience
        self._telling: set[asyncio.Task[None]] = set()

    def send(self, asked: Sequence[tuple[Append, Told]]) -> None:
        """Append each entry, and tell what became of it."""
        if self._vault is None:
            self._flusher.send(asked)
            return
        sealing = [pair for pair in asked if holds_personal(pair[0])]
        if sealing:
            asked = [pair for pair in asked if not holds_personal(pair[0])]
        self._flusher.send(asked)
        for entry, told in sealing:
            task = asyncio.create_task(self._tell(entry, told))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def append(self, entry: Append) -> Verdict:
        """Append one command's events; concurrent calls share a commit.

        Raises `Malformed` for text or values that cannot be stored.
        """
        ready = await self._ready(entry)
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._flusher.send([(ready, partial(settle, future))])
        return await future

    async def append_bulk(self, entries: Sequence[Append]) -> Sequence[Verdict]:
        """Append many commands' events in order and in one transaction.

        Other appends wait meanwhile: thousands of events for each call, rather than
        millions. Raises `TooLarge` above 128 MiB of events, and `Malformed` as
        `append` does; then nothing was appended.
        """
        parts = portions(entries)
        found: list[Verdict] = []
        if len(parts) > 1:
            with suppress(SomeRefusedError):
                found = await self._persist(lambda: self._append_parts(parts))
        if not found and entries:
            found = await self._persist(lambda: self._append_whole(entries))
        if accepted(found):
            self._doorbell.stored(max((each.position for each in found), default=0))
            return found
        return [
            Verdict(status=Status.OK) if each.status is Status.OK else each
            for each in found
        ]

    async def read(self, after: int, limit: int = 1000) -> Sequence[Recorded[Event]]:
        """Return the events at positions `after + 1 ...`, at most `limit`, in order.

        Raises `HoleError` where a position is missing.
        """
        with reaching_database():
            rows = await self._pool.fetch(READ, after, limit)
        if rows and rows[-1][0] != after + len(rows):
            raise HoleError(
                next(
                    expected
                    for expected, row in enumerate(rows, start=after + 1)
                    if row[0] != expected
                )
            )
        return await self._opened(rows)

    async def read_stream(
        self,
        stream_id: str,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> Stream:
        """Return a stream's events with versions above `after`, in order."""
        rows: Sequence[asyncpg.Record] = ()
        with reaching_database():
            async with self._pool.acquire() as connection:
                stream = await connection.fetchrow(STREAM, stream_id)
                if stream is None:
                    return Stream(
                        stream_id=stream_id, version=0, org_id=None, events=()
                    )
                version, org_id, first, last = stream
                if upto is not None:
                    last = min(last, upto)
                if version > after and first <= last:
                    end = version if limit is None else min(version, after + limit)
                    rows = await connection.fetch(
                        READ_STREAM, stream_id, after, end, first, last
                    )
        return Stream(
            stream_id=stream_id,
            version=version,
            org_id=org_id,
            events=await self._opened(rows),
        )

    async def head(self) -> Head:
        """Return the end of the log."""
        with reaching_database():
            row = await self._pool.fetchrow(HEAD)
        if row is None:
            return Head(position=0, recorded_at=None, chain=GENESIS)
        position, recorded_at, chain = row
        return Head(position=position, recorded_at=recorded_at, chain=chain)

    async def wait(self, after: int, *, seconds: float) -> int:
        """Return the head's position once it is above `after`, or after `seconds`."""
        return await self._doorbell.wait(after, seconds=seconds)

    async def position_at(self, moment: datetime) -> int:
        """Return the last position recorded at or before a moment, 0 for none."""
        with reaching_database():
            position = await self._pool.fetchval(POSITION_AT, moment)
        return position or 0

    async def outcomes(
        self, org_id: str, asked: Sequence[tuple[UUID, bytes]]
    ) -> Sequence[Verdict | None]:
        """Return what is recorded for each (command id, body hash), in order."""
        found: list[Verdict | None] = [None] * len(asked)
        if not asked:
            return found
        with reaching_database():
            rows = await self._pool.fetch(OUTCOMES, org_id, [each[0] for each in asked])
        for place, body_hash, *outcome in rows:
            if body_hash == asked[place - 1][1]:
                found[place - 1] = verdict(Status.DUPLICATE, *outcome)
            else:
                found[place - 1] = Verdict(status=Status.MISMATCH)
        return found

    async def _tell(self, entry: Append, told: Told) -> None:
        try:
            answer = await self.append(entry)
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it
            told(error)
        else:
            told(answer)

    async def _ready(self, entry: Append) -> Append:
        """Return a command with its personal text sealed, if it holds any."""
        if self._vault is not None and holds_personal(entry):
            return await self._sealed(entry)
        return entry

    async def _sealed(self, entry: Append) -> Append:
        event_ids: list[UUID] = []
        key_ids: list[UUID | None] = []
        writes: list[Write] = []
        try:
            for write in entry.writes:
                events: list[Event] = []
                for event in write.events:
                    event_id, stored, key_id = await self._fact(
                        entry.meta.org_id, event
                    )
                    event_ids.append(event_id)
                    events.append(stored)
                    key_ids.append(key_id)
                writes.append(replace(write, events=tuple(events)))
        except Refused:
            # It may be a repetition from before the subject was erased: then its id
            # alone gets it the recorded answer.
            meta = entry.meta
            (known,) = await self.outcomes(
                meta.org_id, [(meta.command_id, entry.body_hash)]
            )
            if known is None:
                raise
            return replace(entry, writes=())
        return Sealed(
            meta=entry.meta,
            body_hash=entry.body_hash,
            writes=tuple(writes),
            event_ids=event_ids,
            key_ids=key_ids,
        )

    async def _fact(self, org_id: str, event: Event) -> tuple[UUID, Event, UUID | None]:
        event_id, key_id = self._ids(), None
        if self._vault is not None and is_personal(event):
            ((event, key_id),) = await self._vault.seal(org_id, [(event_id, event)])
        return event_id, event, key_id

    async def _columns(self, entries: Sequence[Append], size: int = 0) -> Columns:
        """Return commands ready to go; `size` is that of those before."""
        columns = Columns(ids=self._ids)
        for run in breaths(entries):
            await asyncio.sleep(0)
            columns.add([await self._ready(entry) for entry in run])
            if size + columns.size > LARGEST_BULK:
                message = "A bulk append holds at most 128 MiB of events."
                raise TooLarge(message)
        return columns

    async def _append_whole(self, entries: Sequence[Append]) -> list[Verdict]:
        columns = await self._columns(entries)
        rows = await self._pool.fetch(
            APPEND_BULK, *columns.arguments(), timeout=BULK_SECONDS
        )
        return columns.verdicts(rows)

    async def _append_parts(self, parts: Sequence[Sequence[Append]]) -> list[Verdict]:
        """Append parts in one transaction, or raise `SomeRefusedError`.

        The next part is made ready while the server stores the one before.
        """
        stored: list[Verdict] = []
        columns = await self._columns(parts[0])
        size = columns.size
        values = columns.arguments()
        async with self._pool.acquire() as connection, connection.transaction():
            for following in (*parts[1:], ()):
                storing = asyncio.ensure_future(
                    connection.fetch(APPEND_BULK, *values, timeout=BULK_SECONDS)
                )
                sent = columns
                try:
                    if following:
                        columns = await self._columns(following, size)
                        size += columns.size
                        values = columns.arguments()
                    found = sent.verdicts(await storing)
                finally:
                    storing.cancel()
                    await asyncio.wait([storing])
                if not accepted(found):
                    raise SomeRefusedError
                stored += found
        return stored

    async def _persist(
        self, attempt: Callable[[], Awaitable[list[Verdict]]]
    ) -> list[Verdict]:
        """Try until the database answers; what is stored twice counts once."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        pause = FIRST_PAUSE
        while True:
            try:
                return await attempt()
            except REFUSED_VALUE as error:
                message = "A command holds a value that cannot be stored."
                raise Malformed(message) from error
            except AWAY as error:
                if loop.time() + pause > deadline:
                    message = "The database is away; the outcome is unknown."
                    raise Unavailable(message) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _opened(self, rows: Sequence[asyncpg.Record]) -> list[Recorded[Event]]:
        found = [recorded(row) for row in rows]
        if self._vault is not None:
            locked = [place for place, row in enumerate(rows) if row[KEY] is not None]
            if locked:
                opened = await self._vault.open(
                    [
                        (found[at].event_id, rows[at][KEY], found[at].event)
                        for at in locked
                    ]
                )
                for at, event in zip(locked, opened, strict=True):
                    found[at] = replace(found[at], event=event)
        return found


def settle(future: "asyncio.Future[Verdict]", answer: Verdict | Exception) -> None:
    """Pass an answer on to whoever still waits for it."""
    if future.done():
        return
    if isinstance(answer, Verdict):
        future.set_result(answer)
    else:
        future.set_exception(answer)


def holds_personal(entry: Append) -> bool:
    """Say whether a command appends text that has to be sealed."""
    for write in entry.writes:
        for event in write.events:
            if event.personal and is_personal(event):
                return True
    return False


def breaths(entries: Sequence[Append]) -> Iterator[Sequence[Append]]:
    """Yield commands in runs that are soon encoded, by how many events they have."""
    start = units = 0
    for place, entry in enumerate(entries):
        if units >= BREATHER:
            yield entries[start:place]
            start, units = place, 0
        units += 1 + sum([len(write.events) for write in entry.writes])
    if start < len(entries):
        yield entries[start:]


def portions(entries: Sequence[Append]) -> list[Sequence[Append]]:
    """Return commands cut into runs, by how many events and commands they are.

    The first is short, so that the server need not wait for it for long, and each is
    twice the one before, because storing takes more than twice what making ready does.
    """
    cuts, units, most = [0], 0, FIRST_PORTION
    for place, entry in enumerate(entries, start=1):
        units += sum(len(write.events) for write in entry.writes) + 1
        if units > most:
            cuts.append(place)
            units, most = 0, min(2 * most, LARGEST_PORTION)
    if cuts[-1] < len(entries):
        cuts.append(len(entries))
    return [entries[start:end] for start, end in pairwise(cuts)]


def accepted(found: Sequence[Verdict]) -> bool:
    """Say whether every command was accepted, now or before."""
    return all(each.status in ACCEPTED for each in found)


def recorded(row: asyncpg.Record) -> Recorded[Event]:
    """Return the event that a row of `COLUMNS` holds."""
    (
        position,
        stream_id,
        version,
        event_id,
        kind,
        org_id,
        region,
        command_id,
        correlation_id,
        causation_id,
        actor,
        ip,
        occurred_at,
        recorded_at,
        headers,
        data,
        _,
    ) = row
    return Recorded(
        position=position,
        stream_id=stream_id,
        version=version,
        event_id=event_id,
        org_id=org_id,
        region=region,
        command_id=command_id,
        correlation_id=correlation_id,
        causation_id=causation_id,
        actor=actor,
        ip=ip,
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        headers=_headers.decode(headers) if headers else None,
        event=catalogue.decode(kind, data),
    )


@asynccontextmanager
async def open_event_log(
    dsn: str,
    *,
    vault: Vault | None = None,
    ids: Ids = new_id,
    direct_dsn: str | None = None,
    readers: int = 8,
    patience: float = PATIENCE,
    application_name: str = "rehearsal",
) -> AsyncIterator[PostgresEventLog]:
    """Open the log at an address as the role `rehearsal_app`, migrated before.

    `direct_dsn` is an address without a pooler between, for LISTEN. `readers` is the
    most connections for reading; the doorbell adds one, and appends two.
    After `patience` seconds without the database an append raises `Unavailable`.
    Without a vault personal text is stored as it is. Leaving stores what waits.
    """
    async with AsyncExitStack() as stack:
        pool = await open_pool(
            dsn, min_size=1, max_size=readers, application_name=application_name
        )
        stack.push_async_callback(pool.close)

        async def head() -> int:
            with reaching_database():
                return await pool.fetchval(HEAD) or 0

        async def notify(position: int) -> None:
            with reaching_database():
                await pool.execute(NOTIFY, str(position))

        doorbell = Doorbell(
            head=head,
            notify=notify,
            connect=_connector(direct_dsn or dsn, f"{application_name} doorbell"),
        )
        stack.push_async_callback(doorbell.close)
        flusher = Flusher(
            _connector(dsn, f"{application_name} append", seconds=patience),
            ids=ids,
            on_stored=doorbell.stored,
            patience=patience,
        )
        stack.push_async_callback(flusher.close)
        with reaching_database():
            await make_partitions(pool)
        for name, work in (
            ("partitions", keep_partitions(pool)),
            ("pruning", keep_pruned(pool)),
        ):
            task = asyncio.create_task(work, name=name)
            stack.push_async_callback(_end, task)
        yield PostgresEventLog(
            pool=pool,
            flusher=flusher,
            doorbell=doorbell,
            vault=vault,
            ids=ids,
            patience=patience,
        )


def _connector(dsn: str, name: str, *, seconds: float | None = None) -> Connect:
    settings = {"application_name": name, "jit": "off"}
    if seconds is not None:
        settings["statement_timeout"] = str(round(seconds * 1000))

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            dsn, timeout=CONNECT_SECONDS, server_settings=settings
        )

    return connect


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
