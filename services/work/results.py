"""Envelopes of what work appends: under the fence of its lease, once for each name."""

from datetime import datetime
from uuid import uuid5

from events.message import Meta
from services.ports import Failed, Lease


WORKER = "system:worker"


def result_meta(lease: Lease, name: str, *, occurred_at: datetime) -> Meta:
    """Return the envelope of a job's result, refused once the lease is taken over.

    A result of the same name has the same command id in every attempt: what an earlier
    attempt recorded is answered, and not recorded again.
    """
    job = lease.job
    return Meta(
        command_id=uuid5(lease.job_id, name),
        org_id=job.org_id,
        region=job.region,
        actor=WORKER,
        correlation_id=job.correlation_id,
        causation_id=job.event_id,
        occurred_at=occurred_at,
        headers=job.headers,
        fence=lease.token,
    )


def failure_meta(failed: Failed) -> Meta:
    """Return the envelope of the command that tells a job's failure."""
    job = failed.job
    return Meta(
        command_id=uuid5(failed.job_id, f"failed#{failed.fence}"),
        org_id=job.org_id,
        region=job.region,
        actor=WORKER,
        correlation_id=job.correlation_id,
        causation_id=job.event_id,
        occurred_at=failed.failed_at,
        headers=job.headers,
    )
