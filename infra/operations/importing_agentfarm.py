"""The import of simulations from an AgentFarm SQLite file.

Rows are read in the order in which the file has them and handed in as batches. Ids
follow from the file's sha256 and what a simulation is called in it, those of commands
from the number of the batch; so an import that broke off is finished by importing
again, and a second import changes nothing. What does not fit is told with its table,
row and column: a row without its key is left out, another value is left unknown.
"""

import asyncio
import hashlib
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.errors import Malformed, Missing, Refused
from events.experiments.outside import End
from events.ids import ExperimentId, SimulationId, named
from events.message import Command, Meta
from infra.operations.importing import handled
from services.experiments.common import MAX_SIMULATIONS, Json
from services.experiments.experiments import DescribeOutsideExperiment
from services.experiments.outside import (
    EndOutsideSimulation,
    OpenOutsideSimulation,
    RecordOutsideRows,
)
from services.experiments.outside_rows import MAX_ROWS, Columns, OutsideRows
from services.handling import Handler


SPACE: Final = UUID("b0f2f9a4-3c53-5d0e-9b1e-6a3d4c1e7f20")
MODEL: Final = "AgentFarm"
MOST_PROBLEMS: Final = 1_000
TOGETHER: Final = 20  # batches that are handed in at once
PIECE: Final = 1 << 20

TABLES: Final = {
    "agents": ("agent_id",),
    "simulation_steps": ("step_number",),
    "agent_states": ("step_number", "agent_id"),
    "resource_states": ("step_number", "resource_id"),
    "agent_actions": None,
    "learning_experiences": None,
    "health_incidents": None,
}
"""The tables with rows of simulations, and by what a row takes another's place."""

ABOUT: Final = frozenset({"experiments", "simulations", "simulation_config"})
KNOWN: Final = frozenset({"simulation_id", "id"})
ENDS: Final[Mapping[str, End]] = {
    "completed": "completed",
    "complete": "completed",
    "finished": "completed",
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "stopped": "cancelled",
}


class BeingWritten(Refused):
    """The file has changes beside it that are not in it yet; close who writes it."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What does not fit; `row` is the number that SQLite gives it, 0 for many."""

    table: str
    row: int
    column: str
    problem: str
    imported: bool


@dataclass(kw_only=True)
class Report:
    """What was read, what came of it, and what does not fit."""

    simulations: list[SimulationId] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    new_events: int = 0
    left_out: int = 0
    position: int = 0
    problems: list[Problem] = field(default_factory=list)

    def note(
        self, table: str, row: int, column: str, problem: str, *, imported: bool = True
    ) -> None:
        """Note what does not fit, as long as there are not too many."""
        self.left_out += not imported
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(
                Problem(
                    table=table,
                    row=row,
                    column=column,
                    problem=problem,
                    imported=imported,
                )
            )


async def import_agentfarm(
    path: Path,
    *,
    handler: Handler,
    meta: Meta,
    tell: Callable[[str, int], None] = lambda _table, _rows: None,
) -> Report:
    """Import every simulation of a file, and return a report.

    `tell` gets the table and how many of its rows were handed in.
    """
    sha256 = await asyncio.to_thread(digest, path)
    report = Report()
    try:
        with closing(opened(path)) as file:
            file.row_factory = sqlite3.Row
            source = Source(file, path.stem, report)
            commands = source.commands(f"{meta.org_id}:{sha256}", tell)
            while asked := list(islice(commands, TOGETHER)):
                outcomes = await handled(
                    asked, handler=handler, meta=replace(meta), progress=None
                )
                for outcome in outcomes:
                    report.new_events += outcome.events if outcome.status == "ok" else 0
                    report.position = max(report.position, outcome.position)
    except sqlite3.Error as error:
        message = f"{path} cannot be read as SQLite: {error}"
        raise Malformed(message) from error
    return report


def opened(path: Path) -> sqlite3.Connection:
    """Open a file that nothing is to be written into."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def digest(path: Path) -> str:
    """Return a file's sha256, or raise `Missing` or `BeingWritten`."""
    try:
        beside = path.with_name(f"{path.name}-wal")
        if beside.exists() and beside.stat().st_size:
            raise BeingWritten
        found = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                found.update(piece)
    except OSError as error:
        message = f"Cannot read {path}: {error.strerror}."
        raise Missing(message) from error
    return found.hexdigest()


