"""SQL on the read tables for an operator: read-only, as the reader, under policies."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from events.errors import Malformed, Missing, TooLarge, Unavailable


MAX_ROWS: Final = 100_000
SECONDS: Final = 60

ALONE: Final = "SELECT pg_advisory_lock(hashtextextended('rehearsal sql', 0))"

REGISTER: Final = """
INSERT INTO access.logins (login, org_id, actor, roles)
VALUES ($1, $2, 'user:operator', ARRAY['admin'])
ON CONFLICT (login) DO UPDATE
SET org_id = excluded.org_id,
    actor = excluded.actor,
    roles = excluded.roles
"""

EXISTS: Final = """
SELECT to_regnamespace(quote_ident($1)) IS NOT NULL
"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a query, each by column name."""

    columns: list[str]
    rows: list[dict[str, Any]]


async def query(
    *, owner: str, reader: str, schema: str, statement: str, org_id: str
) -> Result:
    """Run one statement as the reader, who sees one organisation.

    The reader is one login, so calls wait for each other. Raises `Malformed` with the
    server's words for what is not SQL or not allowed, and `Missing` for a schema that
    there is not.
    """
    for name, text in (("schema", schema), ("statement", statement), ("org", org_id)):
        if "\0" in text:
            raise Malformed("A NUL is no part of any text here.", path=name)
    try:
        registering = await asyncpg.connect(owner)
    except OSError as error:
        message = f"There is no database to ask: {error}"
        raise Unavailable(message) from error
    try:
        await registering.execute(ALONE)
        await registering.execute(REGISTER, "rehearsal_reader", org_id)
        return await _ask(reader, schema, statement)
    finally:
        await registering.close()


async def _ask(reader: str, schema: str, statement: str) -> Result:
    try:
        connection = await asyncpg.connect(
            reader,
            server_settings={
                "application_name": "rehearsal sql",
                "statement_timeout": f"{SECONDS}s",
                "timezone": "UTC",
            },
        )
    except OSError as error:
        message = f"There is no database to ask: {error}"
        raise Unavailable(message) from error
    try:
        return await _run(connection, schema, statement)
    except asyncpg.PostgresError as error:
        hint = getattr(error, "hint", None)
        message = f"{error}" + (f" ({hint})" if hint else "")
        raise Malformed(message) from error
    finally:
        await connection.close()


async def _run(
    connection: "asyncpg.Connection[asyncpg.Record]", schema: str, statement: str
) -> Result:
    async with connection.transaction(readonly=True):
        if not await connection.fetchval(EXISTS, schema):
            message = f"There is no schema {schema!r}."
            raise Missing(message, path="schema")
        await connection.execute(
            "SELECT set_config('search_path', quote_ident($1), true)", schema
        )
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=str, decoder=msgspec.json.decode
        )
        prepared = await connection.prepare(statement)
        columns = _distinct([each.name for each in prepared.get_attributes()])
        if not columns:
            await prepared.fetch()
            return Result(columns=[], rows=[])
        cursor = await prepared.cursor()
        records = await cursor.fetch(MAX_ROWS + 1)
    if len(records) > MAX_ROWS:
        message = f"More than {MAX_ROWS} rows; add a LIMIT."
        raise TooLarge(message)
    rows = [dict(zip(columns, record.values(), strict=True)) for record in records]
    return Result(columns=columns, rows=rows)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return column names, each once: a second `name` is called `name_2`."""
    found: list[str] = []
    for name in names:
        number, one = 1, name
        while one in found:
            number += 1
            one = f"{name}_{number}"
        found.append(one)
    return found
