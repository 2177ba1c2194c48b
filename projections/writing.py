"""Writes the merged changes of a page into a table, a few statements for all rows.

Inserts are copied in, be they many or one; an insert of a key that is there fails.
Changes are grouped by the columns that they touch: one UPDATE for each group and, where
it found fewer rows than it should have made if missing, an INSERT of those. ON CONFLICT
would check the NOT NULL columns of rows that need not be made; nobody else writes to
the table meanwhile.

Values of `jsonb` columns are JSON text, those of array columns are sequences.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from projections.ddl import quoted, tables_schema
from projections.projection import Table, Value
from projections.rows import Change, Changes, Key, Stretch, Sweep, WrongColumnsError
from projections.sql import Sql


_MODIFIERS: Final = re.compile(r"\s*\([^)]*\)|\s+COLLATE\s+\S+", re.IGNORECASE)
_MISFITS: Final = (ArithmeticError, AttributeError, TypeError, ValueError)

Columns = tuple[str, ...]
Row = Sequence[Value]


class UnwritableError(Exception):
    """A value does not fit the type of its column."""


class Target:
    """A physical table that holds a projection's rows."""

    def __init__(self, table: Table, physical: str | None = None) -> None:
        self.table = table
        self.physical = physical or table.physical
        self._statements = Statements(table, self.physical)
        self._columns: Columns = tuple(column.name for column in table.columns)

    async def write(self, sql: Sql, changes: Changes) -> int:
        """Write a batch's changes in a transaction; return how many there were.

        Raises `UnwritableError`, or what the database says, where a change cannot be.
        """
        for step in changes:
            if isinstance(step, Sweep):
                await self._sweep(sql, step)
            else:
                await self._stretch(sql, step)
        return len(changes)

    async def _stretch(self, sql: Sql, stretch: Stretch) -> None:
        if stretch.removed:
            await self._run(sql, "delete", self.table.key, (), stretch.removed)
        if stretch.inserted:
            await self._insert(sql, stretch.inserted.values())
        if stretch.changed:
            await self._change(sql, stretch.changed)

    async def _insert(self, sql: Sql, rows: Iterable[Row]) -> None:
        try:
            await sql.copy_records_to_table(
                self.physical,
                schema_name=tables_schema(self.table),
                columns=self._columns,
                records=map(tuple, rows),
            )
        except _MISFITS as error:
            message = f"{self.table.name}: {error}"
            raise UnwritableError(message) from error

    async def _change(self, sql: Sql, changed: dict[Key, Change]) -> None:
        updates: dict[tuple[Columns, Columns], list[Row]] = {}
        upserts: dict[tuple[Columns, Columns, Columns], list[tuple[Row, Row]]] = {}
        for key, change in changed.items():
            sets, amounts, created = change.sets, change.amounts, change.created
            row = (*key, *sets.values(), *amounts.values())
            kind = (tuple(sets), tuple(amounts))
            if created is None:
                updates.setdefault(kind, []).append(row)
            else:
                upserts.setdefault((*kind, tuple(created)), []).append(
                    (row, (*key, *created.values()))
                )
        key_columns = self.table.key
        for (sets_, amounts_), rows in updates.items():
            await self._run(sql, "update", (*key_columns, *sets_), amounts_, rows)
        for (sets_, amounts_, created_), pairs in upserts.items():
            found = await self._run(
                sql,
                "update",
                (*key_columns, *sets_),
                amounts_,
                [row for row, _ in pairs],
            )
            if found < len(pairs):
                await self._run(
                    sql,
                    "insert missing",
                    (*key_columns, *created_),
                    (),
                    [made for _, made in pairs],
                )

    async def _sweep(self, sql: Sql, sweep: Sweep) -> None:
        columns = tuple(sorted(sweep.columns))
        rows = [
            (value, *(found[name] for name in columns))
            for value, found in sweep.found.items()
        ]
        await self._run(sql, "sweep", (sweep.column, *columns), (), rows)

    async def _run(
        self,
        sql: Sql,
        kind: str,
        columns: Columns,
        amounts: Columns,
        rows: Iterable[Row],
    ) -> int:
        """Run a statement for rows and return how many it touched."""
        statement = self._statements.of(kind, columns, amounts)
        arrays = self._statements.transposed((*columns, *amounts), rows)
        status = await sql.execute(statement, *arrays)
        return int(status.rpartition(" ")[2])


