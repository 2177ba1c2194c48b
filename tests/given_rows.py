"""Projections tested as sentences: given events, then rows; no database.

`MemoryRows` applies changes at once and refuses what a table would refuse: another
row under a key, a value of another type, null where there must be a value, a
`patch_where` that no index serves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Final
from uuid import UUID

import msgspec

from events.message import Event, Recorded
from projections.projection import Column, Projection, Rows, Table, Value
from tests.recorded import recorded


Row = dict[str, Value]


def _is_integer(value: Value, bits: int) -> bool:
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
    )


def _is_json(value: Value) -> bool:
    if not isinstance(value, str):
        return False
    msgspec.json.decode(value)
    return True


def _is_address(value: Value) -> bool:
    return isinstance(value, str) and bool(ip_address(value))


_FITS: Final[Mapping[str, Callable[[Value], bool]]] = {
    "text": lambda value: isinstance(value, str) and "\0" not in value,
    "varchar": lambda value: isinstance(value, str) and "\0" not in value,
    "boolean": lambda value: isinstance(value, bool),
    "smallint": lambda value: _is_integer(value, 16),
    "integer": lambda value: _is_integer(value, 32),
    "bigint": lambda value: _is_integer(value, 64),
    "double precision": lambda value: isinstance(value, float),
    "timestamptz": lambda value: (
        isinstance(value, datetime) and value.tzinfo is not None
    ),
    "jsonb": _is_json,
    "uuid": lambda value: isinstance(value, UUID),
    "inet": _is_address,
}


@dataclass
class MemoryRows(Rows):
    """The rows of one table in memory, their JSON as text."""

    table: Table
    rows: dict[tuple[Value, ...], Row] = field(default_factory=dict)

    def insert(self, *values: Value) -> None:
        """Insert a row whose key is new."""
        names = [column.name for column in self.table.columns]
        row = dict(zip(names, values, strict=True))
        key = tuple(row[name] for name in self.table.key)
        assert key not in self.rows, f"{self.table.name} has a row {key}"
        self._check(row)
        self.rows[key] = row

    def insert_new(self, *values: Value) -> None:
        """Insert a row unless its key is there."""
        names = [column.name for column in self.table.columns]
        row = dict(zip(names, values, strict=True))
        self._check(row)
        self.rows.setdefault(tuple(row[name] for name in self.table.key), row)

    def patch(self, key: tuple[Value, ...], **values: Value) -> None:
        """Set columns of the row with a key, if it is there."""
        self._check(values)
        assert len(key) == len(self.table.key)
        if key in self.rows:
            self.rows[key].update(values)

    def add(self, key: tuple[Value, ...], **amounts: int) -> None:
        """Add to integer columns of the row with a key, which is made if missing."""
        self._check(dict(amounts))
        if key not in self.rows:
            row = {column.name: self._default(column) for column in self.table.columns}
            row.update(zip(self.table.key, key, strict=True))
            self._check(row)
            self.rows[key] = row
        row = self.rows[key]
        for name, amount in amounts.items():
            before = row[name]
            assert isinstance(before, int)
            row[name] = before + amount

    def remove(self, key: tuple[Value, ...]) -> None:
        """Delete the row with a key, if it is there."""
        assert len(key) == len(self.table.key)
        self.rows.pop(key, None)

    def patch_where(self, column: str, value: Value, **values: Value) -> None:
        """Set columns of every row in which an indexed column has a value."""
        self._check({column: value, **values})
        leading = {self.table.key[0], *(each.columns[0] for each in self.table.indexes)}
        assert column in leading
        for row in self.rows.values():
            if row[column] == value:
                row.update(values)

    def _check(self, values: Mapping[str, Value]) -> None:
        columns = {column.name: column for column in self.table.columns}
        for name, value in values.items():
            column = columns[name]
            if value is None:
                assert column.nullable, f"{self.table.name}.{name} is null"
            else:
                fits = _FITS[column.type.partition("(")[0]]
                assert fits(value), f"{self.table.name}.{name}: {value!r}"

    @staticmethod
    def _default(column: Column) -> Value:
        return None if column.default is None else int(column.default)


def _decoded(table: Table, row: Row) -> Row:
    json = {column.name for column in table.columns if column.type == "jsonb"}
    return {
        name: msgspec.json.decode(value)
        if name in json and isinstance(value, str)
        else value
        for name, value in row.items()
    }


@dataclass(frozen=True)
class Given:
    """A projection and the facts it is about to see."""

    projection: Projection
    batch: Sequence[Recorded[Event]]

    def rows(self) -> list[Row]:
        """Return the rows in the order of their keys, JSON decoded."""
        memory = MemoryRows(self.projection.table)
        project(self.projection, self.batch, memory)
        return [
            _decoded(memory.table, row)
            for _, row in sorted(memory.rows.items(), key=lambda item: str(item[0]))
        ]

    def then(self, *expected: Row) -> None:
        """Assert that there are these rows, each with at least these values."""
        rows = self.rows()
        assert [
            {name: row[name] for name in wanted}
            for row, wanted in zip(rows, expected, strict=False)
        ] == list(expected)
        assert len(rows) == len(expected)


def project(
    projection: Projection, batch: Iterable[Recorded[Event]], rows: Rows
) -> None:
    """Give a projection those facts of a batch that it asked for."""
    projection.project(
        [each for each in batch if isinstance(each.event, projection.events)], rows
    )


def given(projection: Projection, *events: Event) -> Given:
    """Return a projection over events as the log would have recorded them."""
    return Given(projection, recorded(*events))
