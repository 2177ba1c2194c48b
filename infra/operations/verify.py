"""Verification of the log: that no row was lost, added, moved or changed since.

All checks look at one snapshot. Events stream past once, in order of position, as the
binary COPY sends them: a page of columns is hashed without being decoded, because the
digest takes a column as COPY writes it, its length (-1: null) and its bytes. Memory
does not grow with the log. What a check finds is its first bad row; the report's first
is the one at the lowest position.

Whoever can change rows, hashes and chain alike can only be found out by a receipt that
was kept elsewhere: `verify` proves the log up to its position to be what it was then.
"""

import struct
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final
from zlib import crc32

import asyncpg
import msgspec

from events import catalogue
from events.errors import Malformed
from infra.postgres.failures import reaching_database
from infra.postgres.hashing import GENESIS, SLICES, placed
from infra.postgres.pool import NoDatabaseError
from infra.settings import redacted
from projections.ddl import qualified, quoted
from projections.projection import Reference, Table


PAGE: Final = 20_000
COMMANDS_KEPT: Final = "30 days"

# Places, the columns of the digest in its order, then the hash itself and the type.
EVENTS: Final = """
SELECT
    position,
    version,
    recorded_at,
    event_id,
    occurred_at,
    slice,
    stream_id,
    org_id,
    region,
    command_id,
    correlation_id,
    causation_id,
    actor,
    ip,
    key_id,
    data,
    headers,
    hash,
    type
FROM es.events
WHERE position > $1
ORDER BY position
LIMIT $2
"""

HEAD: Final = "SELECT coalesce(max(position), 0) FROM es.events"

FLUSHES: Final = """
SELECT last_position, timestamptz_send(recorded_at) AS recorded_at, chain
FROM es.flushes
WHERE last_position > $1
  AND last_position <= $2
ORDER BY last_position
"""

LATER_FLUSH: Final = """
SELECT min(last_position)
FROM es.flushes
WHERE last_position > $1
"""

VERSIONS: Final = """
SELECT position, stream_id, version, expected
FROM (
    SELECT
        position,
        stream_id,
        version,
        row_number() OVER (PARTITION BY stream_id ORDER BY position) AS expected
    FROM es.events
) AS numbered
WHERE version <> expected
ORDER BY position
LIMIT 1
"""

STREAMS: Final = """
SELECT
    stream_id,
    s.stream_id IS NULL AS unlisted,
    e.stream_id IS NULL AS empty,
    e.first_org <> e.last_org AS shared,
    s.org_id IS DISTINCT FROM e.first_org AS other_org,
    s.version, e.version AS found_version,
    s.first_position, e.first_position AS found_first,
    s.last_position, e.last_position AS found_last
FROM (
    SELECT
        stream_id,
        min(org_id) AS first_org,
        max(org_id) AS last_org,
        max(version) AS version,
        min(position) AS first_position,
        max(position) AS last_position
    FROM es.events
    GROUP BY stream_id
) AS e
FULL JOIN es.streams AS s USING (stream_id)
WHERE (s.org_id, s.version, s.first_position, s.last_position)
    IS DISTINCT FROM (e.first_org, e.version, e.first_position, e.last_position)
   OR e.first_org <> e.last_org
ORDER BY coalesce(e.first_position, s.first_position), stream_id
LIMIT 1
"""

# A command may come again once its outcome was pruned, so its time tells it apart.
COMMANDS: Final = f"""
WITH written AS (
    SELECT
        org_id,
        command_id,
        recorded_at,
        stream_id,
        count(*) AS events,
        max(version) AS version,
        min(position) AS first_position,
        max(position) AS last_position
    FROM es.events
    GROUP BY org_id, command_id, recorded_at, stream_id
), found AS (
    SELECT
        org_id,
        command_id,
        recorded_at,
        sum(events) AS events,
        min(first_position) AS first_position,
        max(last_position) AS last_position
    FROM written
    GROUP BY org_id, command_id, recorded_at
)
SELECT
    org_id,
    command_id,
    kept.command_id IS NULL AS unlisted,
    found.first_position
FROM found
FULL JOIN es.commands AS kept USING (org_id, command_id, recorded_at)
LEFT JOIN written USING (org_id, command_id, recorded_at, stream_id)
WHERE CASE
    WHEN kept.command_id IS NULL
        THEN recorded_at > clock_timestamp() - interval '{COMMANDS_KEPT}'
    WHEN found.command_id IS NULL
        THEN kept.events <> 0
          OR kept.first_position IS NOT NULL
          OR kept.last_position > $1
    ELSE kept.events <> found.events
      OR kept.first_position IS DISTINCT FROM found.first_position
      OR kept.last_position <> found.last_position
      OR kept.version <> written.version
    END
ORDER BY
    coalesce(found.first_position, kept.first_position, kept.last_position),
    command_id
LIMIT 1
"""  # noqa: S608 - our own constant

