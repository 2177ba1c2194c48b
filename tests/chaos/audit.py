"""Compares what writers and readers wrote down with what the log and the tables hold.

It asks the log for nothing that a promise of the log could hide: events, streams,
outcomes and flushes are read as rows, and judged here.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5
from zlib import crc32

import asyncpg

from infra.operations.verify import verify
from infra.postgres.event_log import open_event_log
from infra.postgres.pool import open_pool
from projections import builds, parking
from projections.digest import digest as table_digest
from projections.projection import Group
from projections.rebuilding import Rebuilding
from projections.runner import GroupRunner
from tests.chaos.commands import SPACE
from tests.chaos.findings import Findings
from tests.chaos.journal import (
    Acknowledged,
    Asked,
    Refused,
    Undone,
    lines_of,
)
from tests.chaos.tables import GROUP, UNEQUAL
from tests.chaos.watching import checksum, seen
from tests.postgres_ladder import Database


FETCHED: Final = 5_000
PROVED: Final = 2
EVENTS: Final = """
SELECT position, stream_id, version, command_id, data ->> 'text' AS text, recorded_at
FROM es.events
ORDER BY position
"""
STREAMS: Final = "SELECT stream_id, version FROM es.streams"
COMMANDS: Final = "SELECT command_id, events, last_position FROM es.commands"
FLUSHES: Final = "SELECT last_position, encode(chain, 'hex') AS chain FROM es.flushes"


class Stored:
    """A command's events as the log holds them."""

    __slots__ = ("events", "first", "hasher", "last")

    def __init__(self, position: int) -> None:
        self.events = 0
        self.first = self.last = position
        self.hasher = sha256()


class Log:
    """The whole log as rows, judged by itself."""

    def __init__(self, findings: Findings) -> None:
        self.events: dict[int, tuple[int, int, int]] = {}
        self.commands: dict[UUID, Stored] = {}
        self.outcomes: dict[UUID, tuple[int, int]] = {}
        self.chains: dict[int, str] = {}
        self.versions: Counter[str] = Counter()
        self._findings = findings
        self._last = 0
        self._moment: Any = None

    async def load(self, dsn: str) -> None:
        """Read everything at one moment."""
        connection = await asyncpg.connect(dsn)
        try:
            async with connection.transaction(
                isolation="repeatable_read", readonly=True
            ):
                async for row in connection.cursor(EVENTS, prefetch=FETCHED):
                    self._add(*row)
                streams = dict(map(tuple, await connection.fetch(STREAMS)))
                for command_id, events, last in await connection.fetch(COMMANDS):
                    self.outcomes[command_id] = events, last
                self.chains = dict(map(tuple, await connection.fetch(FLUSHES)))
        finally:
            await connection.close()
        for stream_id in streams.keys() | self.versions.keys():
            if streams.get(stream_id) != self.versions[stream_id]:
                self._findings.add(
                    "es.streams and the events disagree",
                    f"{stream_id}: {streams.get(stream_id)}, "
                    f"{self.versions[stream_id]} events",
                )

    def _add(  # noqa: PLR0917 - the columns of a row
        self,
        position: int,
        stream_id: str,
        version: int,
        command_id: UUID,
        text: str,
        moment: Any,  # noqa: ANN401 - a time, compared only
    ) -> None:
        if position != self._last + 1:
            missing = position - self._last - 1
            self._findings.add("positions are not dense", f"before {position}", missing)
        self._last = position
        self.versions[stream_id] += 1
        if version != self.versions[stream_id]:
            self._findings.add(
                "versions are not contiguous in the order of positions",
                f"position {position}: {stream_id} version {version}",
            )
        if self._moment is not None and moment < self._moment:
            self._findings.add("recorded_at goes back", f"position {position}")
        self._moment = moment
        stored = self.commands.get(command_id)
        if stored is None:
            stored = self.commands[command_id] = Stored(position)
        stored.events += 1
        stored.last = position
        stored.hasher.update(f"{stream_id} {text}\n".encode())
        self.events[position] = (
            version,
            crc32(stream_id.encode()),
            checksum(command_id, text),
        )


