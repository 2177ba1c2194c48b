"""Which model a tester is given."""

from collections import Counter

from events.playgrounds.allocations import Candidate
from services.playgrounds.assignment import Choice, choose


def candidate(key: str, taken: int, *, cap: int = 10, shown: int = 0) -> Candidate:
    return Candidate(model_key=key, taken=taken, cap=cap, shown=shown)


def test_the_only_model_is_given() -> None:
    assert choose([candidate("a", 9)], seed=1, number=1) == Choice("a", "only")


def test_a_model_that_the_tester_has_not_seen_comes_before_a_less_filled_one() -> None:
    found = choose([candidate("a", 0, shown=1), candidate("b", 9)], seed=1, number=1)
    assert found == Choice("b", "unseen")


def test_the_least_filled_by_share_of_its_places_is_given() -> None:
    found = choose(
        [candidate("a", 3, cap=10), candidate("b", 4, cap=20)], seed=1, number=1
    )
    assert found == Choice("b", "least_filled")


def test_a_tie_is_decided_by_seed_and_number_alone() -> None:
    tied = [candidate("a", 3), candidate("b", 3)]
    first = choose(tied, seed=5, number=8)
    assert first.reason == "tie_break"
    assert choose(tied[::-1], seed=5, number=8) == first


def test_ties_fall_to_either_side_as_often() -> None:
    tied = [candidate("a", 0), candidate("b", 0)]
    counts = Counter(
        choose(tied, seed=11, number=number).model_key for number in range(2_000)
    )
    assert 900 < counts["a"] < 1_100
