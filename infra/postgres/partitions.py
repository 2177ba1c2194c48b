"""Partitions of the log, made before the positions that they will hold.

A position without a partition cannot be appended. A partition holds 2^24 positions and
two are kept ahead: at the highest rate that one lock allows, minutes each.
"""

import asyncio
from typing import Any, Final, Protocol

import asyncpg
import structlog

from infra.postgres.failures import AWAY


AHEAD: Final = 2
INTERVAL: Final = 60.0

_log: Final = structlog.get_logger()


class Fetches(Protocol):
    """A connection or a pool."""

    async def fetchval(self, query: str, *args: Any) -> Any:  # noqa: ANN401 - as asyncpg
        """Run a query and return the first column of its first row."""
        ...


async def make_partitions(sql: Fetches, *, ahead: int = AHEAD) -> int:
    """Make the partitions that are missing and return how many there were."""
    return int(await sql.fetchval("SELECT es.make_partitions($1)", ahead))


async def keep_partitions(sql: Fetches, *, interval: float = INTERVAL) -> None:
    """Keep partitions ahead of the log, for ever."""
    while True:
        await asyncio.sleep(interval)
        try:
            made = await make_partitions(sql)
        except AWAY as error:
            _log.warning("partitions_not_made", error=str(error))
        else:
            if made:
                _log.info("partitions_made", count=made)


def has_no_partition(error: asyncpg.CheckViolationError) -> bool:
    """Say whether a row was refused because there is no partition for it."""
    return error.constraint_name is None and error.table_name == "events"
