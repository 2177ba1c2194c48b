"""A process of writers: each has its own log, commands in flight and a journal.

A writer asks again with the same id whenever it does not know what became of a command,
and at times gives up instead. What it was told it writes down.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec.structs import replace

from events.errors import Unavailable
from events.log import Append, Status, Verdict
from infra.clock import new_id
from infra.postgres.columns import Columns
from infra.postgres.event_log import PostgresEventLog, open_event_log
from infra.postgres.failures import AWAY
from infra.postgres.flusher import APPEND
from tests.chaos.children import complain_only, orders, say
from tests.chaos.commands import Kind, Workload
from tests.chaos.journal import Acknowledged, Journal, Refused, Undone


MOMENT: Final = 0.04
TOLD_EVERY: Final = 0.1
GIVES_UP: Final = 0.1
ROLLS_BACK: Final = 0.5
LONGEST_SLEEP: Final = 0.04
AGAIN: Final = 0.02
OTHER_BODY: Final = b"\x02" * 32
ACCEPTED: Final = (Status.OK, Status.DUPLICATE)


class WriterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One writer: where it writes to, and how patient its log is."""

    number: int
    dsn: str
    patience: float


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The writers of one process."""

    seed: int
    lanes: int
    streams: int
    meeting: bool
    folder: str
    direct_dsn: str
    writers: Sequence[WriterConfig]


class GaveUpError(Exception):
    """The writer does not want to know any more."""


class Writer:
    """Asks, asks again, and writes down what it was told."""

    def __init__(
        self, config: WriterConfig, log: PostgresEventLog, told: "Config"
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.defects: Counter[str] = Counter()
        self.journal = Journal(Path(told.folder) / f"writer-{config.number}.journal")
        self._work = Workload(
            told.seed, config.number, streams=told.streams, meeting=told.meeting
        )
        self._log = log
        self._name = f"chaos {config.number} direct"
        self._direct = asyncio.Lock()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def lane(self, direct_dsn: str, stop: asyncio.Event) -> None:
        """Ask for one command after the other until told to stop."""
        while not stop.is_set():
            kind = self._work.kind()
            self.counts[f"asked {kind}"] += 1
            with suppress(GaveUpError):
                await self._do(kind, direct_dsn)

    async def close(self) -> None:
        """Put the journal on the disk."""
        if self._connection is not None:
            self._connection.terminate()
        await self.journal.close()

    async def _do(self, kind: Kind, direct_dsn: str) -> None:
        moment = int(time.time() / MOMENT)
        match kind:
            case "repeated":
                known = self._work.done()
                if known is not None:
                    self._expect(await self._ask(known), Status.DUPLICATE)
            case "mismatched":
                known = self._work.done()
                if known is not None:
                    other = replace(known, body_hash=OTHER_BODY)
                    self._expect(await self._ask(other), Status.MISMATCH)
            case "twice":
                asked = self._work.single("any", moment)
                self.journal.ask(asked)
                await asyncio.gather(
                    self._settle(asked, counts=True),
                    self._settle(asked, counts=False),
                    return_exceptions=True,
                )
            case "bulk":
                await self._bulk()
            case "direct":
                await self._by_hand(self._work.single("any", moment), direct_dsn)
            case _:
                asked = self._work.single(kind, moment)
                self.journal.ask(asked)
                await self._settle(asked, counts=kind != "shared")

    async def _settle(self, asked: Append, *, counts: bool) -> None:
        self._note(asked, await self._ask(asked), counts=counts)

    async def _ask(self, asked: Append) -> Verdict:
        """Ask until there is an answer, or give up."""
        while True:
            try:
                return await self._log.append(asked)
            except Unavailable:
                self.counts["unavailable"] += 1
                self._perhaps_give_up()
            except asyncpg.PostgresError as error:
                self.defects[f"{type(error).__name__}: {error}"[:300]] += 1
                self._perhaps_give_up()
            await asyncio.sleep(AGAIN)

    async def _bulk(self) -> None:
        asked = self._work.bulk()
        for each in asked:
            self.journal.ask(each)
        while True:
            try:
                verdicts = await self._log.append_bulk(asked)
            except Unavailable:
                self.counts["unavailable"] += 1
                self._perhaps_give_up()
            except asyncpg.PostgresError as error:
                self.defects[f"{type(error).__name__}: {error}"[:300]] += 1
                self._perhaps_give_up()
            else:
                break
            await asyncio.sleep(AGAIN)
        if all(verdict.status in ACCEPTED for verdict in verdicts):
            for each, verdict in zip(asked, verdicts, strict=True):
                self._note(each, verdict, counts=True)

    async def _by_hand(self, asked: Append, dsn: str) -> None:
        """Append in a transaction that began to write before, and sleeps after."""
        random = self._work.random
        undo = random.random() < ROLLS_BACK
        columns = Columns([asked], ids=new_id)
        self.journal.ask(asked)
        async with self._direct:
            try:
                connection = await self._connect(dsn)
                await connection.execute("BEGIN; SELECT pg_current_xact_id()")
                rows = await connection.fetch(APPEND, *columns.arguments())
                await connection.fetchval(
                    "SELECT pg_sleep($1)", random.random() * LONGEST_SLEEP
                )
                await connection.execute("ROLLBACK" if undo else "COMMIT")
            except (*AWAY, asyncpg.PostgresError) as error:
                self.counts["direct failed"] += 1
                self._count_defect(error)
                if self._connection is not None:
                    self._connection.terminate()
                self._connection = rows = None
        if undo:
            self.counts["undone"] += 1
            undone = Undone(id=asked.meta.command_id)
            self.journal.answer(undone, counts=False)
        elif rows is None:
            await self._settle(asked, counts=True)
        else:
            (verdict,) = columns.verdicts(rows)
            self._note(asked, verdict, counts=True)

    async def _connect(self, dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                dsn, timeout=2, command_timeout=5, server_settings=self._settings()
            )
        return self._connection

    def _settings(self) -> dict[str, str]:
        return {
            "application_name": self._name,
            "idle_in_transaction_session_timeout": "1s",
        }

    def _note(self, asked: Append, verdict: Verdict, *, counts: bool) -> None:
        """Write an answer down."""
        accepted = verdict.status in ACCEPTED
        self._work.learn(asked, verdict, accepted=accepted)
        self.counts[f"answered {verdict.status}"] += 1
        command_id: UUID = asked.meta.command_id
        if accepted:
            self.journal.answer(
                Acknowledged(
                    id=command_id,
                    position=verdict.position,
                    version=verdict.version,
                    events=verdict.events,
                    receipt=verdict.receipt or "",
                ),
                counts=counts,
            )
        else:
            refused = Refused(id=command_id, status=verdict.status)
            self.journal.answer(refused, counts=False)

    def _expect(self, verdict: Verdict, status: Status) -> None:
        self.counts[f"answered {verdict.status}"] += 1
        if verdict.status is not status:
            self.defects[f"{verdict.status} was answered instead of {status}"] += 1

    def _count_defect(self, error: BaseException) -> None:
        if isinstance(error, asyncpg.IntegrityConstraintViolationError):
            self.defects[f"{type(error).__name__}: {error}"[:300]] += 1

    def _perhaps_give_up(self) -> None:
        if self._work.random.random() < GIVES_UP:
            self.counts["given up"] += 1
            raise GaveUpError


async def _tell(writers: Sequence[Writer]) -> None:
    while True:
        await asyncio.sleep(TOLD_EVERY)
        say(acknowledged=sum(writer.journal.kept for writer in writers))


async def _write(config: WriterConfig, told: Config, stop: asyncio.Event) -> Writer:
    async with open_event_log(
        config.dsn,
        readers=2,
        patience=config.patience,
        application_name=f"chaos {config.number}",
    ) as log:
        writer = Writer(config, log, told)
        _running.append(writer)
        if len(_running) == len(told.writers):
            say(ready=True)
        async with asyncio.TaskGroup() as lanes:
            for _ in range(told.lanes):
                lanes.create_task(writer.lane(told.direct_dsn, stop))
    await writer.close()
    return writer


_running: Final[list[Writer]] = []


async def main() -> None:
    """Write as the first order says, until the second comes."""
    complain_only()
    told = orders()
    config = msgspec.json.decode(await anext(told), type=Config)
    stop = asyncio.Event()
    telling = asyncio.create_task(_tell(_running))
    writing = asyncio.gather(
        *(_write(writer, config, stop) for writer in config.writers)
    )
    ordered = asyncio.create_task(_second(told))
    await asyncio.wait((writing, ordered), return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    writers = await writing
    telling.cancel()
    ordered.cancel()
    say(
        acknowledged=sum(writer.journal.kept for writer in writers),
        counts=sum((writer.counts for writer in writers), Counter()),
        defects=sum((writer.defects for writer in writers), Counter()),
    )


async def _second(told: Any) -> None:  # noqa: ANN401 - an async generator
    await anext(told, None)


if __name__ == "__main__":
    asyncio.run(main())
