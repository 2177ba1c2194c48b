"""Envelopes of results: under a fence, once for each name."""

from infra.clock import now
from services.ports import Lease
from services.work.results import result_meta
from tests.builders import MOMENT
from tests.suites.work import LATER, asked, id_of


def lease(fence: int = 1) -> Lease:
    return Lease(
        job_id=id_of(JOB), fence=fence, attempt=fence, expires_at=now() + LATER, job=JOB
    )


JOB = asked(3, headers={"traceparent": "00-1"})


def test_a_result_carries_its_lease_and_its_cause() -> None:
    meta = result_meta(lease(4), "turn#1", occurred_at=MOMENT)
    assert meta.fence == (id_of(JOB), 4)
    assert (meta.org_id, meta.region) == (JOB.org_id, JOB.region)
    assert (meta.causation_id, meta.correlation_id) == (
        JOB.event_id,
        JOB.correlation_id,
    )
    assert meta.headers == JOB.headers
    assert meta.occurred_at == MOMENT


def test_a_result_has_the_same_command_id_in_every_attempt() -> None:
    first, second = (
        result_meta(lease(fence), "turn#1", occurred_at=MOMENT) for fence in (1, 2)
    )
    other = result_meta(lease(2), "turn#2", occurred_at=MOMENT)
    assert first.command_id == second.command_id != other.command_id
