"""A process of observers: readers that follow the log live, and a projector.

A reader writes down every event that it is shown, in the order in which it is. Where
the log skips a position it notes the hole and goes on behind it, as a reader would that
takes holes for normal.
"""

import asyncio
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import UUID
from zlib import crc32

import asyncpg
import msgspec

from events.conversation import MessageAdded
from events.errors import Unavailable
from events.message import Event, Recorded
from infra.postgres.event_log import (
    READ,
    HoleError,
    PostgresEventLog,
    open_event_log,
    recorded,
)
from infra.postgres.failures import reaching_database
from infra.postgres.pool import open_pool
from projections.runner import GroupRunner
from tests.chaos.children import complain_only, orders, say
from tests.chaos.tables import GROUP


PAGE: Final = 500
WAIT: Final = 0.5
AGAIN: Final = 0.02
RECORD: Final = struct.Struct(">qqII")


class ReaderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One reader: its name and where it reads from."""

    name: str
    dsn: str


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The observers of one process."""

    folder: str
    readers: Sequence[ReaderConfig]
    source_dsn: str
    projector_dsn: str
    owner: UUID


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """The order to end once everything up to a position was seen."""

    upto: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a reader wrote it down: what it was, as checksums."""

    position: int
    version: int
    stream: int
    body: int


class Reader:
    """Follows the log, and writes down what it is shown."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.position = 0
        self.holes = 0
        self.counts: Counter[str] = Counter()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._file: BinaryIO = path_of(folder, name).open("wb")

    async def follow(
        self, dsn: str, upto: "asyncio.Future[int]", opened: Callable[[], None]
    ) -> None:
        """Read until told up to where, and until there."""
        async with open_event_log(
            dsn, readers=2, application_name=f"chaos reader {self.name}"
        ) as log:
            opened()
            while not (upto.done() and self.position >= upto.result()):
                try:
                    await self._step(log, dsn)
                except Unavailable:
                    self.counts["unavailable"] += 1
                    await asyncio.sleep(AGAIN)
        if self._connection is not None:
            self._connection.terminate()
        self._file.close()

    async def _step(self, log: PostgresEventLog, dsn: str) -> None:
        head = await log.wait(self.position, seconds=WAIT)
        if head <= self.position:
            return
        try:
            page = await log.read(self.position, PAGE)
        except HoleError:
            page = await self._read_over(dsn)
            self.holes += page[-1].position - self.position - len(page)
        self._keep(page)

    async def _read_over(self, dsn: str) -> Sequence[Recorded[Event]]:
        """Return the events that there are by now, whatever is missing."""
        with reaching_database():
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(dsn, timeout=2)
            rows = await self._connection.fetch(READ, self.position, PAGE, timeout=5)
        return [recorded(row) for row in rows]

    def _keep(self, page: Sequence[Recorded[Event]]) -> None:
        self._file.write(b"".join(map(_packed, page)))
        if page:
            self.position = page[-1].position
        self.counts["pages"] += 1


class Projector:
    """Feeds the read tables, in turns with the projectors of other processes."""

    def __init__(self) -> None:
        self.defects: Counter[str] = Counter()

    async def run(
        self, config: Config, stop: asyncio.Event, opened: Callable[[], None]
    ) -> None:
        """Feed until told to stop; what ends it early is a defect."""
        pool = await open_pool(
            config.projector_dsn,
            min_size=1,
            max_size=3,
            application_name="chaos projector",
        )
        async with (
            open_event_log(
                config.source_dsn, readers=2, application_name="chaos source"
            ) as log,
            pool,
        ):
            opened()
            runner = GroupRunner(GROUP, log, pool, owner=config.owner, page=1000)
            try:
                await runner.run(stop)
            except Exception as error:  # noqa: BLE001 - the campaign reports any
                self.defects[f"the projector died of {error!r}"[:300]] += 1


def path_of(folder: Path, name: str) -> Path:
    """Return where a reader writes down what it sees."""
    return folder / f"reader-{name}.seen"


def seen(folder: Path, name: str) -> Iterator[Seen]:
    """Yield what a reader saw, in its order."""
    for position, version, stream, body in RECORD.iter_unpack(
        path_of(folder, name).read_bytes()
    ):
        yield Seen(position=position, version=version, stream=stream, body=body)


def checksum(command_id: UUID, text: str) -> int:
    """Return the checksum of an event's content."""
    return crc32(text.encode(), crc32(command_id.bytes))


def _packed(event: Recorded[Event]) -> bytes:
    text = event.event.text if isinstance(event.event, MessageAdded) else ""
    return RECORD.pack(
        event.position,
        event.version,
        crc32(event.stream_id.encode()),
        checksum(event.command_id, text),
    )


async def main() -> None:
    """Observe as the first order says, until where the second says."""
    complain_only()
    told = orders()
    config = msgspec.json.decode(await anext(told), type=Config)
    upto: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    readers = [Reader(each.name, Path(config.folder)) for each in config.readers]
    projector = Projector()
    open_now = 0

    def opened() -> None:
        nonlocal open_now
        open_now += 1
        if open_now == len(readers) + 1:
            say(ready=True)

    following = asyncio.gather(
        *(
            reader.follow(each.dsn, upto, opened)
            for reader, each in zip(readers, config.readers, strict=True)
        )
    )
    projecting = asyncio.create_task(projector.run(config, stop, opened))
    ordered = asyncio.create_task(_second(told))
    await asyncio.wait((following, ordered), return_when=asyncio.FIRST_COMPLETED)
    if not ordered.done():
        await following
    upto.set_result(ordered.result())
    await following
    stop.set()
    await projecting
    say(
        holes={reader.name: reader.holes for reader in readers},
        counts=sum((reader.counts for reader in readers), Counter()),
        defects=projector.defects,
    )


async def _second(told: Any) -> int:  # noqa: ANN401 - an async generator
    return msgspec.json.decode(await anext(told), type=Finish).upto


if __name__ == "__main__":
    asyncio.run(main())
