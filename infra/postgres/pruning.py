"""Forgets the recorded outcomes of commands that nobody will retry any more.

An outcome is kept for `KEPT`; a retry that comes later is handled as a new command.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from infra.postgres.failures import AWAY
from infra.postgres.partitions import Fetches


KEPT: Final = timedelta(days=30)
INTERVAL: Final = 3600.0
AT_ONCE: Final = 10_000

PRUNE: Final = "SELECT es.prune_commands(clock_timestamp() - $1::interval, $2)"

_log: Final = structlog.get_logger()


async def prune(sql: Fetches) -> int:
    """Forget what is older than `KEPT`, a part at a time, and return how many."""
    pruned = 0
    while True:
        part = int(await sql.fetchval(PRUNE, KEPT, AT_ONCE))
        pruned += part
        if part < AT_ONCE:
            return pruned


async def keep_pruned(sql: Fetches, *, interval: float = INTERVAL) -> None:
    """Prune at every interval, for ever."""
    while True:
        await asyncio.sleep(interval)
        try:
            pruned = await prune(sql)
        except AWAY as error:
            _log.warning("outcomes_not_pruned", error=str(error))
        else:
            if pruned:
                _log.info("outcomes_pruned", count=pruned)
