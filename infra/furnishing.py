"""Brings a database up to date: its schema by migrations, its read tables by builds."""

import asyncpg

from infra.postgres.migrations import migrate
from projections.builds import ensure
from projections.catalogue import GROUPS


async def furnish(*, owner: str, projector: str) -> list[str]:
    """Bring the schema and the read tables up to date; return what was applied."""
    applied = await migrate(owner)
    connection = await asyncpg.connect(projector)
    try:
        for group in GROUPS.values():
            async with connection.transaction():
                await ensure(connection, group)
    finally:
        await connection.close()
    return applied