COUNT: Final = {
    "versions": "SELECT count(*) FROM es.events",
    "streams": "SELECT count(*) FROM es.streams",
    "commands": "SELECT count(*) FROM es.commands",
}

GUARDS: Final = """
SELECT class.oid::regclass::text AS name, count(guard.oid) AS guards
FROM pg_class AS class
LEFT JOIN pg_trigger AS guard
    ON guard.tgrelid = class.oid
   AND guard.tgname IN ('refuse_change', 'refuse_truncate')
   AND guard.tgenabled <> 'D'
WHERE class.oid IN ('es.events'::regclass, 'es.flushes'::regclass)
   OR class.oid IN (
        SELECT inhrelid
        FROM pg_inherits
        WHERE inhparent = 'es.events'::regclass
   )
GROUP BY class.oid
ORDER BY class.oid
"""
GUARDS_EACH: Final = 2

_COPY_HEADER: Final = struct.Struct(">11s4xI")
_ROW: Final = struct.Struct(">h4xq4xq4xq4x16s4xq4xh")
_FIXED: Final = struct.Struct(">16sqh")
_EARLIER: Final = struct.Struct(">qq16sqqh")
_BETWEEN_STREAM_AND_DATA: Final = range(8)
_FIELDS: Final = 19
_DIGEST: Final = 32

_length: Final = struct.Struct(">i").unpack_from


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """The first bad row of a check: which it is, and what differs.

    `position` is its place in the log, where it has one.
    """

    row: str
    problem: str
    position: int | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found among the rows it looked at."""

    name: str
    rows: int
    bad: Bad | None = None

    @property
    def ok(self) -> bool:
        """Say whether every row was good."""
        return self.bad is None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` found; `receipt` is that of the whole log, to be kept elsewhere."""

    receipt: str
    checks: Sequence[Check]

    @property
    def ok(self) -> bool:
        """Say whether every check found every row good."""
        return self.first_bad is None

    @property
    def first_bad(self) -> Bad | None:
        """Return the bad row at the lowest position; rows without one come last."""
        found = [check.bad for check in self.checks if check.bad is not None]
        return min(
            found,
            key=lambda bad: (bad.position is None, bad.position or 0),
            default=None,
        )


LIVE_TABLES: Final = """
SELECT name, physical
FROM es.projections
WHERE state IN ('live', 'stale')
"""

ORPHANS: Final = """
SELECT {key} AS key, a.{column} AS missing
FROM {table} AS a
WHERE a.{column} IS NOT NULL
  AND NOT EXISTS (
        SELECT
        FROM {target_table} AS b
        WHERE b.{target} = a.{column}
  )
ORDER BY {key}
LIMIT 1
"""

TablesCheck = Callable[[], Awaitable[Sequence[Check]]]


async def verify(
    dsn: str,
    *,
    receipt: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    tables: Mapping[str, Table] | None = None,
    tables_check: TablesCheck | None = None,
    page: int = PAGE,
) -> Report:
    """Check the whole log, as the owner or projector, and what depends on it.

    `progress` is called with events done and all events. In `tables`, by name, rows
    are sought that refer to no row; `tables_check` adds other checks. Raises
    `Malformed` for what is no receipt, `NoDatabaseError` where there is no database,
    and `Unavailable` where it goes away meanwhile.
    """
    asked = None if receipt is None else parse_receipt(receipt)
    connection = await _connect(dsn)
    try:
        with reaching_database():
            async with connection.transaction(
                isolation="repeatable_read", readonly=True
            ):
                events, chain = await _walk(connection, asked, progress, page)
                checks = [
                    *events.checks(),
                    *chain.checks(),
                    await _versions(connection),
                    await _streams(connection),
                    await _commands(connection, events.last),
                    await _guards(connection),
                    *await _orphans(connection, tables or {}),
                ]
    finally:
        await connection.close()
    if tables_check is not None:
        checks += await tables_check()
    return Report(receipt=f"{chain.position}-{chain.digest.hex()}", checks=checks)