class Told:
    """What every journal says, together."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self.asked: dict[UUID, Asked] = {}
        self.acknowledged: dict[UUID, Acknowledged] = {}
        self.refused: dict[UUID, str] = {}
        self.undone: set[UUID] = set()
        self.receipts: set[str] = set()
        self.answers = 0
        for path in sorted(folder.glob("*.journal")):
            for line in lines_of(path):
                match line:
                    case Asked():
                        self.asked[line.id] = line
                    case Acknowledged():
                        self._acknowledge(line, findings)
                    case Refused():
                        self.refused[line.id] = line.status
                    case Undone():
                        self.undone.add(line.id)

    def _acknowledge(self, line: Acknowledged, findings: Findings) -> None:
        self.answers += 1
        self.receipts.add(line.receipt)
        known = self.acknowledged.setdefault(line.id, line)
        if (known.position, known.events) != (line.position, line.events):
            findings.add(
                "one command, two answers",
                f"{line.id}: {known.position} and {line.position}",
            )


def judge_commands(told: Told, log: Log, findings: Findings) -> Counter[str]:
    """Hold every command's fate against the log."""
    counts: Counter[str] = Counter()
    for command_id, asked in told.asked.items():
        stored = log.commands.get(command_id)
        outcome = log.outcomes.get(command_id)
        answer = told.acknowledged.get(command_id)
        denied = told.refused.get(command_id)
        if command_id in told.undone:
            denied = "rolled back"
        if answer is not None:
            counts["acknowledged"] += 1
            _judge_acknowledged(asked, answer, stored, outcome, findings)
        elif denied is None:
            counts["unanswered"] += 1
            counts["unanswered, stored"] += outcome is not None
        if denied is not None:
            counts["rolled back" if denied == "rolled back" else "refused"] += 1
            if outcome is not None or stored is not None or answer is not None:
                findings.add("refused or rolled back, and stored", f"{asked} {denied}")
        if stored is not None:
            _judge_whole(asked, stored, findings)
    for command_id in log.commands.keys() - told.asked.keys():
        findings.add("stored and never asked for", f"{command_id}")
    return counts


def _judge_acknowledged(
    asked: Asked,
    answer: Acknowledged,
    stored: Stored | None,
    outcome: tuple[int, int] | None,
    findings: Findings,
) -> None:
    if outcome is None or (stored is None and asked.events):
        findings.add("acknowledged and lost", f"{answer}")
    elif outcome != (asked.events, answer.position):
        findings.add("acknowledged otherwise than recorded", f"{answer} {outcome}")
    elif stored is not None and stored.last != answer.position:
        findings.add("acknowledged elsewhere than stored", f"{answer} {stored.last}")


def _judge_whole(asked: Asked, stored: Stored, findings: Findings) -> None:
    example = f"{asked.id}: {stored.events} of {asked.events} events"
    if stored.events > asked.events:
        findings.add("stored more than once", example)
    elif stored.events < asked.events:
        findings.add("stored in part", example)
    elif stored.hasher.hexdigest() != asked.digest:
        findings.add("stored otherwise than asked", example)
    if stored.last - stored.first + 1 != stored.events:
        findings.add("a command's events are not together", example)


def judge_receipts(told: Told, log: Log, findings: Findings) -> None:
    """Look for every receipt that was given on the chain that there is."""
    for receipt in told.receipts:
        position, _, chain = receipt.partition("-")
        at = int(position or -1)
        if (at, chain) != (0, "00" * 32) and log.chains.get(at) != chain:
            findings.add("a receipt is not on the chain", receipt)


def judge_reader(folder: Path, name: str, log: Log, findings: Findings) -> int:
    """Hold what a reader saw against the log; return how many events it saw."""
    last = 0
    versions: dict[int, int] = {}
    shown: set[int] = set()
    for event in seen(folder, name):
        example = f"reader {name}, position {event.position}"
        if event.position <= last:
            findings.add("a reader saw positions out of order", example)
        if event.version != versions.get(event.stream, 0) + 1:
            findings.add("a reader saw versions out of order", example)
        kept = log.events.get(event.position)
        if kept != (event.version, event.stream, event.body):
            findings.add("a reader saw what is not in the log", example)
        last = event.position
        versions[event.stream] = event.version
        shown.add(event.position)
    for position in sorted(log.events.keys() - shown):
        findings.add(
            "lost to a reader: stored and never shown",
            f"reader {name}, position {position}",
        )
    return len(shown)


