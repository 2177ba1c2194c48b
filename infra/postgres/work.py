"""Durable work in PostgreSQL: jobs, leases, fences, timers and dead letters.

A job is a row of es.work, and only the functions under `sql/0004_work` move it. It is
`ready` until a worker leases it and `leased` until its result is recorded, its worker
gives it back, or the lease expires; each lease has the next fence, and the log refuses
what is appended with an older one (es.fenced).

Jobs of a key run in the order in which the log asked for them, since a claim succeeds
only for the first open one; a group's claims come one after another and count those
that are leased. A ready job is `due` when it is to be offered to the workers: at once,
when its time has come, when what it waited for has ended, when it was offered and not
claimed for long. One that cannot run yet is looked at once, then waits without cost.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from events.errors import Fenced, Missing
from infra.postgres.chime import Chime
from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool
from projections.sql import Sql
from services.ports import Failed, Job, Lease, Reference
from services.reactions import Cancel, Close


JOBS: Final = UUID("6a6f6273-0000-5000-8000-726568656172")
DUE: Final = "due"
# A worker that is free has what is lost recalled; until one is, most of what nobody has
# claimed waits its turn in a queue, and a second reference would only lengthen that.
AGAIN: Final = timedelta(minutes=5)

COLUMNS: Final = """
       id, effect_key, kind, key, group_key, group_limit, org_id, region, position,
       event_id, correlation_id, body, headers, not_before, attempt, max_attempts,
       fence, expires_at, last_error, ended_at
"""
ADD: Final = """
SELECT es.add_work_v1(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[],
    $7::text[], $8::text[], $9::bigint[], $10::uuid[], $11::uuid[], $12::text[],
    $13::text[], $14::timestamptz[], $15::integer[]
)
"""
END: Final = """
SELECT es.end_work_v1($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])
"""
CLAIM: Final = f"SELECT {COLUMNS} FROM es.claim_work_v1($1, $2, $3)"  # noqa: S608 - constants
RENEW: Final = "SELECT es.renew_work_v1($1, $2, $3)"
CLOSE: Final = "SELECT es.close_work_v1($1, $2)"
FAIL: Final = "SELECT es.fail_work_v1($1, $2, $3, $4, $5)"
RECALL: Final = "SELECT es.recall_work_v1($1, $2, $3)"
OFFER: Final = "SELECT kind, id FROM es.offer_work_v1($1, $2)"
PUBLISHED: Final = "SELECT es.publish_work_v1($1::uuid[], $2)"
SWEEP: Final = "SELECT es.sweep_work_v1()"
REPORT: Final = "SELECT es.report_work_v1($1::uuid[])"
DROP: Final = "SELECT es.drop_work_v1($1)"
RETRY: Final = "SELECT es.retry_work_v1($1)"
FAILURES: Final = f"""
SELECT {COLUMNS}
  FROM es.work
 WHERE state = 'failed'
   AND reported_at IS NULL
 ORDER BY ended_at, id
 LIMIT $1
"""  # noqa: S608 - constants
DEAD_LETTERS: Final = f"""
SELECT {COLUMNS}
  FROM es.work
 WHERE state = 'failed'
   AND ($1::text IS NULL OR org_id = $1)
   AND ($2::uuid IS NULL OR (ended_at, id) > (
       SELECT before.ended_at, before.id FROM es.work AS before WHERE before.id = $2
   ))
 ORDER BY ended_at, id
 LIMIT $3
