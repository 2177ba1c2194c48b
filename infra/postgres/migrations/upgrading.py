"""Alembic's part of a migration: the order of revisions, each in a transaction."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy
from alembic import command, op
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from infra.postgres.migrations import SCHEMA, MigrationError, statements


def apply(revision: str) -> None:
    """Run the files of a revision on the driver's own connection.

    A prepared statement holds one command only; the driver's `execute` takes a file.
    """
    connection = op.get_bind()
    # The first statement of SQLAlchemy's own begins the transaction.
    connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
    adapted: Any = connection.connection.dbapi_connection
    for name, text, sha256 in statements(revision):
        try:
            adapted.run_async(lambda driver, text=text: driver.execute(text))
        except asyncpg.PostgresError as error:
            message = f"{name}: {error}"
            raise MigrationError(message) from error
        connection.execute(
            sqlalchemy.text(
                f"INSERT INTO {SCHEMA}.files (name, sha256) VALUES (:name, :sha256)"  # noqa: S608 - our own schema's name
            ),
            {"name": name, "sha256": sha256},
        )


async def upgrade(connect: Callable[[], Awaitable[Any]]) -> None:
    """Apply every revision that is due, on connections that `connect` opens."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        poolclass=sqlalchemy.NullPool,
    )
    try:
        async with engine.connect() as connection:
            await _run(connection)
    finally:
        await engine.dispose()


async def _run(connection: AsyncConnection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")

    def run(synchronous: sqlalchemy.Connection) -> None:
        config.attributes["connection"] = synchronous
        command.upgrade(config, "head")

    await connection.run_sync(run)