class Statements:
    """The statements that write to a table, one array parameter for each column."""

    def __init__(self, table: Table, physical: str) -> None:
        self._table = table
        self._name = f"{quoted(tables_schema(table))}.{quoted(physical)}"
        self._types = {
            column.name: _MODIFIERS.sub("", column.type) for column in table.columns
        }
        self._settable = self._types.keys() - set(table.key)
        self._texts: dict[tuple[str, Columns, Columns], str] = {}

    def of(self, kind: str, columns: Columns, amounts: Columns) -> str:
        """Return the statement of a kind for columns and columns to add to."""
        text = self._texts.get((kind, columns, amounts))
        if text is None:
            text = self._compose(kind, columns, amounts)
            self._texts[kind, columns, amounts] = text
        return text

    def transposed(self, columns: Columns, rows: Iterable[Row]) -> list[Row]:
        """Return rows as one array a column, as the statements take them."""
        arrays: list[Row] = list(zip(*rows, strict=True))
        for i, name in enumerate(columns):
            if self._is_array(name):
                arrays[i] = [array_text(value) for value in arrays[i]]
        return arrays

    def _compose(self, kind: str, columns: Columns, amounts: Columns) -> str:
        wide = len(self._table.key)
        match kind:
            case "delete":
                return self._delete(columns)
            case "insert missing":
                self._check(columns[wide:])
                return self._insert_missing(columns)
            case "sweep":
                self._check(columns[1:])
                return self._update(columns, (), width=1)
            case _:
                self._check((*columns[wide:], *amounts))
                return self._update(columns, amounts, width=wide)

    def _delete(self, key: Columns) -> str:
        return (
            f"DELETE FROM {self._name} AS target\n"  # noqa: S608 - quoted names
            f"USING {self._source(key)}\n"
            f"WHERE {self._same(key)}"
        )

    def _insert_missing(self, columns: Columns) -> str:
        names = ", ".join(map(quoted, columns))
        values = ", ".join(self._value(i, name) for i, name in enumerate(columns))
        key = columns[: len(self._table.key)]
        return (
            f"INSERT INTO {self._name} ({names})\n"
            f"SELECT {values}\n"
            f"FROM {self._source(columns)}\n"
            f"WHERE NOT EXISTS (\n"
            f"    SELECT FROM {self._name} AS target\n"
            f"    WHERE {self._same(key)}\n"
            f")"
        )

    def _update(self, columns: Columns, amounts: Columns, *, width: int) -> str:
        found = columns[:width]
        values = {name: self._value(i, name) for i, name in enumerate(columns)}
        sets = [f"{quoted(name)} = {values[name]}" for name in columns[width:]]
        sums = [
            f"{quoted(name)} = coalesce(target.{quoted(name)}, 0) + change.c{i}"
            for i, name in enumerate(amounts, start=len(columns))
        ]
        same = [f"{quoted(found[0])} = target.{quoted(found[0])}"]
        return (
            f"UPDATE {self._name} AS target\n"
            f"SET {', '.join(sets + sums or same)}\n"
            f"FROM {self._source((*columns, *amounts))}\n"
            f"WHERE {self._same(found)}"
        )

    def _source(self, columns: Columns) -> str:
        arrays = ", ".join(
            f"${i}::{'text' if self._is_array(name) else self._types[name]}[]"
            for i, name in enumerate(columns, start=1)
        )
        names = ", ".join(f"c{i}" for i in range(len(columns)))
        return f"unnest({arrays}) AS change ({names})"

    def _same(self, columns: Columns) -> str:
        return " AND ".join(
            f"target.{quoted(name)} = {self._value(i, name)}"
            for i, name in enumerate(columns)
        )

    def _value(self, place: int, name: str) -> str:
        cast = f"::{self._types[name]}" if self._is_array(name) else ""
        return f"change.c{place}{cast}"

    def _is_array(self, name: str) -> bool:
        return self._types[name].endswith("[]")

    def _check(self, columns: Columns) -> None:
        for name in columns:
            if name not in self._settable:
                message = f"{self._table.name} cannot set {name!r}"
                raise WrongColumnsError(message)


def array_text(value: Value) -> str | None:
    """Return a sequence as the text of an SQL array."""
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        message = f"{value!r} is no sequence"
        raise UnwritableError(message)
    return "{" + ",".join(map(_element_text, value)) + "}"


def _element_text(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return array_text(value) or "NULL"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
