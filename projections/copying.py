"""Copies recorded rows into tables in PostgreSQL's binary form, straight from arrays.

A row is the number of its fields, and for each field the length and the bytes of its
value, most significant first. Rows of one chunk have fields of the same lengths, so
that they are one array, and no row is touched by itself.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import zstandard

from events.errors import Malformed
from events.experiments.columnar import decoded, unpacked
from events.experiments.simulations import ChunkRecorded, RowsRecorded
from events.message import Event, Recorded
from projections.ddl import qualified, tables_schema
from projections.projection import Fill, Table
from projections.sql import Sql
from projections.writing import UnwritableError


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.void]
    Values = Mapping[str, npt.NDArray[Any] | int | str]
    Arrange = Callable[[Rows, Any], Values]

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = b"\xff\xff"
PIECE: Final = 1 << 20
KINDS: Final = {
    "smallint": ">i2",
    "integer": ">i4",
    "bigint": ">i8",
    "double precision": ">f8",
    "boolean": "u1",
}
GET: Final = "SELECT size, content FROM es.blobs WHERE sha256 = $1"


def filling(source: str, arrange: "Arrange") -> Fill:
    """Return what fills a table from the recorded rows of `source`.

    `arrange(rows, event)` returns the value of each column but the organisation's.
    Rows that were made again take the place of those of their steps.
    """

    async def fill(
        sql: Sql, table: Table, physical: str, batch: Sequence[Recorded[Event]]
    ) -> int:
        written = 0
        for recorded in batch:
            event = recorded.event
            if not isinstance(event, ChunkRecorded | RowsRecorded):
                continue
            if isinstance(event, RowsRecorded):
                await sql.execute(
                    f"DELETE FROM {qualified(table, physical)}"  # noqa: S608 - quoted names
                    " WHERE simulation_id = $1 AND step_number BETWEEN $2 AND $3",
                    event.simulation,
                    event.first_step,
                    event.last_step,
                )
            if not event.rows.get(source):
                continue
            rows = await rows_of(sql, event.body, source)
            values = {**arrange(rows, event), "org_id": recorded.org_id}
            written += await copy(sql, table, physical, len(rows), values)
        return written

    fill.__module__ = arrange.__module__  # whose code says what rows are
    return fill


async def rows_of(sql: Sql, body: str, source: str) -> "Rows":
    """Return the rows of a table that a recorded body holds."""
    found = await sql.fetchrow(GET, bytes.fromhex(body))
    if found is None:
        message = f"the body {body} is not there"
        raise UnwritableError(message)
    try:
        content = zstandard.ZstdDecompressor().decompress(
            found["content"], max_output_size=found["size"]
        )
        return decoded(unpacked(content)[source])
    except (zstandard.ZstdError, Malformed, KeyError) as error:
        message = f"the body {body} is damaged: {error}"
        raise UnwritableError(message) from error


async def copy(
    sql: Sql, table: Table, physical: str, count: int, values: "Values"
) -> int:
    """Copy rows into a table, and return how many."""
    body = memoryview(packed(table, count, values))

    async def pieces() -> AsyncIterator[bytes]:
        yield SIGNATURE
        for start in range(0, len(body), PIECE):
            yield bytes(body[start : start + PIECE])
        yield END

    await sql.copy_to_table(
        physical,
        schema_name=tables_schema(table),
        columns=[column.name for column in table.columns],
        source=pieces(),
        format="binary",
    )
    return count


def packed(table: Table, count: int, values: "Values") -> bytes:
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
    made = np.empty(count, dtype=fields)
    made["fields"] = len(table.columns)
    for column in table.columns:
        given = values[column.name]
        made[column.name] = given.encode() if isinstance(given, str) else given
        made[f"size of {column.name}"] = made.dtype[column.name].itemsize
    return made.tobytes()


def places(steps: "npt.NDArray[np.int32]") -> "npt.NDArray[np.int64]":
    """Return the place of each row among those of its step; steps are ascending."""
    import numpy as np  # noqa: PLC0415 - as above

    firsts = np.searchsorted(steps, steps, side="left")
    placed: npt.NDArray[np.int64] = np.arange(len(steps)) - firsts
    return placed