def parse_receipt(receipt: str) -> tuple[int, bytes]:
    """Return a receipt's position and chain, or raise `Malformed`."""
    position, _, chain = receipt.strip().partition("-")
    try:
        parsed = int(position), bytes.fromhex(chain)
    except ValueError:
        parsed = -1, b""
    if parsed[0] < 0 or len(parsed[1]) != _DIGEST:
        raise Malformed("A receipt is `<position>-<64 hexadecimal digits>`.")
    return parsed


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(
            dsn,
            server_settings={
                "application_name": "rehearsal verify",
                "work_mem": "64MB",
                "jit": "off",
                "statement_timeout": "0",
                "idle_in_transaction_session_timeout": "0",
            },
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        message = f"no database at {redacted(dsn)}: {error or 'no answer in time'}"
        raise NoDatabaseError(message) from error


async def _walk(
    connection: asyncpg.Connection,
    asked: tuple[int, bytes] | None,
    progress: Callable[[int, int], None] | None,
    page: int,
) -> tuple["_Events", "_Chain"]:
    total = await connection.fetchval(HEAD)
    events = _Events()
    chain = _Chain(asked)
    full = True
    while full:
        start = events.last
        full = await events.read(connection, page) == page
        chain.extend(events, await connection.fetch(FLUSHES, start, events.last))
        if progress is not None:
            progress(events.last, total)
    chain.end(events, await connection.fetchval(LATER_FLUSH, events.last))
    return events, chain


class _Finding:
    """A check under way: keeps the first bad row only."""

    __slots__ = ("bad", "name", "rows")

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = 0
        self.bad: Bad | None = None

    def fail(self, row: str, problem: str, position: int | None) -> None:
        if self.bad is None:
            self.bad = Bad(row=row, problem=problem, position=position)

    def result(self) -> Check:
        return Check(name=self.name, rows=self.rows, bad=self.bad)


class _Events:
    """The pass over the events: positions, times, slices, hashes and types."""

    def __init__(self) -> None:
        self.last = 0
        self.recorded_at: int | None = None
        self.positions: list[int] = []
        self.moments: list[int] = []
        self.hashes = bytearray()
        self._rest = b""
        self._begun = False
        self._findings = {
            name: _Finding(name)
            for name in ("positions", "times", "slices", "hashes", "types")
        }

    def checks(self) -> list[Check]:
        return [finding.result() for finding in self._findings.values()]

    async def read(self, connection: asyncpg.Connection, page: int) -> int:
        self.positions.clear()
        self.moments.clear()
        self.hashes.clear()
        self._rest = b""
        self._begun = False
        await connection.copy_from_query(
            EVENTS, self.last, page, output=self._take, format="binary"
        )
        for finding in self._findings.values():
            finding.rows += len(self.positions)
        return len(self.positions)

    async def _take(self, chunk: bytes) -> None:
        buffer = self._rest + chunk
        at = 0
        if not self._begun:
            _, extension = _COPY_HEADER.unpack_from(buffer)
            at = _COPY_HEADER.size + extension
            self._begun = True
        size = len(buffer)
        while at < size:
            end = self._row(buffer, at, size)
            if not end:
                break
            at = end
        self._rest = buffer[at:]

    def _row(self, buffer: bytes, at: int, size: int) -> int:
        """Check the row that begins at an offset and return its end, 0 if not whole."""
        stream = at + _ROW.size
        try:
            fields, position, version, recorded, event_id, occurred, part = (
                _ROW.unpack_from(buffer, at)
            )
            data = owner = stream + 4 + _length(buffer, stream)[0]
            for _ in _BETWEEN_STREAM_AND_DATA:
                length = _length(buffer, data)[0]
                data += 4 + length if length > 0 else 4
            headers = data + 4 + _length(buffer, data)[0]
            length = _length(buffer, headers)[0]
            stored = headers + 4 + length if length > 0 else headers + 4
            kind = stored + 4 + _length(buffer, stored)[0]
            end: int = kind + 4 + _length(buffer, kind)[0]
        except struct.error:
            return 0
        if end > size:
            return 0
        if fields != _FIELDS:
            message = f"A row of {fields} columns came instead of {_FIELDS}."
            raise AssertionError(message)
        self._place(position, recorded)
        if crc32(buffer[stream + 4 : owner]) % SLICES != part:
            self._fail("slices", position, f"its slice is {part}")
        given = buffer[stored + 4 : kind]
        texts = buffer[stream:stored]
        digest = sha256(_FIXED.pack(event_id, occurred, part) + texts).digest()
        if placed(digest, position, version, recorded) != given:
            fixed = _EARLIER.pack(position, version, event_id, occurred, recorded, part)
            if sha256(fixed + texts).digest() != given:
                self._fail("hashes", position, "its columns do not give its hash")
        try:
            catalogue.decode(
                buffer[kind + 4 : end].decode(), buffer[data + 4 : headers]
            )
        except Malformed as error:
            self._fail("types", position, str(error))
        self.positions.append(position)
        self.moments.append(recorded)
        self.hashes += given if len(given) == _DIGEST else GENESIS
        return end

    def _place(self, position: int, recorded: int) -> None:
        if position != self.last + 1:
            self._findings["positions"].fail(
                f"es.events position {self.last + 1}",
                f"it is missing; the next event is at position {position}",
                self.last + 1,
            )
        if self.recorded_at is not None and recorded < self.recorded_at:
            self._fail("times", position, "it was recorded before the event before it")
        self.last = position
        self.recorded_at = recorded

    def _fail(self, check: str, position: int, problem: str) -> None:
        self._findings[check].fail(f"es.events position {position}", problem, position)


class _Chain:
    """The pass over the flushes: each chain follows from the one before it."""

    def __init__(self, asked: tuple[int, bytes] | None) -> None:
        self.position = 0
        self.digest = GENESIS
        self._asked = asked
        self._proved: bytes | None = GENESIS if asked and asked[0] == 0 else None
        self._hasher = sha256(GENESIS)
        self._open = 0
        self._first_open = 0
        self._finding = _Finding("chain")

    def extend(self, events: _Events, flushes: Sequence[asyncpg.Record]) -> None:
        done = 0
        for flush in flushes:
            end = bisect_right(events.positions, flush["last_position"], lo=done)
            self._add(events, done, end)
            last = end - 1 if end > done else None
            self._close(flush, events, last)
            done = end
        self._add(events, done, len(events.positions))

    def end(self, events: _Events, later: int | None) -> None:
        if later is not None:
            self._finding.fail(
                f"es.events position {events.last + 1}",
                f"it is missing; es.flushes goes on to position {later}",
                events.last + 1,
            )
        elif self._open:
            self._finding.fail(
                f"es.events position {self._first_open}",
                "no row of es.flushes covers it",
                self._first_open,
            )

    def checks(self) -> list[Check]:
        if self._asked is None:
            return [self._finding.result()]
        return [self._finding.result(), self._receipt(*self._asked)]

    def _add(self, events: _Events, start: int, end: int) -> None:
        if end > start:
            if not self._open:
                self._first_open = events.positions[start]
            self._open += end - start
            self._hasher.update(events.hashes[_DIGEST * start : _DIGEST * end])

    def _close(self, flush: asyncpg.Record, events: _Events, last: int | None) -> None:
        position = flush["last_position"]
        row = f"es.flushes last_position {position}"
        self._finding.rows += 1
        self.digest = self._hasher.digest()
        self.position = position
        moment = int.from_bytes(flush["recorded_at"], "big", signed=True)
        if last is None or events.positions[last] != position:
            self._finding.fail(row, "there is no event at that position", position)
        elif events.moments[last] != moment:
            self._finding.fail(row, "it and its events differ in time", position)
        if self.digest != flush["chain"]:
            first = self._first_open if self._open else position
            self._finding.fail(
                row,
                f"the hashes of positions {first} to {position} do not give its chain",
                position,
            )
        if self._asked and self._asked[0] == position:
            self._proved = self.digest
        self._hasher = sha256(self.digest)
        self._open = 0

    def _receipt(self, position: int, chain: bytes) -> Check:
        finding = _Finding("receipt")
        finding.rows = 1
        row = f"es.flushes last_position {position}"
        if self._proved is None:
            finding.fail(row, "the receipt's commit is not in the log", position)
        elif self._proved != chain:
            finding.fail(row, f"the log up to position {position} is another", position)
        return finding.result()


async def _versions(connection: asyncpg.Connection) -> Check:
    finding = await _counted(connection, "versions")
    row = await connection.fetchrow(VERSIONS)
    if row is not None:
        finding.fail(
            f"es.events position {row['position']}",
            f"it is version {row['version']} of {row['stream_id']}"
            f" where {row['expected']} comes next",
            row["position"],
        )
    return finding.result()


async def _streams(connection: asyncpg.Connection) -> Check:
    finding = await _counted(connection, "streams")
    row = await connection.fetchrow(STREAMS)
    if row is not None:
        finding.fail(f"es.streams {row['stream_id']}", _stream_problem(row), None)
    return finding.result()


def _stream_problem(row: asyncpg.Record) -> str:
    if row["unlisted"]:
        return "it has events and no row"
    if row["empty"]:
        return "it has a row and no events"
    if row["shared"]:
        return "its events belong to several organisations"
    if row["other_org"]:
        return "it and its events belong to different organisations"
    differing = [
        f"{column} is {row[column]} and its events say {row[found]}"
        for column, found in (
            ("version", "found_version"),
            ("first_position", "found_first"),
            ("last_position", "found_last"),
        )
        if row[column] != row[found]
    ]
    return ", ".join(differing)


async def _commands(connection: asyncpg.Connection, head: int) -> Check:
    finding = await _counted(connection, "commands")
    row = await connection.fetchrow(COMMANDS, head)
    if row is not None:
        finding.fail(
            f"es.commands {row['org_id']} {row['command_id']}",
            f"it has events from position {row['first_position']} and no outcome"
            if row["unlisted"]
            else "its outcome and its events differ",
            None,
        )
    return finding.result()


async def _guards(connection: asyncpg.Connection) -> Check:
    finding = _Finding("guards")
    for row in await connection.fetch(GUARDS):
        finding.rows += 1
        if row["guards"] < GUARDS_EACH:
            finding.fail(row["name"], "a trigger against changes is missing", None)
    return finding.result()


async def _orphans(
    connection: asyncpg.Connection, tables: Mapping[str, Table]
) -> list[Check]:
    if not tables:
        return []
    live = {
        row["name"]: qualified(tables[row["name"]], row["physical"])
        for row in await connection.fetch(LIVE_TABLES)
        if row["name"] in tables
    }
    return [
        await _orphan(connection, name, tables[name].key, reference, live)
        for name in sorted(live)
        for reference in tables[name].references
        if reference.table in live
    ]


async def _orphan(
    connection: asyncpg.Connection,
    name: str,
    key: Sequence[str],
    reference: Reference,
    live: Mapping[str, str],
) -> Check:
    column = quoted(reference.column)
    finding = _Finding(f"references {name}.{reference.column}")
    finding.rows = await connection.fetchval(
        f"SELECT count({column}) FROM {live[name]}"  # noqa: S608 - quoted names
    )
    row = await connection.fetchrow(
        ORPHANS.format(
            key=f"ROW({', '.join(f'a.{quoted(part)}' for part in key)})",
            column=column,
            table=live[name],
            target_table=live[reference.table],
            target=quoted(reference.target),
        )
    )
    if row is not None:
        keys = ", ".join(map(str, row["key"]))
        finding.fail(
            f"{name} {keys}", f"there is no {reference.table} {row['missing']}", None
        )
    return finding.result()


async def _counted(connection: asyncpg.Connection, name: str) -> _Finding:
    finding = _Finding(name)
    finding.rows = await connection.fetchval(COUNT[name])
    return finding
