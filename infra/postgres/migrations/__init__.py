"""Migrations of the log and the key store: Alembic orders them, SQL files do them.

Revision `0001` runs every file of `sql/0001_*/` in name order, in one transaction. An
applied file is kept by its sha256 and must not change; what follows it is a new
revision. Read tables are not migrated but rebuilt.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import asyncpg

from infra.postgres.roles import APP, OWNER
from infra.settings import SetupError


SQL: Final = Path(__file__).parents[1] / "sql"
SCHEMA: Final = "migrations"
LOCK: Final = 0x72656865_6D696772  # advisory lock of everything that migrates
LOCK_WAIT: Final = "60s"

PREPARE: Final = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
GRANT USAGE ON SCHEMA {SCHEMA} TO {APP};
ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT SELECT ON TABLES TO {APP};
CREATE TABLE IF NOT EXISTS {SCHEMA}.files (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


class MigrationError(SetupError):
    """The database and the migrations of this version do not fit together."""


async def migrate(owner_dsn: str) -> list[str]:
    """Apply what is pending, and return the names of the revisions applied.

    Needs a direct connection of the owner, or of a role that may become it. Calls at
    the same time wait for each other. A database that a newer version migrated is
    left as it is. Raises `MigrationError` where an applied file was changed.
    """
    connection = await connect(owner_dsn)
    try:
        await connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await connection.execute("RESET lock_timeout")
        await connection.execute(PREPARE)
        await _verify(connection)
        due = await unapplied(connection)
        if due:
            # Alembic costs a second and 30 MB, which only a migration pays.
            from infra.postgres.migrations.upgrading import upgrade  # noqa: PLC0415

            await upgrade(lambda: connect(owner_dsn))
    except asyncpg.LockNotAvailableError:
        message = f"another migration has run for more than {LOCK_WAIT}; try again"
        raise MigrationError(message) from None
    else:
        return due
    finally:
        await connection.close()


async def pending(owner_dsn: str) -> list[str]:
    """Return the names of the revisions that are not applied, in order."""
    connection = await connect(owner_dsn)
    try:
        return await unapplied(connection)
    finally:
        await connection.close()


async def unapplied(sql: Any) -> list[str]:  # noqa: ANN401 - a connection or a pool
    """Return the names of the revisions that are not applied; the app may ask."""
    exists = await sql.fetchval(f"SELECT to_regclass('{SCHEMA}.revision')")
    done = (
        await sql.fetchval(f"SELECT max(version_num) FROM {SCHEMA}.revision")  # noqa: S608 - our own schema's name
        if exists
        else None
    )
    return [path.name for path in revisions() if path.name[:4] > (done or "")]


def revisions() -> list[Path]:
    """Return the directory of every revision, in order."""
    return sorted(path for path in SQL.glob("[0-9]*_*") if path.is_dir())


def statements(revision: str) -> list[tuple[str, str, str]]:
    """Return (name, text, sha256) of every file of a revision, in order."""
    (directory,) = SQL.glob(f"{revision}_*")
    files = sorted(directory.rglob("*.sql"))
    texts = ((file, file.read_text(encoding="utf-8")) for file in files)
    return [
        (file.relative_to(SQL).as_posix(), text, _sha256(text)) for file, text in texts
    ]


async def connect(dsn: str) -> Any:  # noqa: ANN401 - asyncpg's connection or a proxy of it
    """Open a connection that acts as the owner."""
    connection = await asyncpg.connect(
        dsn, server_settings={"application_name": "rehearsal migrate"}
    )
    try:
        if await connection.fetchval("SELECT current_user") != OWNER:
            await connection.execute(f"SET ROLE {OWNER}")
    except asyncpg.PostgresError as error:
        await connection.close()
        message = f"migrations run as {OWNER}, and this login may not: {error}"
        raise MigrationError(message) from None
    return connection


async def _verify(connection: Any) -> None:  # noqa: ANN401 - as `connect`
    rows = await connection.fetch(f"SELECT name, sha256 FROM {SCHEMA}.files")  # noqa: S608 - our own schema's name
    applied = {row["name"]: row["sha256"] for row in rows}
    touched = {name[:4] for name in applied}
    present = {
        name: sha256
        for revision in revisions()
        if revision.name[:4] in touched
        for name, _text, sha256 in statements(revision.name[:4])
    }
    known = {revision.name[:4] for revision in revisions()}
    changed = sorted(
        name
        for name in applied.keys() | present.keys()
        if name[:4] in known and applied.get(name) != present.get(name)
    )
    if changed:
        message = (
            f"{changed[0]} differs from what was applied to this database; "
            "restore the file and put the change into a new revision"
        )
        raise MigrationError(message)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
