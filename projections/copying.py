"""Copies recorded rows into tables in PostgreSQL's binary form, straight from arrays.

A row is the number of its fields, and for each field the length and the bytes of its
value, most significant first. Rows of one chunk have fields of the same lengths, so
that they are one array, and no row is touched by itself. While the server takes the
rows of one chunk, a thread makes those of the next.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, cast

import zstandard

from events.errors import Malformed
from events.experiments.columnar import decoded, unpacked
from events.experiments.simulations import ChunkRecorded, RowsRecorded
from events.message import Event, Recorded
from projections.ddl import qualified, tables_schema
from projections.projection import Filling, Projection, Table, Values
from projections.sql import Sql
from projections.writing import Target, UnwritableError


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.void]

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = b"\xff\xff"
PIECE: Final = 1 << 20
PORTION: Final = 200_000  # rows that are held at a time
KINDS: Final = {
    "smallint": ">i2",
    "integer": ">i4",
    "bigint": ">i8",
    "double precision": ">f8",
    "boolean": "u1",
}
GET: Final = """
SELECT sha256, size, content
  FROM es.blobs
 WHERE sha256 = ANY($1)
"""

Told = Recorded[ChunkRecorded] | Recorded[RowsRecorded]
Tables = dict[str, bytes]


class DamagedError(UnwritableError):
    """A body is not what it should be."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(f"the body {name} is damaged: {error}")


class Bodies:
    """What events name, opened where and when it is first needed.

    Threads may use it one after another.
    """

    def __init__(self, packs: Mapping[str, tuple[int, bytes]]) -> None:
        self._packs = packs
        self._opened: dict[str, Tables] = {}

    def rows(self, name: str, source: str) -> "Rows":
        """Return the rows of a body's table.

        Raises `UnwritableError` where there is no such body, or it is damaged.
        """
        try:
            return decoded(self._tables(name)[source])
        except (zstandard.ZstdError, Malformed, KeyError) as error:
            raise DamagedError(name, error) from error

    def _tables(self, name: str) -> Tables:
        if name not in self._opened:
            if name not in self._packs:
                message = f"the body {name} is not there"
                raise UnwritableError(message)
            size, content = self._packs[name]
            unpack = zstandard.ZstdDecompressor().decompress
            self._opened[name] = unpacked(unpack(content, max_output_size=size))
        return self._opened[name]


async def fill(
    sql: Sql,
    wanted: Sequence[tuple[Projection, Target]],
    batch: Sequence[Recorded[Event]],
) -> int:
    """Copy what the bodies of a batch hold into tables, and return how many rows.

    A body is read once for all tables. Rows that were made again take the place of
    those of their steps.
    """
    written = 0
    sources = {each.fill.source for each, _ in wanted if each.fill is not None}
    for portion in portions(batch):
        bodies = await read(sql, portion, sources)
        for projection, target in wanted:
            told = [
                each for each in portion if isinstance(each.event, projection.events)
            ]
            if projection.fill is not None and told:
                written += await fill_one(sql, projection.fill, target, told, bodies)
    return written


async def fill_one(
    sql: Sql,
    filling: Filling,
    target: Target,
    portion: Sequence[Told],
    bodies: Bodies,
) -> int:
    """Copy what bodies hold for one table, and return how many rows."""
    for each in portion:
        if isinstance(each.event, RowsRecorded):
            await clear(sql, target, each.event)
    held = [each for each in portion if each.event.rows.get(filling.source)]
    if held:
        packs = (packed_rows(filling, target.table, each, bodies) for each in held)
        await copy(sql, target, packs)
    return sum(each.event.rows[filling.source] for each in held)


def portions(batch: Sequence[Recorded[Event]]) -> Iterator[list[Told]]:
    """Part a batch in order; what takes the place of earlier rows is by itself."""
    portion: list[Told] = []
    held = 0
    for each in batch:
        event = each.event
        if not isinstance(event, ChunkRecorded | RowsRecorded):
            continue
        alone = isinstance(event, RowsRecorded)
        rows = sum(event.rows.values())
        if portion and (alone or held + rows > PORTION):
            yield portion
            portion, held = [], 0
        portion.append(each)  # type: ignore[arg-type]
        held += PORTION if alone else rows
    if portion:
        yield portion


