"""A simulation as files for other tools, under the names that its readers know.

The rows are those that the read tables hold for who exports, at one moment; states,
actions and lessons are there as far as they were captured or asked for. What is written
gets its name when it is whole, and never takes the place of something.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, Literal

import msgspec

from events.errors import Missing, Refused
from events.ids import SimulationId
from infra.operations.exporting_arrow import arrow_files
from infra.operations.exporting_sqlite import columns_of, sqlite_file
from services.http.snapshots import Snapshot, Snapshots
from services.identity import Identity


Format = Literal["sqlite", "parquet", "arrow"]

BATCH: Final = 50_000  # rows of a table that are read together

SIMULATION: Final = """
SELECT s.simulation_id, s.experiment_id, s.state_hash, s.engine, s.status
FROM experiments.simulations AS s
WHERE s._id = $1
"""

POSITION: Final = """
SELECT c.position
FROM es.checkpoints AS c
WHERE c.projection = 'experiments'
AND c.version = 0
"""

ORDERED: Final = {
    "experiments": ("experiment_id",),
    "simulations": ("simulation_id",),
    "simulation_config": ("config_id",),
    "simulation_steps": ("step_number",),
    "agents": ("agent",),
    "agent_states": ("step_number", "agent"),
    "resource_states": ("step_number", "resource_id"),
    "agent_actions": ("step_number", "agent"),
    "learning_experiences": ("step_number", "agent", "module"),
    "health_incidents": ("step_number", "place"),
}


class FileThere(Refused):
    """There is a file of this name."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, and the position in the log that it rests on."""

    file: str
    format: Format
    position: int
    rows: dict[str, int]


async def export_run(
    snapshots: Snapshots,
    identity: Identity,
    run: SimulationId,
    path: Path,
    *,
    kind: Format,
    tell: Callable[[str, int], None],
) -> Exported:
    """Write a simulation: an SQLite file, or a folder with a file for each table."""
    async with snapshots.snapshot(identity) as tables:
        found = await tables.read(SIMULATION, [str(run)])
        if not found:
            raise Missing("There is no such simulation.")
        simulation = found[0]
        position = (await tables.read(POSITION, []))[0]["position"]
        about = {
            "rehearsal.simulation": str(run),
            "rehearsal.simulation_id": str(simulation["simulation_id"]),
            "rehearsal.engine": simulation["engine"] or "",
            "rehearsal.status": simulation["status"],
            "rehearsal.state_hash": simulation["state_hash"] or "",
            "rehearsal.position": str(position),
        }
        written: dict[str, int] = {}
        with made_whole(path) as made, writing(made, kind, about) as write:
            for table in ORDERED:
                written[table] = 0
                write(table, ())
                async for rows in pages(tables, table, simulation):
                    write(table, rows)
                    written[table] += len(rows)
                    tell(table, written[table])
    return Exported(file=str(path), format=kind, position=position, rows=written)


def writing(made: Path, kind: Format, about: Mapping[str, str]) -> Any:  # noqa: ANN401 - lends a `Write`
    """Lend what writes rows in a format."""
    if kind == "sqlite":
        return sqlite_file(made, about)
    return arrow_files(made, kind, about)


def demand_free(path: Path) -> None:
    """Raise `FileThere` where something is at a path already."""
    if path.exists():
        message = f"There is something at {path} already."
        raise FileThere(message)


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Lend a name beside `path`; what is there in the end gets its own name."""
    demand_free(path)
    try:
        beside = Path(mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except FileNotFoundError:
        message = f"There is no folder {path.parent}."
        raise Missing(message) from None
    try:
        made = beside / path.name
        yield made
        try:
            if made.is_dir():
                made.rename(path)
            else:
                path.hardlink_to(made)
        except OSError as error:
            if not path.exists():
                raise
            message = f"There is something at {path} already."
            raise FileThere(message) from error
    finally:
        shutil.rmtree(beside)


async def pages(tables: Snapshot, table: str, simulation: Any) -> Any:  # noqa: ANN401 - rows
    """Yield the rows of a simulation in the order of their key, page by page."""
    key = "experiment_id" if table == "experiments" else "simulation_id"
    columns = ", ".join(columns_of(table))
    query = (
        f"SELECT {columns} FROM experiments.{table} WHERE {key} = $1"  # noqa: S608 - ours
        f" ORDER BY {', '.join(ORDERED[table])}"
    )
    async for rows in tables.pages(query, [simulation[key]], BATCH):
        yield rows
