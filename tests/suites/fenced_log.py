"""What a log promises of results; an adapter's tests subclass `FencedLogContract`.

The subclass's module offers the fixtures `desk`, work with nothing in it, and
`fenced_log`, a log that knows of it.
"""

from msgspec.structs import replace

from events.log import Append, EventLog, Status
from services.ports import Lease
from tests.builders import entry, new_stream, said, write
from tests.suites.work import EXPIRED, Desk, asked, claimed


def result(lease: Lease, stream_id: str) -> Append:
    """Return an append under a lease."""
    asked_for = entry(write(stream_id, said("done")))
    return replace(asked_for, meta=replace(asked_for.meta, fence=lease.token))


class FencedLogContract:
    """The promises to results of work, one sentence each."""

    async def test_a_result_counts_under_its_lease(
        self, fenced_log: EventLog, desk: Desk
    ) -> None:
        job = asked()
        await desk.add(job)
        lease = await claimed(desk.work, job)
        verdict = await fenced_log.append(result(lease, new_stream()))
        assert verdict.status is Status.OK

    async def test_a_result_of_a_lease_that_was_taken_over_is_refused(
        self, fenced_log: EventLog, desk: Desk
    ) -> None:
        job, stream_id = asked(), new_stream()
        await desk.add(job)
        late = await claimed(desk.work, job, ttl=EXPIRED)
        await desk.work.sweep()
        current = await claimed(desk.work, job)
        assert current.fence > late.fence
        refused = await fenced_log.append(result(late, stream_id))
        assert refused.status is Status.FENCED
        (bulk,) = await fenced_log.append_bulk([result(late, stream_id)])
        assert bulk.status is Status.FENCED
        assert (await fenced_log.read_stream(stream_id)).version == 0
        accepted = await fenced_log.append(result(current, stream_id))
        assert accepted.status is Status.OK

    async def test_a_result_that_was_accepted_stays_accepted(
        self, fenced_log: EventLog, desk: Desk
    ) -> None:
        job, stream_id = asked(), new_stream()
        await desk.add(job)
        lease = await claimed(desk.work, job, ttl=EXPIRED)
        first = result(lease, stream_id)
        assert (await fenced_log.append(first)).status is Status.OK
        await desk.work.sweep()
        await claimed(desk.work, job)
        assert (await fenced_log.append(first)).status is Status.DUPLICATE

    async def test_a_fenced_result_harms_no_other(
        self, fenced_log: EventLog, desk: Desk
    ) -> None:
        job, stream_id = asked(), new_stream()
        await desk.add(job)
        late = await claimed(desk.work, job, ttl=EXPIRED)
        await desk.work.sweep()
        await claimed(desk.work, job)
        assert (
            await fenced_log.append(result(late, new_stream()))
        ).status is Status.FENCED
        plain = await fenced_log.append(entry(write(stream_id, said("fine"))))
        assert plain.status is Status.OK
