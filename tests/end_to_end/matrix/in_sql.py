"""What somebody sees in SQL, as the login of the application or as a reader's own."""

from collections.abc import Iterator
from typing import Any

from projections.catalogue import TABLES
from projections.ddl import qualified, view_name
from services.http.reading import IDENTIFY
from tests.end_to_end.matrix.oracle import Asker
from tests.end_to_end.matrix.stage import Stage, key_of


LOGIN = """
INSERT INTO access.logins (login, org_id, actor, roles)
VALUES ('rehearsal_reader', $1, $2, $3)
ON CONFLICT (login) DO UPDATE
SET org_id = excluded.org_id, actor = excluded.actor, roles = excluded.roles
"""


async def identify(connection: Any, asker: Asker) -> None:  # noqa: ANN401 - a connection
    """Say for a transaction of the application who asks."""
    await connection.execute(
        IDENTIFY,
        asker.org,
        asker.actor,
        ",".join(sorted(asker.roles)),
        asker.email or "",
        "on" if "events" in asker.scopes else "",
    )


async def leaks(connection: Any, stage: Stage, asker: Asker, name: str) -> list[str]:  # noqa: ANN401 - a connection
    """Return how what somebody sees of a table differs from what they should."""
    table = TABLES[name]
    secret = [each.name for each in table.columns if each.visible is not None]
    columns = ", ".join(
        f'"{each}"' for each in dict.fromkeys((*table.shown_key, *table.key, *secret))
    )
    rows = await connection.fetch(f"SELECT {columns} FROM {view_name(table)}")  # noqa: S608 - names of the catalogue
    return list(_differences(stage, asker, name, rows))


async def bare_leaks(
    connection: Any,  # noqa: ANN401 - a connection
    stage: Stage,
    asker: Asker,
    name: str,
) -> list[str]:
    """Return how what somebody sees of the table itself differs, views aside.

    Some views stand on others, so that two policies hold what one would.
    """
    table = TABLES[name]
    physical = qualified(table, stage.physical[name])
    rows = await connection.fetch(f"SELECT * FROM {physical}")  # noqa: S608 - names of the catalogue
    found = {key_of(row, table.key) for row in rows}
    expected = {key_of(row, table.key) for row in stage.oracle.seen(name, asker)}
    return [] if found == expected else [f"{physical}: {len(found ^ expected)} rows"]


def _differences(stage: Stage, asker: Asker, name: str, rows: Any) -> Iterator[str]:  # noqa: ANN401 - rows
    table = TABLES[name]
    found = {key_of(row, table.shown_key) for row in rows}
    expected = stage.expected(name, asker)
    if found != expected:
        more, less = len(found - expected), len(expected - found)
        yield f"{name}: {more} rows too many, {less} too few"
        return
    hidden = stage.hidden(name, asker)
    for row in rows:
        for column, value in hidden.get(key_of(row, table.key), {}).items():
            if row[column] != value:
                yield f"{name}.{column} shows what it should not"
