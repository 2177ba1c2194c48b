"""Points a read table's view at another table, and takes what depends on it along.

Where the new columns only add to the old ones the view is replaced in place, and
nothing that reads it notices. Otherwise the views that stand on it are taken down with
it and put up again as they were, with their options, comments and grants; where one
cannot stand on the new columns the whole transaction fails and nothing has changed.
"""

from collections.abc import Sequence
from typing import Any, Final

from projections import ddl
from projections.projection import Table
from projections.sql import Sql


OTHER_COLUMNS: Final = "42P16"  # invalid_table_definition


async def show(sql: Sql, table: Table, physical: str) -> None:
    """Make the view of a read table show the rows of a physical table."""
    await sql.execute("SAVEPOINT showing")
    try:
        await _create(sql, table, physical)
    except Exception as error:
        if getattr(error, "sqlstate", None) != OTHER_COLUMNS:
            raise
        await sql.execute("ROLLBACK TO SAVEPOINT showing")
        await _replace(sql, table, physical)
    await sql.execute("RELEASE SAVEPOINT showing")


async def _create(sql: Sql, table: Table, physical: str) -> None:
    for statement in ddl.create_view(table, physical):
        await sql.execute(statement)


async def _replace(sql: Sql, table: Table, physical: str) -> None:
    standing = await _dependants(sql, table)
    for view in reversed(standing):
        await sql.execute(f"DROP VIEW {view['name']}")
    await sql.execute(f"DROP VIEW {ddl.view_name(table)}")
    await _create(sql, table, physical)
    made = {name.replace('"', "") for name in ddl.also_names(table)}
    for view in standing:
        if view["name"].replace('"', "") in made:
            continue
        options = f" WITH ({view['options']})" if view["options"] else ""
        await sql.execute(
            f"CREATE VIEW {view['name']}{options} AS {view['definition']}"
        )
        for statement in view["statements"]:
            await sql.execute(statement)


async def _dependants(sql: Sql, table: Table) -> Sequence[Any]:
    """Return the views that stand on a view, each after those that it stands on."""
    return await sql.fetch(
        """
        WITH RECURSIVE standing (oid, depth) AS (
            SELECT to_regclass($1)::oid, 0
            UNION
            SELECT rule.ev_class, standing.depth + 1
            FROM standing
            JOIN pg_depend AS link
                ON link.refclassid = 'pg_class'::regclass
                AND link.refobjid = standing.oid
                AND link.classid = 'pg_rewrite'::regclass
            JOIN pg_rewrite AS rule
                ON rule.oid = link.objid
            WHERE rule.ev_class <> standing.oid
        ), deepest AS (
            SELECT oid, max(depth) AS depth
            FROM standing
            WHERE depth > 0
            GROUP BY oid
        )
        SELECT
            view.oid::regclass::text AS name,
            array_to_string(view.reloptions, ', ') AS options,
            pg_get_viewdef(view.oid) AS definition,
            ARRAY(
                SELECT format(
                    'GRANT %s ON %s TO %s',
                    right_.privilege_type,
                    view.oid::regclass,
                    CASE
                        WHEN right_.grantee = 0 THEN 'PUBLIC'
                        ELSE quote_ident(pg_get_userbyid(right_.grantee))
                    END
                )
                FROM aclexplode(view.relacl) AS right_
                WHERE right_.grantee <> view.relowner
            ) || ARRAY(
                SELECT format(
                    'COMMENT ON %s IS %L',
                    CASE
                        WHEN note.objsubid = 0 THEN 'VIEW ' || view.oid::regclass
                        ELSE format(
                            'COLUMN %s.%I', view.oid::regclass, part.attname
                        )
                    END,
                    note.description
                )
                FROM pg_description AS note
                LEFT JOIN pg_attribute AS part
                    ON part.attrelid = view.oid
                    AND part.attnum = note.objsubid
                WHERE note.classoid = 'pg_class'::regclass
                  AND note.objoid = view.oid
            ) AS statements
        FROM deepest
        JOIN pg_class AS view
            ON view.oid = deepest.oid
        ORDER BY deepest.depth, view.oid
        """,
        ddl.view_name(table),
    )