"""  # noqa: S608 - constants

_encode: Final = msgspec.json.Encoder().encode
_body: Final = msgspec.json.Decoder(dict[str, object])
_headers: Final = msgspec.json.Decoder(dict[str, str])


def job_id(effect_key: str) -> UUID:
    """Return the id of the job with an effect key, the same for all time."""
    return uuid5(JOBS, effect_key)


class PostgresWork:
    """`Work` and `Offers` in the table es.work; a dispatcher adds and ends jobs there.

    What is offered and not claimed is offered again after `again`, then after twice as
    long, and so on, up to 256 times as long.
    """

    def __init__(self, pool: Pool, chime: Chime, *, again: timedelta = AGAIN) -> None:
        self._pool = pool
        self._chime = chime
        self._again = again
        self._heard = -1

    async def add(self, sql: Sql, jobs: Iterable[Job]) -> int:
        """Add jobs in order, in the caller's transaction; return how many are new."""
        rows = [_row(job) for job in jobs]
        if not rows:
            return 0
        added: int = await sql.fetchval(ADD, *zip(*rows, strict=True))
        return added

    async def end(
        self,
        sql: Sql,
        closes: Iterable[Close],
        cancels: Iterable[tuple[Cancel, int]] = (),
    ) -> int:
        """End jobs, in the caller's transaction and last in it; return how many.

        A cancel goes with the position of its event and spares what came later.
        """
        effect_keys = [each.effect_key for each in closes]
        named = list(cancels)
        keys = [(each.key, at) for each, at in named if each.key is not None]
        groups = [
            (each.group_key, at) for each, at in named if each.group_key is not None
        ]
        if not (effect_keys or keys or groups):
            return 0
        ended: int = await sql.fetchval(
            END,
            effect_keys,
            [key for key, _ in keys],
            [at for _, at in keys],
            [key for key, _ in groups],
            [at for _, at in groups],
        )
        return ended

    async def claim(self, job_id: UUID, *, owner: UUID, ttl: timedelta) -> Lease | None:
        """Take a job, or return None where it may not run now, or not any more."""
        with reaching_database():
            row = await self._pool.fetchrow(CLAIM, job_id, owner, ttl)
        return None if row is None else _lease(row)

    async def renew(self, lease: Lease, *, ttl: timedelta) -> Lease:
        """Extend a lease, or raise `Fenced` when it was taken over."""
        with reaching_database():
            expires_at = await self._pool.fetchval(
                RENEW, lease.job_id, lease.fence, ttl
            )
        if expires_at is None:
            raise Fenced
        return msgspec.structs.replace(lease, expires_at=expires_at)

    async def close(self, lease: Lease) -> None:
        """End a job whose result is recorded; one that was taken over stays open."""
        with reaching_database():
            freed = await self._pool.fetchval(CLOSE, lease.job_id, lease.fence)
        if freed:
            self.changed()

    async def fail(self, lease: Lease, *, error: str, again_at: datetime) -> None:
        """Give a job back after an error, to be tried again or, at its limit, end."""
        await self._give_back(lease, error, again_at, untried=False)

    async def hand_back(self, lease: Lease) -> None:
        """Give a job back that was not tried: the attempt does not count."""
        await self._give_back(lease, None, None, untried=True)

    async def recall(self, kind: str, *, since: timedelta) -> int:
        """Have jobs offered again that were offered so long ago and not claimed."""
        with reaching_database():
            recalled: int = await self._pool.fetchval(RECALL, kind, self._again, since)
        if recalled:
            self.changed()
        return recalled

    async def offer(self, limit: int) -> Sequence[Reference]:
        """Take up to `limit` jobs that may run and are to be published now."""
        self._heard = self._chime.heard(DUE)
        with reaching_database():
            rows = await self._pool.fetch(OFFER, limit, self._again)
        return [Reference(kind=kind, job_id=id_) for kind, id_ in rows]

    async def published(self, job_ids: Sequence[UUID], *, kept: bool) -> None:
        """Say that a transport keeps the references, or that it does not."""
        with reaching_database():
            await self._pool.execute(PUBLISHED, job_ids, kept)

    async def sweep(self) -> int:
        """End leases that have expired and free what waits in vain; return how many."""
        with reaching_database():
            moved: int = await self._pool.fetchval(SWEEP)
        if moved:
            self.changed()
        return moved

    async def wait(self, *, seconds: float) -> None:
        """Return when something may be there to offer, or after `seconds`."""
        await self._chime.wait(DUE, self._heard, seconds=seconds)

    async def failures(self, limit: int) -> Sequence[Failed]:
        """Return failed jobs whose failure was not told yet, the oldest first."""
        with reaching_database():
            rows = await self._pool.fetch(FAILURES, limit)
        return [_failed(row) for row in rows]

    async def reported(self, job_ids: Sequence[UUID]) -> None:
        """Say that the failure of jobs was told."""
        with reaching_database():
            await self._pool.execute(REPORT, job_ids)

    async def dead_letters(
        self, org_id: str | None = None, *, after: UUID | None = None, limit: int = 100
    ) -> Sequence[Failed]:
        """Return a page of failed jobs, of one organisation or of all, oldest first."""
        with reaching_database():
            rows = await self._pool.fetch(DEAD_LETTERS, org_id, after, limit)
        return [_failed(row) for row in rows]

    async def retry(self, job_id: UUID) -> None:
        """Open a failed job again with all its attempts, or raise `Missing`."""
        with reaching_database():
            opened = await self._pool.fetchval(RETRY, job_id)
        if not opened:
            message = f"There is no failed job {job_id}."
            raise Missing(message)
        self.changed()

    async def drop(self, job_id: UUID) -> None:
        """Close a failed job for good, or raise `Missing`."""
        with reaching_database():
            dropped = await self._pool.fetchval(DROP, job_id)
        if not dropped:
            message = f"There is no failed job {job_id}."
            raise Missing(message)

    def changed(self) -> None:
        """Say that jobs may have become due, once that is committed."""
        self._chime.call(DUE)

    async def _give_back(
        self,
        lease: Lease,
        error: str | None,
        again_at: datetime | None,
        *,
        untried: bool,
    ) -> None:
        text = None if error is None else error.replace("\0", "")
        with reaching_database():
            await self._pool.fetchval(
                FAIL, lease.job_id, lease.fence, text, again_at, untried
            )
        self.changed()


def _row(job: Job) -> tuple[object, ...]:
    return (
        job_id(job.effect_key),
        job.effect_key,
        job.kind,
        job.key,
        job.group_key,
        job.group_limit,
        job.org_id,
        job.region,
        job.position,
        job.event_id,
        job.correlation_id,
        _encode(job.body).decode(),
        _encode(job.headers).decode() if job.headers else None,
        job.not_before,
        job.max_attempts,
    )


def _lease(row: Any) -> Lease:  # noqa: ANN401 - a record of the driver
    return Lease(
        job_id=row["id"],
        fence=row["fence"],
        attempt=row["attempt"],
        expires_at=row["expires_at"],
        job=_job(row),
    )


def _failed(row: Any) -> Failed:  # noqa: ANN401 - a record of the driver
    return Failed(
        job_id=row["id"],
        fence=row["fence"],
        attempts=row["attempt"],
        error=row["last_error"],
        failed_at=row["ended_at"],
        job=_job(row),
    )


def _job(row: Any) -> Job:  # noqa: ANN401 - a record of the driver
    return Job(
        effect_key=row["effect_key"],
        kind=row["kind"],
        key=row["key"],
        org_id=row["org_id"],
        region=row["region"],
        position=row["position"],
        event_id=row["event_id"],
        correlation_id=row["correlation_id"],
        body=_body.decode(row["body"]),
        not_before=row["not_before"],
        group_key=row["group_key"],
        group_limit=row["group_limit"],
        max_attempts=row["max_attempts"],
        headers=_headers.decode(row["headers"]) if row["headers"] else {},
    )
