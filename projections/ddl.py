"""The statements that make a read table, its policies and its view.

Rows live in `<schema>_tables.<name>__v<version>`, a schema that only the projector may
name. People query the view `<schema>.<name>`: it runs with the rights of who asks, so
that the row policy binds them, and it alone decides which values of a row they see.
Functions of `access` stand in a scalar subquery, which runs once for a query and not
once for a row.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from events.message import ERASED, SEALED
from projections.projection import Column, Index, Table


READERS: Final = ("rehearsal_app", "rehearsal_reader")
NAME_LIMIT: Final = 63

_IDENTITY: Final = re.compile(r"access\.\w+\((?:[^()']|'[^']*')*\)")


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def tables_schema(table: Table) -> str:
    """Return the schema of the tables that hold rows."""
    return f"{table.schema}_tables"


def qualified(table: Table, physical: str) -> str:
    """Return the full name of a table that holds rows."""
    return f"{quoted(tables_schema(table))}.{quoted(physical)}"


def view_name(table: Table) -> str:
    """Return the full name of the view that people query."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"


def once(predicate: str) -> str:
    """Return a predicate that asks only once who is asking."""
    return _IDENTITY.sub(lambda found: f"(SELECT {found.group()})", predicate)


def create_table(table: Table, physical: str) -> str:
    """Return the statement that makes the table with its key and checks."""
    key = ", ".join(map(quoted, table.key))
    parts = [*map(_column, table.columns), f"PRIMARY KEY ({key})"]
    body = ",\n    ".join(parts)
    return f"CREATE TABLE {qualified(table, physical)} (\n    {body}\n)"


def create_indexes(
    table: Table, physical: str, extensions: Iterable[str]
) -> Sequence[str]:
    """Return the statements that make the indexes that the database can have."""
    installed = set(extensions)
    return [
        _index(table, physical, index)
        for index in table.indexes
        if index.extension is None or index.extension in installed
    ]


def drop_other_indexes(table: Table, physical: str, extensions: Iterable[str]) -> str:
    """Return the statement that drops indexes that are declared no more."""
    installed = set(extensions)
    names = ", ".join(
        literal(_index_name(physical, index))
        for index in table.indexes
        if index.extension is None or index.extension in installed
    )
    kept = f"AND other.relname NOT IN ({names})" if names else ""
    return (
        "DO $$\n"  # noqa: S608 - quoted names
        "DECLARE\n"
        "    index regclass;\n"
        "BEGIN\n"
        "    FOR index IN\n"
        "        SELECT other.oid\n"
        "        FROM pg_index\n"
        "        JOIN pg_class AS other ON other.oid = pg_index.indexrelid\n"
        f"        WHERE indrelid = {literal(qualified(table, physical))}::regclass\n"
        f"        AND NOT indisprimary {kept}\n"
        "    LOOP\n"
        "        EXECUTE format('DROP INDEX %s', index);\n"
        "    END LOOP;\n"
        "END\n"
        "$$"
    )


def protect(table: Table, physical: str) -> Sequence[str]:
    """Return the statements that put the row policy on the table."""
    name, readers = qualified(table, physical), ", ".join(READERS)
    policy = (
        f"CREATE POLICY visible ON {name}\n"
        f"    FOR SELECT\n"
        f"    TO {readers}\n"
        f"    USING ({once(table.rows)})"
    )
    entered = f"access.in_area({literal(table.schema)})"
    area = (
        f"CREATE POLICY area ON {name}\n"
        f"    AS RESTRICTIVE\n"
        f"    FOR SELECT\n"
        f"    TO {readers}\n"
        f"    USING ({once(entered)})"
    )
    return [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS visible ON {name}",
        f"DROP POLICY IF EXISTS area ON {name}",
        policy,
        *(() if table.everyone else (area,)),
        f"GRANT SELECT ON {name} TO {readers}",
    ]


def create_view(table: Table, physical: str) -> Sequence[str]:
    """Return the statements that make or replace the view, and describe it."""
    name, readers = view_name(table), ", ".join(READERS)
    view = (
        f"CREATE OR REPLACE VIEW {name}\n"
        f"    WITH (security_invoker = true)\n"
        f"AS {select(table, physical)}"
    )
    return [
        view,
        f"GRANT SELECT ON {name} TO {readers}",
        f"COMMENT ON VIEW {name} IS {literal(table.note)}",
        *(
            f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.note)}"
            for column in (*table.columns, *table.view_columns)
            if column.note
        ),
        *(statement for schema in table.also for statement in _also(table, schema)),
    ]


def also_names(table: Table) -> Sequence[str]:
    """Return the full names of the views that stand for the view elsewhere."""
    return [f"{quoted(schema)}.{quoted(table.name)}" for schema in table.also]


def _also(table: Table, schema: str) -> Sequence[str]:
    name = f"{quoted(schema)}.{quoted(table.name)}"
    view = (
        f"CREATE OR REPLACE VIEW {name}\n"  # noqa: S608 - quoted names
        f"    WITH (security_invoker = true)\n"
        f"AS SELECT * FROM {view_name(table)}"
    )
    return [
        view,
        f"GRANT SELECT ON {name} TO {', '.join(READERS)}",
        f"COMMENT ON VIEW {name} IS {literal(table.note)}",
    ]


def select(table: Table, physical: str) -> str:
    """Return the query of the view: what a row shows to who asks."""
    columns = ",\n    ".join(map(_shown, table.columns))
    shown = f"SELECT\n    {columns}\nFROM {qualified(table, physical)}"
    if table.view is None:
        return shown
    hides = any(column.visible is not None for column in table.columns)
    source = f"(\n{shown}\n)" if hides else qualified(table, physical)
    return table.view.strip().replace("{table}", source)


def shape(table: Table) -> str:
    """Return a hash of what rows are made of: another shape needs another version."""
    return _hash([create_table(table, "")])


def dress(table: Table, extensions: Iterable[str]) -> str:
    """Return a hash of what can be put on a table that has rows."""
    return _hash(
        [
            *create_indexes(table, "", extensions),
            *protect(table, ""),
            *create_view(table, ""),
        ]
    )


def _column(column: Column) -> str:
    parts = [quoted(column.name), column.type]
    if not column.nullable:
        parts.append("NOT NULL")
    if column.default is not None:
        parts.append(f"DEFAULT {column.default}")
    if column.check is not None:
        parts.append(f"CHECK ({column.check})")
    return " ".join(parts)


def _shown(column: Column) -> str:
    name = quoted(column.name)
    if column.visible is None:
        return name
    closed = (
        f" WHEN {name} <> {literal(ERASED)} THEN {literal(SEALED)}"
        if column.personal
        else ""
    )
    return f"CASE WHEN {once(column.visible)} THEN {name}{closed} END AS {name}"


def _index(table: Table, physical: str, index: Index) -> str:
    names = {column.name for column in table.columns}
    columns = ", ".join(
        quoted(column) if column in names else column for column in index.columns
    )
    unique = "UNIQUE " if index.unique else ""
    where = f"\n    WHERE {index.where}" if index.where else ""
    return (
        f"CREATE {unique}INDEX IF NOT EXISTS {quoted(_index_name(physical, index))}\n"
        f"    ON {qualified(table, physical)}\n"
        f"    USING {index.method} ({columns}){where}"
    )


def _index_name(physical: str, index: Index) -> str:
    """Return a name that differs wherever the index does."""
    words = "_".join(re.findall(r"\w+", " ".join(index.columns)))
    ending = "_" + _hash([repr(index)])[:6]
    return f"{physical}_{words}"[: NAME_LIMIT - len(ending)] + ending


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]
