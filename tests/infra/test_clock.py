"""The clock and the ids: aware, ordered, unique, the same for the same name."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import timedelta
from uuid import RFC_4122, UUID

import pytest

from infra.clock import MonotonicIds, derived_id, new_id, now


LOW_BITS = (1 << 62) - 1


def test_now_is_in_utc() -> None:
    assert now().utcoffset() == timedelta(0)


def test_an_id_is_a_uuid_of_version_7_that_carries_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= before + 60_000


def test_ids_grow() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_grow_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = MonotonicIds()
    first = ids.make()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    made = [first, *(ids.make() for _ in range(1000))]
    assert made == sorted(set(made))
    assert {one.version for one in made} == {7}


def test_ids_grow_where_the_low_bits_are_used_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: b"\xff" * size)
    ids = MonotonicIds()
    made = [ids.make() for _ in range(1000)]
    assert made == sorted(set(made))
    assert {(one.version, one.variant) for one in made} == {(7, RFC_4122)}


def test_ids_of_several_threads_differ_and_grow_in_each() -> None:
    ids = MonotonicIds()
    with ThreadPoolExecutor(4) as threads:
        batches = list(
            threads.map(lambda _: [ids.make() for _ in range(20_000)], range(4))
        )
    assert len({one for batch in batches for one in batch}) == 80_000
    assert all(batch == sorted(batch) for batch in batches)


def test_ids_of_a_process_that_forks_off_differ() -> None:
    ids = MonotonicIds()
    ids.make()
    child = copy(ids)
    child.forget()
    made = {each.make().int & LOW_BITS for each in (ids, child) for _ in range(500)}
    assert len(made) == 1000


def test_a_derived_id_is_the_same_every_time() -> None:
    assert derived_id(UUID(int=1), "name") == derived_id(UUID(int=1), "name")
    assert derived_id(UUID(int=1), "name") != derived_id(UUID(int=2), "name")