async def read(sql: Sql, portion: Sequence[Told], sources: AbstractSet[str]) -> Bodies:
    """Return the bodies of a portion that have rows which are wanted."""
    wanted = {
        bytes.fromhex(each.event.body)
        for each in portion
        if any(each.event.rows.get(source) for source in sources)
    }
    if not wanted:
        return Bodies({})
    found = await sql.fetch(GET, sorted(wanted))
    return Bodies({row["sha256"].hex(): (row["size"], row["content"]) for row in found})


async def clear(sql: Sql, target: Target, event: RowsRecorded) -> None:
    """Take out the rows of steps that were made again."""
    await sql.execute(
        f"DELETE FROM {qualified(target.table, target.physical)}"  # noqa: S608 - quoted names
        " WHERE simulation_id = $1 AND step_number BETWEEN $2 AND $3",
        event.simulation,
        event.first_step,
        event.last_step,
    )


def packed_rows(
    filling: Filling, table: Table, told: Told, bodies: Bodies
) -> memoryview:
    """Return the rows of a table that an event's body holds, as PostgreSQL reads them.

    Raises `UnwritableError` where there is no such body, or it is damaged.
    """
    event = told.event
    rows = bodies.rows(event.body, filling.source)
    values = {**filling.arrange(rows, event), "org_id": told.org_id}
    return packed(table, len(rows), values)


async def copy(sql: Sql, target: Target, packs: Iterator[memoryview]) -> None:
    """Copy packed rows into a table."""
    table = target.table
    async with aclosing(ahead(packs)) as made:

        async def pieces() -> AsyncGenerator[bytes | memoryview]:
            yield SIGNATURE
            async for pack in made:
                for start in range(0, len(pack), PIECE):
                    yield pack[start : start + PIECE]
            yield END

        await sql.copy_to_table(
            target.physical,
            schema_name=tables_schema(table),
            columns=[column.name for column in table.columns],
            # The driver takes whatever holds bytes, which spares a copy.
            source=cast("AsyncGenerator[bytes]", pieces()),
            format="binary",
        )


async def ahead(packs: Iterator[memoryview]) -> AsyncGenerator[memoryview]:
    """Yield packed rows, while a thread makes the next ones."""
    making = asyncio.ensure_future(asyncio.to_thread(next, packs, None))
    try:
        while (pack := await asyncio.shield(making)) is not None:
            making = asyncio.ensure_future(asyncio.to_thread(next, packs, None))
            yield pack
    finally:
        # A thread cannot be cancelled, and none may outlive who reads from it.
        await asyncio.gather(making, return_exceptions=True)


def packed(table: Table, count: int, values: Values) -> memoryview:
    """Return rows in PostgreSQL's binary form."""
    import numpy as np  # noqa: PLC0415 - heavy, and needed only where populations are

    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for column in table.columns:
        given = values[column.name]
        if isinstance(given, str):
            kind = f"S{len(given.encode())}"
        else:
            kind = KINDS[column.type]
        fields += [(f"size of {column.name}", ">i4"), (column.name, kind)]
    # What all rows have in common is copied as a whole, what differs by column.
    common = np.zeros(1, dtype=fields)
    common["fields"] = len(table.columns)
    differing = {}
    for column in table.columns:
        given = values[column.name]
        common[f"size of {column.name}"] = common.dtype[column.name].itemsize
        if isinstance(given, np.ndarray):
            differing[column.name] = given
        else:
            common[column.name] = given.encode() if isinstance(given, str) else given
    whole = f"V{common.dtype.itemsize}"
    made = np.empty(count, dtype=fields)
    made.view(whole)[:] = common.view(whole)
    for name, given in differing.items():
        made[name] = given
    return made.view(np.uint8).data


def places(steps: "npt.NDArray[np.int32]") -> "npt.NDArray[np.int64]":
    """Return the place of each row among those of its step; steps are ascending."""
    import numpy as np  # noqa: PLC0415 - as above

    firsts = np.searchsorted(steps, steps, side="left")
    placed: npt.NDArray[np.int64] = np.arange(len(steps)) - firsts
    return placed
