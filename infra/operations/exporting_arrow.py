"""A simulation as a folder of Parquet or Arrow IPC files, one for each table.

Columns have the names of the SQLite file and the types of the read tables: moments are
timestamps, JSON is text. Pages are written as they are read, so memory stays small.
pyarrow, which is heavy, is imported by who exports and by nobody else.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from infra.operations.exporting_sqlite import Write, columns_of
from projections.catalogue import TABLES


@contextmanager
def arrow_files(
    folder: Path, kind: Literal["parquet", "arrow"], about: Mapping[str, str]
) -> Iterator[Write]:
    """Lend what writes rows into new files of a new folder, each telling `about`."""
    import pyarrow as pa  # noqa: PLC0415 - see above
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {
        "text": pa.string(),
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "double precision": pa.float64(),
        "boolean": pa.bool_(),
        "timestamptz": pa.timestamp("us", tz="UTC"),
        "jsonb": pa.string(),
    }
    schemas: dict[str, Any] = {}
    writers: dict[str, Any] = {}
    folder.mkdir()
    with ExitStack() as stack:

        def begin(table: str) -> None:
            declared = TABLES[f"experiments.{table}"]
            kinds = {
                column.name: types[column.type]
                for column in (*declared.columns, *declared.view_columns)
            }
            schemas[table] = pa.schema(
                [(name, kinds[name]) for name in columns_of(table)],
                metadata={**about, "rehearsal.table": table},
            )
            path = folder / f"{table}.{kind}"
            writer = (
                pq.ParquetWriter(path, schemas[table], compression="zstd")
                if kind == "parquet"
                else pa.ipc.new_file(path, schemas[table])
            )
            writers[table] = stack.enter_context(writer)

        def write(table: str, rows: Sequence[Any]) -> None:
            if table not in writers:
                begin(table)
            schema = schemas[table]
            arrays = [
                pa.array([row[field.name] for row in rows], field.type)
                for field in schema
            ]
            if rows:
                writers[table].write_batch(pa.record_batch(arrays, schema=schema))

        yield write
