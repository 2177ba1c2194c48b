"""What somebody with a login of their own may try, to see rows that they may not."""

from typing import Any, Final

import asyncpg

from projections.catalogue import TABLES
from tests.end_to_end.matrix.in_sql import identify
from tests.end_to_end.matrix.oracle import Asker
from tests.end_to_end.matrix.stage import Stage
from tests.end_to_end.matrix.worlds import WORLDS


TRICKS: Final = {
    "a cast that fails with the value": """
        SELECT * FROM playgrounds.playgrounds
        WHERE name::integer = 1
    """,
    "a division that fails on the value": """
        SELECT * FROM testing.simulation_personas
        WHERE 1 / (CASE WHEN name ~ '.' THEN 0 ELSE 1 END) = 1
    """,
    "a range that fails with the value": """
        SELECT * FROM access.users
        WHERE (email || ' is')::timestamptz IS NULL
    """,
    "JSON that fails with the value": """
        SELECT * FROM playgrounds.evaluations
        WHERE answer_text::jsonb IS NULL
    """,
    "a hidden column in a condition": """
        SELECT id FROM playgrounds.model_configurations
        WHERE model_name::integer = 1 OR embed_code::xml IS NULL
    """,
    "a hidden column in an order": """
        SELECT id FROM access.users ORDER BY email::integer
    """,
    "a function of one's own in a condition": """
        DO $do$
        DECLARE found text;
        BEGIN
            FOR found IN SELECT u.full_name || u.email FROM access.users AS u
            LOOP
                RAISE NOTICE '%', found;
            END LOOP;
        END
        $do$
    """,
    "what the planner measured": """
        SELECT attname, most_common_vals::text, histogram_bounds::text
        FROM pg_stats
        WHERE schemaname <> 'es'
    """,
    "what the planner keeps": "SELECT stavalues1::text FROM pg_catalog.pg_statistic",
    "a plan": "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM playgrounds.playgrounds",
    "a plan of a hidden value": """
        EXPLAIN (ANALYZE, VERBOSE)
        SELECT * FROM access.users WHERE email LIKE 'tess%'
    """,
    "another identity": """
        SELECT set_config('rehearsal.org_id', 'museum', false),
               set_config('rehearsal.roles', 'admin', false),
               (SELECT count(*) FROM playgrounds.evaluations)
    """,
    "another's rows by their place": """
        SELECT * FROM playgrounds.evaluations
        WHERE id::text > '0' ORDER BY id OFFSET 0
    """,
    "a join of all with all": """
        SELECT a.full_name, b.name
        FROM access.users AS a
        FULL JOIN playgrounds.playgrounds AS b ON true
    """,
    "rows as they are": "SELECT u::text FROM access.users AS u",
    "everything as XML": "SELECT schema_to_xml('playgrounds', true, false, '')",
    "a query in a query": """
        SELECT query_to_xml('SELECT * FROM playgrounds.evaluations', true, false, '')
    """,
    "a cursor": "SELECT cursor_to_xml('c', 10, true, false, '')",
    "a sampled table": """
        SELECT * FROM playgrounds_tables.users__v2 TABLESAMPLE SYSTEM (100)
    """,
    "large objects": "SELECT lo_get(oid) FROM pg_largeobject_metadata",
    "files of the server": "SELECT pg_read_file('postgresql.conf')",
}
"""Statements, each of which may fail, but never with what is hidden."""

REFUSED: Final = (
    "SELECT * FROM es.events",
    "SELECT * FROM es.blobs",
    "SELECT * FROM es.streams",
    "SELECT * FROM es.work",
    "SELECT * FROM es.letters",
    "SELECT * FROM sign_in.passwords",
    "SELECT * FROM sign_in.sessions",
    "SELECT * FROM sign_in.service_tokens",
    "SELECT * FROM access.logins",
    "SELECT * FROM keys.subject_keys",
    "SELECT * FROM playgrounds_tables.evaluations__v1",
    "SET ROLE rehearsal_app",
    "SET ROLE rehearsal_projector",
    "SET SESSION AUTHORIZATION rehearsal_owner",
    "SELECT n_live_tup FROM pg_stat_all_tables",
    "SELECT n_tup_ins FROM pg_stat_user_tables",
    "SELECT idx_scan FROM pg_stat_user_indexes",
    "SELECT heap_blks_read FROM pg_statio_all_tables",
    "SELECT seq_tup_read FROM pg_stat_xact_all_tables",
    "SELECT tup_inserted FROM pg_stat_database",
    "SELECT usename FROM pg_stat_activity",
    "SELECT pg_stat_get_live_tuples(oid) FROM pg_class",
    "SELECT pg_relation_size(oid) FROM pg_class",
    "SELECT pg_table_size(oid), pg_indexes_size(oid) FROM pg_class",
    "SELECT pg_total_relation_size(oid) FROM pg_class",
    "SELECT pg_database_size(current_database())",
    "CREATE TEMPORARY TABLE kept (n int)",
    "CREATE TABLE public.kept (n int)",
    "CREATE FUNCTION public.peek(text) RETURNS boolean LANGUAGE sql RETURN true",
    "COPY (SELECT 1) TO '/kept'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "ALTER VIEW playgrounds.users RESET (security_invoker)",
)


async def told_by(connection: Any, statement: str, asker: Asker) -> str:  # noqa: ANN401 - a connection
    """Return all that somebody is told by a statement: rows, notices, failures."""
    told: list[str] = []
    connection.add_log_listener(lambda _connection, message: told.append(repr(message)))
    transaction = connection.transaction()
    await transaction.start()
    try:
        await identify(connection, asker)
        told.append(repr(await connection.fetch(statement)))
    except asyncpg.PostgresError as error:
        told += [str(error), repr(error.as_dict())]
    finally:
        await transaction.rollback()
    return "\n".join(told)


def secrets_of_others(stage: Stage, asker: Asker) -> set[str]:
    """Return the ids and addresses of other worlds that somebody is not shown."""
    shown = "\n".join(
        str(value)
        for name in TABLES
        for row in stage.oracle.seen(name, asker)
        for value in row.values()
    )
    return {
        each
        for world in WORLDS
        if world.actor("mila") != asker.actor
        for each in (
            *(mark.decode() for mark in world.marks),
            *(world.email(name) for name in ("tess", "tom")),
        )
        if each not in shown
    }
