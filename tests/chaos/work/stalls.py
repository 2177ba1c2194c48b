"""Looks, again and again, at what could run and is not being run.

A job's wait begins anew whenever no worker serves, or database or broker are away; what
waits for its time, for its key or for a place in its group waits rightly.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import asyncpg

from infra.postgres.failures import AWAY
from tests.chaos.findings import Findings


LOOK: Final = 0.4  # seconds
PATIENCE: Final = 5.0
RUNNABLE: Final = """
WITH leased AS MATERIALIZED (
    SELECT group_key, count(*) AS jobs
      FROM es.work
     WHERE state = 'leased'
       AND expires_at > clock_timestamp()
     GROUP BY group_key
), ready AS MATERIALIZED (
    SELECT job.id, job.kind, job.state, job.fence, job.group_key, job.group_limit,
           row_number() OVER (PARTITION BY job.group_key ORDER BY job.place) AS turn
      FROM es.work AS job
     WHERE job.state = 'ready'
       AND (job.not_before IS NULL OR job.not_before <= clock_timestamp())
       AND NOT EXISTS (
           SELECT
             FROM es.work AS other
            WHERE other.key = job.key
              AND other.id <> job.id
              AND other.state IN ('ready', 'leased')
              AND (other.place < job.place OR other.state = 'leased')
       )
)
SELECT ready.id, ready.kind, ready.state, ready.fence
  FROM ready
  LEFT JOIN leased USING (group_key)
 WHERE ready.group_key IS NULL
    OR ready.turn <= ready.group_limit - coalesce(leased.jobs, 0)
 UNION ALL
SELECT job.id, job.kind, job.state, job.fence
  FROM es.work AS job
 WHERE job.state = 'leased'
   AND job.expires_at <= clock_timestamp()
"""

Job = tuple[UUID, int]


class Stalls:
    """How long jobs have waited though they need not."""

    def __init__(
        self,
        dsn: str,
        findings: Findings,
        *,
        limit: float,
        serving: Callable[[], bool],
    ) -> None:
        self.looks = 0
        self.longest = 0.0
        self._dsn = dsn
        self._findings = findings
        self._limit = limit
        self._serving = serving
        self._waited: dict[Job, float] = {}
        self._told: set[Job] = set()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def watch(self) -> None:
        """Look until cancelled."""
        before: float | None = None
        try:
            while True:
                await asyncio.sleep(LOOK)
                rows = await self._look() if self._serving() else None
                at = time.monotonic()
                if rows is None:
                    before = None
                    self._waited = {}
                    continue
                self._add(rows, 0.0 if before is None else at - before)
                before = at
        finally:
            if self._connection is not None:
                self._connection.terminate()

    def _add(self, rows: list[asyncpg.Record], passed: float) -> None:
        self.looks += 1
        waited: dict[Job, float] = {}
        for id_, kind, state, fence in rows:
            job = (id_, fence)
            seconds = self._waited.get(job)
            waited[job] = seconds = 0.0 if seconds is None else seconds + passed
            self.longest = max(self.longest, seconds)
            if seconds > self._limit and job not in self._told:
                self._told.add(job)
                example = f"{kind} {id_} {state} for {seconds:.1f} s"
                self._findings.add("runnable, and left while a worker is free", example)
        self._waited = waited

    async def _look(self) -> list[asyncpg.Record] | None:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(
                    self._dsn, timeout=PATIENCE, command_timeout=PATIENCE
                )
            return await self._connection.fetch(RUNNABLE)
        except AWAY:
            self._connection = None
            return None