async def judge_tables(database: Database, head: int, findings: Findings) -> int:
    """Compare the read tables with a rebuild and with the log; return their rows."""
    rows = await judge_rebuilt(database, GROUP, findings, head=head)
    connection = await asyncpg.connect(database.projector)
    try:
        for projection in GROUP.projections:
            name = projection.name
            live = await builds.shown(connection, name)
            if live is None:
                continue
            tables = f"testing_tables.{live.physical}"
            unequal = await connection.fetchval(UNEQUAL[name].format(table=tables))
            if unequal:
                findings.add("a table differs from the log", name, unequal)
    finally:
        await connection.close()
    return rows


async def judge_rebuilt(
    database: Database, group: Group, findings: Findings, *, head: int | None = None
) -> int:
    """Compare a group's read tables with a rebuild, and return their rows."""
    rows = 0
    async with AsyncExitStack() as stack:
        pool = await open_pool(
            database.projector, min_size=1, max_size=5, application_name="audit"
        )
        await stack.enter_async_context(pool)
        log = await stack.enter_async_context(open_event_log(database.app))
        owner = uuid5(SPACE, "auditor")
        upto = (await log.head()).position if head is None else head
        await GroupRunner(group, log, pool, owner=owner).catch_up(upto)
        for projection in group.projections:
            name = projection.name
            rebuilding = Rebuilding(
                group, projection, log, pool, owner=owner, by="system:chaos"
            )
            build = await rebuilding.rebuild()
            difference = await rebuilding.diff(build.build)
            rows += difference.rows
            async with pool.acquire() as session, session.transaction():
                live = await builds.shown(session, name)
                if live is None:
                    findings.add("a table is gone", name)
                    continue
                one, other = [
                    await table_digest(session, projection.table, physical)
                    for physical in (live.physical, build.physical)
                ]
                parked = await parking.parked(session)
            if one != other or not difference.equal:
                findings.add("a rebuilt table differs", f"{name}: {difference}")
            for each in parked:
                findings.add("an event is parked", f"{each.position}: {each.error}")
    return rows


async def judge_chain(dsn: str, receipts: Sequence[str], findings: Findings) -> int:
    """Have `verify` look at everything, from a few receipts; return rows checked."""
    rows = 0
    asked: Sequence[str | None] = receipts or (None,)
    for receipt in asked:
        report = await verify(dsn, receipt=receipt)
        for check in report.checks:
            rows += check.rows
            if check.bad is not None:
                bad = f"{check.bad.row}: {check.bad.problem}"
                findings.add(f"verify: {check.name}", bad)
    return rows


async def audit(
    database: Database,
    folder: Path,
    readers: Sequence[str],
    findings: Findings,
    *,
    tables: bool,
) -> tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]:
    """Judge everything, and return counts of commands, of the log and of the audit."""
    log = Log(findings)
    await log.load(database.superuser)
    told = await asyncio.to_thread(Told, folder, findings)
    commands = judge_commands(told, log, findings)
    judge_receipts(told, log, findings)
    audited: Counter[str] = Counter()
    for name in readers:
        audited["events shown to readers"] += judge_reader(folder, name, log, findings)
    ordered = sorted(told.receipts, key=lambda one: int(one.partition("-")[0] or 0))
    asked = [ordered[len(ordered) // 3], ordered[-1]] if len(ordered) > PROVED else []
    audited["rows verified"] = await judge_chain(database.owner, asked, findings)
    head = max(log.events, default=0)
    if tables:
        audited["table rows compared"] = await judge_tables(database, head, findings)
    audited["answers of acknowledged commands"] = told.answers
    audited["receipts"] = len(told.receipts)
    held = {
        "events": len(log.events),
        "head": head,
        "streams": len(log.versions),
        "flushes": len(log.chains),
        "outcomes": len(log.outcomes),
    }
    return commands, held, audited
