"""What durable work promises; an adapter's tests subclass `WorkContract`.

The subclass's module offers the fixture `desk`: an adapter with nothing in it. A lease
whose time is negative has expired when it is given, so no test waits for time.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import pytest

from events.errors import Fenced, Missing
from infra.clock import now
from infra.postgres.work import job_id
from services.ports import Failed, Job, Lease, Offers, Reference, Work
from services.reactions import Cancel, Close
from tests.builders import ORG, new_id


TTL: Final = timedelta(seconds=30)
EXPIRED: Final = timedelta(seconds=-1)
LATER: Final = timedelta(hours=1)
SECOND: Final = timedelta(seconds=1)
OWNER: Final = new_id()
PATIENCE: Final = 20


class WorkAndOffers(Work, Offers, Protocol):
    """Everything that an adapter offers beside adding and ending jobs."""

    async def dead_letters(
        self, org_id: str | None = None, *, after: UUID | None = None, limit: int = 100
    ) -> Sequence[Failed]: ...

    async def retry(self, job_id: UUID) -> None: ...


class Desk(Protocol):
    """An adapter, with what the dispatcher and the log do beside it."""

    @property
    def work(self) -> WorkAndOffers:
        """Offers again what was not claimed in an hour."""
        ...

    @property
    def hasty(self) -> WorkAndOffers:
        """The same jobs, offered again at once."""
        ...

    @property
    def brisk(self) -> WorkAndOffers:
        """The same jobs, offered again after a second."""
        ...

    async def add(self, *jobs: Job) -> int: ...

    async def end(
        self, closes: Sequence[Close] = (), cancels: Sequence[tuple[Cancel, int]] = ()
    ) -> int: ...

    async def fenced(self, *tokens: tuple[UUID, int]) -> list[bool]: ...


def asked(position: int = 1, *, key: str | None = None, **details: Any) -> Job:  # noqa: ANN401 - fields of a job
    """Return a job, alone under its key unless told otherwise."""
    effect = f"{new_id()}/work"
    return Job(
        effect_key=effect,
        kind=details.pop("kind", "trial"),
        key=key or effect,
        org_id=ORG,
        region="eu",
        position=position,
        event_id=new_id(),
        correlation_id=new_id(),
        body=details.pop("body", {"n": position}),
        **details,
    )


def id_of(job: Job) -> UUID:
    return job_id(job.effect_key)


def reference(job: Job) -> Reference:
    return Reference(kind=job.kind, job_id=id_of(job))


async def claimed(work: Work, job: Job, *, ttl: timedelta = TTL) -> Lease:
    lease = await work.claim(id_of(job), owner=OWNER, ttl=ttl)
    assert lease is not None
    return lease


async def refused(work: Work, job: Job) -> bool:
    return await work.claim(id_of(job), owner=OWNER, ttl=TTL) is None


class WorkContract:
    """The promises of `services.ports.Work` and `Offers`, one sentence each."""

    # Offers

    async def test_a_job_is_offered_claimed_and_closed(self, desk: Desk) -> None:
        job = asked(
            7, body={"text": "Grüße", "n": [1, None]}, headers={"traceparent": "00-1"}
        )
        assert await desk.add(job) == 1

        assert await desk.work.offer(10) == [reference(job)]
        await desk.work.published([id_of(job)], kept=True)
        lease = await claimed(desk.work, job)
        await desk.work.close(lease)

        assert (lease.job_id, lease.fence, lease.attempt) == (id_of(job), 1, 1)
        assert lease.job == job
        assert await desk.work.offer(10) == []
        assert await refused(desk.work, job)

    async def test_asking_twice_changes_nothing(self, desk: Desk) -> None:
        job = asked()
        await desk.add(job)
        assert await desk.add(job, job) == 0
        assert await desk.work.offer(10) == [reference(job)]
        assert await desk.work.offer(10) == []

    async def test_a_closed_job_is_not_opened_by_asking_again(self, desk: Desk) -> None:
        job = asked()
        await desk.add(job)
        await desk.work.close(await claimed(desk.work, job))
        assert await desk.add(job) == 0
        assert await refused(desk.work, job)

    async def test_jobs_are_offered_in_the_order_of_the_log(self, desk: Desk) -> None:
        jobs = [asked(n) for n in range(1, 21)]
        await desk.add(*jobs)
        first = await desk.work.offer(15)
        assert [*first, *await desk.work.offer(15)] == [reference(job) for job in jobs]

    async def test_what_is_published_and_not_claimed_is_offered_again(
        self, desk: Desk
    ) -> None:
        job = asked()
        await desk.add(job)
        for _ in range(3):
            assert await desk.hasty.offer(10) == [reference(job)]
            await desk.hasty.published([id_of(job)], kept=True)

    async def test_what_was_offered_and_not_claimed_is_recalled(
        self, desk: Desk
    ) -> None:
        lost, claimed_, other = asked(1), asked(2), asked(3, kind="pin")
        timer, after = asked(4, not_before=now() + LATER), asked(5, key=lost.key)
        await desk.add(lost, claimed_, other, timer, after)
        offered = await desk.work.offer(10)
        await desk.work.published([each.job_id for each in offered], kept=True)
        await claimed(desk.work, claimed_)
        assert await desk.work.recall("trial", since=LATER) == 0

        for _ in range(3):
            assert await desk.work.recall("trial", since=timedelta()) == 1
            assert await desk.work.offer(10) == [reference(lost)]

    async def test_what_could_not_be_published_is_offered_at_once(
        self, desk: Desk
    ) -> None:
        job = asked()
        await desk.add(job)
        await desk.work.offer(10)
        await desk.work.published([id_of(job)], kept=False)
        assert await desk.work.offer(10) == [reference(job)]

    async def test_a_job_before_its_time_is_neither_offered_nor_claimed(
        self, desk: Desk
    ) -> None:
        early, late = asked(not_before=now() + LATER), asked(not_before=now() - LATER)
        await desk.add(early, late)
        assert await desk.work.offer(10) == [reference(late)]
        assert await refused(desk.work, early)

    async def test_who_waits_is_woken_when_something_is_freed(self, desk: Desk) -> None:
        one, two = asked(1, key="k"), asked(2, key="k")
        await desk.add(one, two)
        await desk.work.offer(10)
        lease = await claimed(desk.work, one)
        await desk.work.offer(10)
        waiting = asyncio.create_task(desk.work.wait(seconds=PATIENCE * 10))
        await desk.work.close(lease)
        async with asyncio.timeout(PATIENCE):
            await waiting
        assert await desk.work.offer(10) == [reference(two)]

    # Keys and groups

    async def test_jobs_of_a_key_run_one_after_another(self, desk: Desk) -> None:
        one, two, three = (asked(n, key="stream") for n in (1, 2, 3))
        await desk.add(one, two, three)

        for job, later in ((one, two), (two, three)):
            assert await desk.work.offer(10) == [reference(job)]
            assert await refused(desk.work, later)
            lease = await claimed(desk.work, job)
            assert await refused(desk.work, later)
            assert await desk.work.offer(10) == []
            await desk.work.close(lease)
        assert await desk.work.offer(10) == [reference(three)]

    async def test_other_keys_do_not_wait(self, desk: Desk) -> None:
        held, other = asked(1, key="a"), asked(2, key="b")
        await desk.add(held, other)
        await claimed(desk.work, held)
        await claimed(desk.work, other)

    async def test_a_job_that_is_tried_again_still_comes_first(
        self, desk: Desk
    ) -> None:
        one, two = asked(1, key="k"), asked(2, key="k")
        await desk.add(one, two)
        lease = await claimed(desk.work, one)
        await desk.work.fail(lease, error="no", again_at=now() + LATER)
        assert await refused(desk.work, two)
        assert await desk.work.offer(10) == []

    async def test_a_group_runs_no_more_than_its_limit(self, desk: Desk) -> None:
        jobs = [asked(n, group_key="run", group_limit=2) for n in range(1, 6)]
        await desk.add(*jobs)

        assert await desk.work.offer(10) == [reference(job) for job in jobs[:2]]
        leases = [await claimed(desk.work, job) for job in jobs[:2]]
        assert await refused(desk.work, jobs[2])
        assert await desk.work.offer(10) == []

        await desk.work.close(leases[1])
        assert await desk.work.offer(10) == [reference(jobs[2])]
        await claimed(desk.work, jobs[2])
        assert await refused(desk.work, jobs[3])
        await desk.work.fail(leases[0], error="no", again_at=now() + LATER)
        assert await desk.work.offer(10) == [reference(jobs[3])]

    async def test_claims_at_the_same_time_give_one_lease(self, desk: Desk) -> None:
        job = asked()
        await desk.add(job)
        leases = await asyncio.gather(
            *(desk.work.claim(id_of(job), owner=new_id(), ttl=TTL) for _ in range(12))
        )
        assert len([lease for lease in leases if lease is not None]) == 1

    async def test_claims_at_the_same_time_keep_to_the_limit(self, desk: Desk) -> None:
        jobs = [asked(n, group_key="run", group_limit=3) for n in range(1, 13)]
        await desk.add(*jobs)
        leases = await asyncio.gather(
            *(desk.work.claim(id_of(job), owner=OWNER, ttl=TTL) for job in jobs)
        )
        assert len([lease for lease in leases if lease is not None]) == 3

    async def test_many_workers_run_every_job_once_and_in_order(
        self, desk: Desk
    ) -> None:
        jobs = [
            asked(n, key=f"k{n % 7}", group_key=f"g{n % 2}", group_limit=3)
            for n in range(1, 71)
        ]
        await desk.add(*jobs)
        queue: asyncio.Queue[UUID] = asyncio.Queue()
        ran: list[Job] = []
        groups: Counter[str | None] = Counter()
        finished = asyncio.Event()

        async def relay() -> None:
            while True:
                for each in await desk.work.offer(10):
                    queue.put_nowait(each.job_id)
                await desk.work.sweep()
                await desk.work.wait(seconds=0.05)

        async def work() -> None:
            while True:
                lease = await desk.work.claim(await queue.get(), owner=OWNER, ttl=TTL)
                if lease is None:
                    continue
                groups[lease.job.group_key] += 1
                assert groups[lease.job.group_key] <= 3
                ran.append(lease.job)
                await asyncio.sleep(0)
                groups[lease.job.group_key] -= 1
                await desk.work.close(lease)
                if len(ran) == len(jobs):
                    finished.set()

        tasks = [asyncio.create_task(each()) for each in (relay, *[work] * 5)]
        ending = asyncio.create_task(finished.wait())
        await asyncio.wait(
            [ending, *tasks], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        for task in [*tasks, ending]:
            task.cancel()
        await asyncio.gather(*tasks, ending, return_exceptions=True)

        assert len(ran) == len(jobs)
        for key in {job.key for job in jobs}:
            order = [job.position for job in ran if job.key == key]
            assert order == sorted(order)

    # Leases and fences

    async def test_a_later_lease_has_a_higher_fence(self, desk: Desk) -> None:
        job = asked()
        await desk.add(job)
        fences = []
        for _ in range(3):
            lease = await claimed(desk.work, job, ttl=EXPIRED)
            fences.append((lease.fence, lease.attempt))
            assert await desk.work.sweep() == 1
        assert fences == [(1, 1), (2, 2), (3, 3)]

    async def test_an_expired_lease_is_taken_away_and_offered_again(
        self, desk: Desk
    ) -> None:
        job, alive = asked(), asked()
        await desk.add(job, alive)
        await desk.work.offer(10)
        await claimed(desk.work, job, ttl=EXPIRED)
        await claimed(desk.work, alive)
        assert await desk.work.offer(10) == []
        assert await desk.work.sweep() == 1
        assert await desk.work.offer(10) == [reference(job)]

    async def test_an_expired_lease_that_nobody_took_can_be_renewed(
        self, desk: Desk
    ) -> None:
        job = asked()
        await desk.add(job)
        lease = await claimed(desk.work, job, ttl=EXPIRED)
        renewed = await desk.work.renew(lease, ttl=TTL)
        assert renewed.expires_at > lease.expires_at
        assert await desk.work.sweep() == 0

    async def test_a_stale_lease_changes_nothing(self, desk: Desk) -> None:
        job = asked()
        await desk.add(job)
        stale = await claimed(desk.work, job, ttl=EXPIRED)
        await desk.work.sweep()
        fresh = await claimed(desk.work, job)

        with pytest.raises(Fenced):
            await desk.work.renew(stale, ttl=TTL)
        await desk.work.close(stale)
        await desk.work.fail(stale, error="stale", again_at=now())
        await desk.work.hand_back(stale)

        await desk.work.renew(fresh, ttl=TTL)
        assert await desk.fenced(stale.token, fresh.token) == [True, False]

    async def test_a_result_is_refused_unless_its_lease_is_held(
        self, desk: Desk
    ) -> None:
        one, two, three = asked(), asked(), asked()
        await desk.add(one, two, three)
        closed = await claimed(desk.work, one)
        returned = await claimed(desk.work, two)
        held = await claimed(desk.work, three)
        await desk.work.close(closed)
        await desk.work.hand_back(returned)

        unknown = (new_id(), 1)
        ahead = (held.job_id, held.fence + 1)
        assert await desk.fenced(
            closed.token, returned.token, held.token, unknown, ahead
        ) == [True, True, False, True, True]

    # Failures

    async def test_a_failed_attempt_is_tried_again_in_its_time(
        self, desk: Desk
    ) -> None:
        soon, late = asked(), asked()
        await desk.add(soon, late)
        await desk.work.offer(10)
        for job, again_at in ((soon, now() - LATER), (late, now() + LATER)):
            lease = await claimed(desk.work, job)
            await desk.work.fail(lease, error="away", again_at=again_at)
        assert await desk.work.offer(10) == [reference(soon)]
        assert (await claimed(desk.work, soon)).attempt == 2
        assert await refused(desk.work, late)

    async def test_a_job_past_its_attempts_is_a_dead_letter(self, desk: Desk) -> None:
        job, after = asked(1, key="k", max_attempts=2), asked(2, key="k")
        await desk.add(job, after)
        for error in ("first", "second\0"):
            assert await desk.work.failures(10) == []
            lease = await claimed(desk.work, job)
            await desk.work.fail(lease, error=error, again_at=now() - LATER)

        (failed,) = await desk.work.failures(10)
        assert (failed.job_id, failed.attempts, failed.fence) == (id_of(job), 2, 2)
        assert failed.error.startswith("second")
        assert failed.job.effect_key == job.effect_key
        await desk.work.reported([id_of(job)])
        assert await desk.work.failures(10) == []
        (letter,) = await desk.work.dead_letters(ORG)
        assert letter.job_id == id_of(job)
        assert await desk.work.dead_letters("elsewhere") == []
        assert await desk.work.dead_letters(after=letter.job_id) == []
        assert await desk.work.offer(10) == [reference(after)]

    async def test_a_worker_that_dies_with_each_attempt_uses_them_up(
        self, desk: Desk
    ) -> None:
        job = asked(max_attempts=2)
        await desk.add(job)
        for _ in range(2):
            await claimed(desk.work, job, ttl=EXPIRED)
            await desk.work.sweep()
        (failed,) = await desk.work.failures(10)
        assert failed.error == "The lease expired."
        assert await refused(desk.work, job)

    async def test_a_dead_letter_is_tried_again_when_an_operator_says_so(
        self, desk: Desk
    ) -> None:
        job = asked(max_attempts=1)
        await desk.add(job)
        lease = await claimed(desk.work, job)
        await desk.work.fail(lease, error="no", again_at=now() + LATER)

        await desk.work.retry(id_of(job))

        assert await desk.work.dead_letters() == []
        assert await desk.work.offer(10) == [reference(job)]
        again = await claimed(desk.work, job)
        assert (again.attempt, again.fence) == (1, 2)
        with pytest.raises(Missing):
            await desk.work.retry(id_of(job))
        with pytest.raises(Missing):
            await desk.work.retry(new_id())

    async def test_a_retried_job_does_not_run_beside_a_later_one_of_its_key(
        self, desk: Desk
    ) -> None:
        job, after = asked(1, key="k", max_attempts=1), asked(2, key="k")
        await desk.add(job, after)
        lease = await claimed(desk.work, job)
        await desk.work.fail(lease, error="no", again_at=now())
        later = await claimed(desk.work, after)
        await desk.work.retry(id_of(job))
        assert await desk.work.offer(10) == []
        assert await refused(desk.work, job)
        await desk.work.close(later)
        assert await desk.work.offer(10) == [reference(job)]

    async def test_what_is_handed_back_does_not_count_as_tried(
        self, desk: Desk
    ) -> None:
        job = asked(max_attempts=1)
        await desk.add(job)
        await desk.work.offer(10)
        await desk.work.hand_back(await claimed(desk.work, job))
        assert await desk.work.offer(10) == [reference(job)]
        again = await claimed(desk.work, job)
        assert (again.attempt, again.fence) == (1, 2)

    # Ends

    async def test_the_log_closes_a_job_whoever_holds_it(self, desk: Desk) -> None:
        held, waiting, after = asked(1), asked(2, key="k"), asked(3, key="k")
        await desk.add(held, waiting, after)
        lease = await claimed(desk.work, held)
        closes = [Close(effect_key=job.effect_key) for job in (held, waiting)]

        assert await desk.end(closes) == 2
        assert await desk.end(closes) == 0

        with pytest.raises(Fenced):
            await desk.work.renew(lease, ttl=TTL)
        await desk.work.close(lease)
        assert await desk.work.offer(10) == [reference(after)]

    async def test_a_cancelled_group_ends_and_spares_what_came_later(
        self, desk: Desk
    ) -> None:
        jobs = [asked(n, group_key="run", group_limit=1) for n in (1, 2, 3)]
        later = asked(9, group_key="run", group_limit=1)
        other = asked(4)
        await desk.add(*jobs, other, later)
        lease = await claimed(desk.work, jobs[0])

        assert await desk.end(cancels=[(Cancel(group_key="run"), 5)]) == 3

        assert await desk.fenced(lease.token) == [True]
        assert await desk.work.offer(10) == [reference(other), reference(later)]
        assert await desk.work.dead_letters() == []

    async def test_a_cancelled_key_ends(self, desk: Desk) -> None:
        one, two, three = asked(1, key="k"), asked(2, key="k"), asked(3, key="k")
        await desk.add(one, two, three)
        assert await desk.end(cancels=[(Cancel(key="k"), 3), (Cancel(key="x"), 9)]) == 2
        assert await desk.work.offer(10) == [reference(three)]
