"""SQL on the read tables for an operator: read-only, as the reader, under policies."""

from typing import Any, Final

import asyncpg
import msgspec

from events.errors import Malformed, TooLarge, Unavailable


MAX_ROWS: Final = 100_000
SECONDS: Final = 60

REGISTER: Final = """
INSERT INTO access.logins (login, org_id, actor, roles)
VALUES ($1, $2, 'user:operator', ARRAY['admin'])
ON CONFLICT (login) DO UPDATE
SET org_id = excluded.org_id,
    actor = excluded.actor,
    roles = excluded.roles
"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a query, each by column name."""

    columns: list[str]
    rows: list[dict[str, Any]]


async def query(
    *, owner: str, reader: str, schema: str, statement: str, org_id: str
) -> Result:
    """Run one statement as the reader, who sees one organisation.

    Raises `Malformed` with the server's words for what is not SQL or not allowed.
    """
    try:
        registering = await asyncpg.connect(owner)
        try:
            await registering.execute(REGISTER, "rehearsal_reader", org_id)
        finally:
            await registering.close()
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
        async with connection.transaction(readonly=True):
            await connection.execute(
                "SELECT set_config('search_path', $1, true)", schema
            )
            await connection.set_type_codec(
                "jsonb",
                schema="pg_catalog",
                encoder=_same,
                decoder=msgspec.json.decode,
            )
            prepared = await connection.prepare(statement)
            columns = [each.name for each in prepared.get_attributes()]
            records = await prepared.fetch()
    except asyncpg.PostgresError as error:
        message = f"{error}" + (f" ({error.hint})" if error.hint else "")
        raise Malformed(message) from error
    finally:
        await connection.close()
    if len(records) > MAX_ROWS:
        message = f"More than {MAX_ROWS} rows; add a LIMIT."
        raise TooLarge(message)
    rows = [dict(zip(columns, record.values(), strict=True)) for record in records]
    return Result(columns=columns, rows=rows)


def _same(text: str) -> str:
    return text
