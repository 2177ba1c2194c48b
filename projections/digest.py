"""What a read table holds, as one hash, and where two builds of it differ.

Rows are compared by the text of their columns, with the settings that text depends on
pinned. The digest is a sha256 over the sorted sha256 of the rows, in 256 parts, so it
does not depend on the order in which rows are stored.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from events.errors import Missing
from projections import builds, ddl
from projections.projection import Table
from projections.sql import Sql


FIRST: int = 20  # keys of rows that differ which are named


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is `missing` in the new build, `extra` there, or `changed`."""

    kind: Literal["missing", "extra", "changed"]
    key: list[str]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How a new build differs from the one that is shown, at one position.

    `first` names the first rows in the order of the key. Columns that only one of them
    has are listed, not compared.
    """

    name: str
    shown: str
    new: str
    position: int
    rows: int
    missing: int
    extra: int
    changed: int
    first: list[RowDifference]
    only_shown: list[str]
    only_new: list[str]

    @property
    def equal(self) -> bool:
        """Say whether no row differs."""
        return not (self.missing or self.extra or self.changed)


async def table_digest(sql: Sql, table: Table) -> str:
    """Return the hash, in hex, of the rows that a read table's view stands on.

    Runs as the projector, in a transaction. Raises `Missing`.
    """
    build = await builds.shown(sql, f"{table.schema}.{table.name}")
    if build is None:
        message = f"{table.schema}.{table.name} is not installed"
        raise Missing(message)
    return await digest(sql, table, build.physical)


async def digest(sql: Sql, table: Table, physical: str) -> str:
    """Return the hash, in hex, of the rows in a physical table."""
    await pin(sql)
    columns = ", ".join(ddl.quoted(column.name) for column in table.columns)
    found: str = await sql.fetchval(
        f"""
        WITH hashed AS (
            SELECT sha256(convert_to(ROW ({columns})::text, 'UTF8')) AS hash
            FROM {ddl.qualified(table, physical)}
        ), parts AS (
            SELECT
                get_byte(hash, 0) AS part,
                sha256(string_agg(hash, ''::bytea ORDER BY hash)) AS hash
            FROM hashed
            GROUP BY 1
        )
        SELECT encode(
            sha256(coalesce(string_agg(hash, ''::bytea ORDER BY part), ''::bytea)),
            'hex'
        )
        FROM parts
        """  # noqa: S608 - quoted names
    )
    return found


async def pin(sql: Sql) -> None:
    """Pin what the text of values depends on, for the rest of the transaction."""
    await sql.execute(
        """
        SELECT
            set_config('TimeZone', 'UTC', true),
            set_config('DateStyle', 'ISO, MDY', true),
            set_config('IntervalStyle', 'postgres', true),
            set_config('bytea_output', 'hex', true),
            set_config('extra_float_digits', '1', true)
        """
    )


async def compare(
    sql: Sql,
    table: Table,
    shown: builds.Build,
    new: builds.Build,
    position: int,
) -> Difference:
    """Return how the rows of two builds differ in the columns that both have."""
    await pin(sql)
    old_columns = await _columns(sql, table, shown.physical)
    new_columns = await _columns(sql, table, new.physical)
    both = [name for name in new_columns if name in old_columns]
    source = _differences(table, shown.physical, new.physical, both)
    counts = await sql.fetchrow(
        f"""
        SELECT
            count(*) FILTER (WHERE kind = 'missing') AS missing,
            count(*) FILTER (WHERE kind = 'extra') AS extra,
            count(*) FILTER (WHERE kind = 'changed') AS changed,
            (SELECT count(*) FROM {ddl.qualified(table, new.physical)}) AS rows
        FROM ({source}) AS difference
        """  # noqa: S608 - quoted names
    )
    first: Sequence[Any] = ()
    if counts["missing"] or counts["extra"] or counts["changed"]:
        first = await sql.fetch(f"{source}\nORDER BY key\nLIMIT {FIRST}")
    return Difference(
        name=new.name,
        shown=shown.physical,
        new=new.physical,
        position=position,
        rows=counts["rows"],
        missing=counts["missing"],
        extra=counts["extra"],
        changed=counts["changed"],
        first=[RowDifference(kind=row["kind"], key=row["key"]) for row in first],
        only_shown=[name for name in old_columns if name not in new_columns],
        only_new=[name for name in new_columns if name not in old_columns],
    )


def _differences(table: Table, shown: str, new: str, columns: Sequence[str]) -> str:
    def row(source: str) -> str:
        names = ", ".join(f"{source}.{ddl.quoted(name)}" for name in columns)
        return f"ROW ({names})::text"

    keys = [ddl.quoted(name) for name in table.key]
    same = " AND ".join(f"was.{key} = now.{key}" for key in keys)
    key = ", ".join(f"coalesce(was.{key}, now.{key})::text" for key in keys)
    return f"""
        SELECT
            CASE
                WHEN was.{keys[0]} IS NULL THEN 'extra'
                WHEN now.{keys[0]} IS NULL THEN 'missing'
                ELSE 'changed'
            END AS kind,
            ARRAY[{key}] AS key
        FROM {ddl.qualified(table, shown)} AS was
        FULL JOIN {ddl.qualified(table, new)} AS now
            ON {same}
        WHERE was.{keys[0]} IS NULL
           OR now.{keys[0]} IS NULL
           OR {row("was")} <> {row("now")}
    """  # noqa: S608 - quoted names


async def _columns(sql: Sql, table: Table, physical: str) -> Sequence[str]:
    rows = await sql.fetch(
        """
        SELECT attname
        FROM pg_attribute
        WHERE attrelid = to_regclass($1)
          AND attnum > 0
          AND NOT attisdropped
        ORDER BY attnum
        """,
        ddl.qualified(table, physical),
    )
    return [row["attname"] for row in rows]
