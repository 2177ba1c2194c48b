"""Picks backends at chosen moments of their work, and has the server end them."""

import asyncio
from collections import Counter
from random import Random
from typing import Final

import asyncpg

from infra.postgres.failures import AWAY
from tests.chaos.server import NAME, ChaosServer


PATIENCE: Final = 0.3
BETWEEN_LOOKS: Final = 0.002
MOMENTS: Final = {
    "commit": 40,
    "append": 25,
    "transaction": 8,
    "lock": 10,
    "read": 7,
    "idle": 5,
    "any": 5,
}

# What a backend is at, judged and ended in one statement.
KILL: Final = """
WITH at_work AS MATERIALIZED (
    SELECT
        pid,
        application_name,
        CASE
            WHEN query LIKE '%pg_sleep%' OR state LIKE 'idle in transaction%'
                THEN 'transaction'
            WHEN state = 'idle' THEN 'idle'
            WHEN wait_event_type = 'Lock' THEN 'lock'
            WHEN (query LIKE '%es.append%' OR query ILIKE 'COMMIT%')
                AND lower(wait_event) IN ('pgsleep', 'walsync', 'walwrite')
                THEN 'commit'
            WHEN query LIKE '%es.append%' THEN 'append'
            ELSE 'read'
        END AS moment
    FROM pg_stat_activity
    WHERE datname = $1
      AND application_name LIKE 'chaos%'
      AND pid <> pg_backend_pid()
), chosen AS MATERIALIZED (
    SELECT *
    FROM at_work
    WHERE $2 IN (moment, 'any')
    ORDER BY random()
    LIMIT 1
)
SELECT moment, application_name
FROM chosen
WHERE pg_terminate_backend(pid)
"""


class Killer:
    """Ends backends, and counts them by what they were at."""

    def __init__(self, server: ChaosServer, random: Random) -> None:
        self.counts: Counter[str] = Counter()
        self._server = server
        self._random = random
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    @property
    def kills(self) -> int:
        """Return how many backends were ended."""
        return self.counts.total()

    async def kill(self) -> str | None:
        """End a backend at a random moment of its work, and return at which."""
        (wanted,) = self._random.choices(list(MOMENTS), list(MOMENTS.values()))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            late = loop.time() > deadline
            row = await self._look("any" if late else wanted)
            if row is not None:
                self.counts[row["moment"]] += 1
                return str(row["moment"])
            if late:
                return None
            await asyncio.sleep(BETWEEN_LOOKS)

    async def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.terminate()

    async def _look(self, wanted: str) -> asyncpg.Record | None:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(
                    self._server.database.superuser, timeout=2, command_timeout=5
                )
            return await self._connection.fetchrow(KILL, NAME, wanted)
        except AWAY:
            self._connection = None
            return None
