"""Brings a database up to date: its schema by migrations, its read tables by builds."""

import asyncio
import sys

import asyncpg
import msgspec

from infra.postgres.migrations import migrate
from infra.preparing import Addresses
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


def main() -> None:
    """Furnish the database whose addresses come on standard input."""
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Addresses)
    asyncio.run(furnish(owner=given.owner, projector=given.projector))


if __name__ == "__main__":
    main()