class Source:
    """A file, whose tables may be named `agent_states` or `AgentStates`."""

    def __init__(self, file: sqlite3.Connection, name: str, report: Report) -> None:
        self._file = file
        self._name = name
        self._report = report
        self._tables: dict[str, str] = {}
        wanted = {known.replace("_", ""): known for known in (*TABLES, *ABOUT)}
        query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        for (found,) in file.execute(query):
            known = wanted.get(found.lower().replace("_", ""))
            if known is not None:
                self._tables[known] = found
            elif not found.startswith("sqlite_"):
                report.note(found, 0, "", "There is no such table here.")
        if not self._tables.keys() & TABLES.keys():
            message = f"None of its tables is one of {', '.join(TABLES)}."
            raise Malformed(message)

    def commands(
        self, name: str, tell: Callable[[str, int], None]
    ) -> Iterator[tuple[UUID, Command]]:
        """Yield what records every simulation, with the ids of the commands."""
        for number, external in enumerate(self._simulations(), start=1):
            key = SimulationId(named(SPACE, f"{name}:{external!r}"))
            self._report.simulations.append(key)
            row = self._about("simulations", external)
            opened = self._opened(key, name, external, row, number)
            yield named(key, "open"), opened
            batches = self._batches(external, tell)
            for batch, rows in enumerate(batches, start=1):
                yield (
                    named(key, f"batch-{batch}"),
                    RecordOutsideRows(simulation_id=key, batch=batch, rows=rows),
                )
            ended = self._ended(key, row)
            if ended is not None:
                yield named(key, "end"), ended

    def _simulations(self) -> list[object]:
        """Return what simulations are called, None for the only one without a name."""
        found: dict[object, None] = {}
        for known in ("simulations", *TABLES):
            if known in self._tables and "simulation_id" in self._columns(known):
                query = (
                    "SELECT DISTINCT simulation_id"  # noqa: S608 - quoted
                    f" FROM {self._quoted(known)} ORDER BY 1"
                )
                found |= dict.fromkeys(row[0] for row in self._file.execute(query))
        real = [each for each in found if each is not None]
        if len(real) > 1 and None in found:
            problem = "Rows without a simulation are left out."
            self._report.note(
                "simulations", 0, "simulation_id", problem, imported=False
            )
        if len(real) > MAX_SIMULATIONS:
            message = f"It has {len(real)} simulations; the limit is {MAX_SIMULATIONS}."
            raise Malformed(message)
        self._one = len(real) <= 1
        return real or [None]

    def _opened(
        self,
        key: SimulationId,
        name: str,
        external: object,
        row: Mapping[str, Any],
        number: int,
    ) -> OpenOutsideSimulation:
        config = self._about("simulation_config", external)
        return OpenOutsideSimulation(
            simulation_id=key,
            name=str(self._name if external is None else external)[:200],
            model=MODEL,
            origin="imported",
            experiment=self._experiment(name, row.get("experiment_id")),
            number=number,
            parameters=self._json("simulations", row, "parameters"),
            configuration=self._json("simulation_config", config, "config_data"),
            start_time=self._moment(row, "start_time"),
        )

    def _experiment(
        self, name: str, external: object
    ) -> DescribeOutsideExperiment | None:
        if external is None:
            return None
        row: Mapping[str, Any] = {}
        if "experiments" in self._tables:
            query = (
                f"SELECT * FROM {self._quoted('experiments')} WHERE experiment_id = ?"  # noqa: S608 - quoted
            )
            row = dict(self._file.execute(query, [external]).fetchone() or {})
        return DescribeOutsideExperiment(
            experiment_id=ExperimentId(named(SPACE, f"{name}:experiment:{external!r}")),
            external_id=str(external)[:200],
            name=(str(row.get("name") or external).strip() or "-")[:200],
            description=str(row.get("description") or "")[:4_096],
            hypothesis=str(row.get("hypothesis") or "")[:4_096],
            status=(str(row.get("status") or "").strip() or "unknown")[:50],
            variables=self._json("experiments", row, "variables"),
            results_summary=self._json("experiments", row, "results_summary"),
        )

    def _ended(
        self, key: SimulationId, row: Mapping[str, Any]
    ) -> EndOutsideSimulation | None:
        """Return the end of a simulation; one that has none stays open."""
        said = str(row.get("status") or "").lower()
        ended = self._moment(row, "end_time")
        status = ENDS.get(said, "completed" if ended is not None else None)
        if status is None:
            return None
        return EndOutsideSimulation(
            simulation_id=key,
            status=status,
            end_time=ended,
            results_summary=self._json("simulations", row, "results_summary"),
        )

    def _batches(
        self, external: object, tell: Callable[[str, int], None]
    ) -> Iterator[OutsideRows]:
        kinds = get_type_hints(OutsideRows)
        for known in TABLES:
            if known not in self._tables:
                continue
            kind: type[Columns] = get_args(kinds[known])[0]
            shape = Shape(known, kind, self._columns(known), self._report)
            handed = self._report.rows.get(known, 0)
            for rows in self._pages(known, external):
                columns = shape.columns(rows)
                if columns is not None:
                    handed += len(next(iter(columns.values())))
                    yield msgspec.convert({known: columns}, OutsideRows)
                    tell(known, handed)
            self._report.rows[known] = handed
            self._check(known, external)

    def _pages(self, known: str, external: object) -> Iterator[Sequence[sqlite3.Row]]:
        where, values = self._of(known, external)
        query = (
            f"SELECT rowid AS _row, * FROM {self._quoted(known)}{where} ORDER BY rowid"  # noqa: S608 - quoted
        )
        cursor = self._file.execute(query, values)
        while rows := cursor.fetchmany(MAX_ROWS):
            yield rows

    def _check(self, known: str, external: object) -> None:
        """Tell what is twice, what is of agents that are not there."""
        where, values = self._of(known, external)
        source = f"{self._quoted(known)}{where}"
        key = TABLES[known]
        if key is not None and set(key) <= set(self._columns(known)):
            listed = ", ".join(key)
            query = (
                f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n"  # noqa: S608 - quoted
                f" FROM {source} GROUP BY {listed})"
            )
            (twice,) = self._file.execute(query, values).fetchone()
            if twice:
                problem = (
                    f"{twice} rows came again, and took the place of earlier ones."
                )
                self._report.note(known, 0, listed, problem)
        if known != "agents" and "agents" in self._tables:
            if "agent_id" not in self._columns(known):
                return
            query = (
                f"SELECT count(*) FROM (SELECT agent_id FROM {source})"  # noqa: S608 - quoted
                " WHERE agent_id NOT IN (SELECT agent_id"
                f" FROM {self._quoted('agents')} WHERE agent_id IS NOT NULL)"
            )
            (lost,) = self._file.execute(query, values).fetchone()
            if lost:
                problem = f"{lost} rows are of agents that are not there."
                self._report.note(known, 0, "agent_id", problem)

    def _of(self, known: str, external: object) -> tuple[str, list[object]]:
        """Return the condition that rows are of a simulation, and its values."""
        if external is None or "simulation_id" not in self._columns(known):
            return "", []
        none = " OR simulation_id IS NULL" if self._one else ""
        return f" WHERE (simulation_id = ?{none})", [external]

    def _about(self, known: str, external: object) -> Mapping[str, Any]:
        """Return the last row that tells of a simulation."""
        if known not in self._tables:
            return {}
        where, values = self._of(known, external)
        query = (
            f"SELECT * FROM {self._quoted(known)}{where} ORDER BY rowid DESC LIMIT 1"  # noqa: S608 - quoted
        )
        row = self._file.execute(query, values).fetchone()
        return {} if row is None else dict(row)

    def _columns(self, known: str) -> tuple[str, ...]:
        query = f"PRAGMA table_info({self._quoted(known)})"
        return tuple(row["name"] for row in self._file.execute(query))

    def _quoted(self, known: str) -> str:
        escaped = self._tables[known].replace('"', '""')
        return f'"{escaped}"'

    def _json(self, table: str, row: Mapping[str, Any], column: str) -> Any:  # noqa: ANN401 - JSON
        value = row.get(column)
        if value is None:
            return {}
        try:
            return msgspec.convert(msgspec.json.decode(value), Json)
        except (msgspec.MsgspecError, TypeError) as error:
            self._report.note(table, 0, column, f"{error}.")
            return {}

    def _moment(self, row: Mapping[str, Any], column: str) -> datetime | None:
        value = row.get(column)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError as error:
            self._report.note("simulations", 0, column, f"{error}.")
            return None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class Shape:
    """How the rows of a table become columns."""

    def __init__(
        self,
        table: str,
        kind: type[Columns],
        there: Sequence[str],
        report: Report,
    ) -> None:
        hints = get_type_hints(kind, include_extras=True)
        self._table = table
        self._report = report
        self._kinds = {
            name: get_args(get_args(hint)[0])[0]
            for name, hint in hints.items()
            if name in there
        }
        self._texts = {name for name, kind in self._kinds.items() if _is_text(kind)}
        self._keys = [
            each.name for each in msgspec.structs.fields(kind) if each.required
        ]
        for name in self._keys:
            if name not in there:
                message = f"The table {table} has no column {name}."
                raise Malformed(message)
        for name in there:
            if name not in hints and name not in KNOWN:
                report.note(table, 0, name, "There is no such column here.")

    def columns(self, rows: Sequence[sqlite3.Row]) -> dict[str, list[Any]] | None:
        """Return the columns of rows that have their keys, None of no rows."""
        found: dict[str, list[Any]] = {name: [] for name in self._kinds}
        for row in rows:
            values = {name: self._value(row, name) for name in self._kinds}
            if any(values[name] is None for name in self._keys):
                problem = "The row is left out, because its key is not there."
                self._report.note(
                    self._table,
                    row["_row"],
                    ", ".join(self._keys),
                    problem,
                    imported=False,
                )
                continue
            for name, value in values.items():
                found[name].append(value)
        return found if next(iter(found.values())) else None

    def _value(self, row: sqlite3.Row, name: str) -> Any:  # noqa: ANN401 - of any column
        value = row[name]
        if value is None:
            return None
        try:
            _check_stored(value)
            if isinstance(value, int | float) and name in self._texts:
                value = str(value)
            return msgspec.convert(value, self._kinds[name], strict=False)
        except msgspec.ValidationError as error:
            self._report.note(self._table, row["_row"], name, f"{error}.")
            return None


def _check_stored(value: object) -> None:
    """Raise what `msgspec` would of a value that no table here can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise msgspec.ValidationError("It is not finite")
    if isinstance(value, str) and "\0" in value:
        raise msgspec.ValidationError("It has a NUL")


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - a type
    info = msgspec.inspect.type_info(kind)
    parts = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return any(isinstance(part, msgspec.inspect.StrType) for part in parts)
