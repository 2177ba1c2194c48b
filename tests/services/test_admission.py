"""Callers send so many commands a minute, whatever process takes them."""

import asyncio
from collections import Counter as Tally
from datetime import timedelta
from typing import Final

import pytest
from msgspec.structs import replace

from events.errors import TooMany
from services.admission import Admission
from services.identity import Identity


ADA: Final = Identity(org_id="library", region="eu-1", actor="user:ada")
BO: Final = replace(ADA, actor="user:bo")
ELSEWHERE: Final = replace(ADA, org_id="museum")


class Buckets:
    """Rates of which nothing comes back, and how often they were asked."""

    def __init__(self) -> None:
        self.spent: Tally[str] = Tally()
        self.asked = 0

    async def take(
        self, key: str, cost: int, *, burst: int, period: timedelta
    ) -> timedelta | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.spent[key] + cost > burst:
            return period * (cost / burst)
        self.spent[key] += cost
        return None


async def admitted(admission: Admission, identity: Identity, tries: int) -> int:
    found = await asyncio.gather(
        *(admission.admit(identity) for _ in range(tries)), return_exceptions=True
    )
    assert all(each is None or isinstance(each, TooMany) for each in found)
    return sum(each is None for each in found)


async def test_each_caller_is_admitted_exactly_the_rate() -> None:
    admission = Admission(Buckets(), per_minute=100)
    for caller in (ADA, BO, ELSEWHERE):
        assert await admitted(admission, caller, 150) == 100


async def test_processes_count_together() -> None:
    counter = Buckets()
    processes = [Admission(counter, per_minute=100) for _ in range(4)]
    sums = [await admitted(process, ADA, 40) for process in processes]
    assert sum(sums) <= 100
    assert sum(sums) > 80


async def test_the_counter_is_asked_once_for_many() -> None:
    counter = Buckets()
    admission = Admission(counter, per_minute=2_000)
    assert await admitted(admission, ADA, 1_000) == 1_000
    assert counter.asked == 10


async def test_who_is_told_to_wait_is_not_counted_meanwhile() -> None:
    counter = Buckets()
    admission = Admission(counter, per_minute=20)
    assert await admitted(admission, ADA, 20) == 20
    asked = counter.asked
    for _ in range(50):
        with pytest.raises(TooMany) as refused:
            await admission.admit(ADA)
        assert 1 <= refused.value.retry_after <= 3
    assert counter.asked == asked + 1


async def test_a_batch_counts_by_its_commands_and_a_smaller_one_may_still_pass() -> (
    None
):
    admission = Admission(Buckets(), per_minute=100)
    await admission.admit(ADA, 60)
    with pytest.raises(TooMany):
        await admission.admit(ADA, 60)
    await admission.admit(ADA, 40)


async def test_a_batch_of_more_than_a_minute_s_worth_is_not_refused_for_ever() -> None:
    admission = Admission(Buckets(), per_minute=100)
    await admission.admit(ADA, 1_000)
    with pytest.raises(TooMany):
        await admission.admit(ADA)
