"""Where in the log a person left a trace, found without an index of its own."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool


TRACES: Final = """
SELECT position
FROM es.events
WHERE position > $1
  AND position <= $2
  AND org_id = $3
  AND (
      data ->> 'subject_id' = ANY ($5::text[])
      OR stream_id = 'access.user-' || $4
      OR actor = 'user:' || $4 AND data ->> 'subject_id' IS NULL
  )
ORDER BY position
"""


class PostgresTraces:
    """Finds the events that are of a person."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def positions(
        self,
        org_id: str,
        user_id: UUID,
        subjects: Sequence[UUID],
        *,
        after: int,
        upto: int,
    ) -> list[int]:
        """Return the positions of what a user did, or is sealed for them, in a span.

        What they did to the personal text of others is not among these.
        """
        with reaching_database():
            rows = await self._pool.fetch(
                TRACES, after, upto, org_id, str(user_id), [*map(str, subjects)]
            )
        return [row["position"] for row in rows]
