"""Battles, win shares and rankings of small playgrounds."""

from math import log

import pytest

from services.playgrounds.statistics.battles import battles
from services.playgrounds.statistics.preferences import preferences, rankings
from services.playgrounds.statistics.records import Options, Session
from tests.services.playgrounds.statistics.given_evaluations import (
    BETTER,
    GOOD,
    OPTIONS,
    models,
    playground,
    session,
)


def stated(tester: str, first: str, second: str, better: str) -> list[Session]:
    before = session(tester, first)
    return [before, session(tester, second, previous=before.id, better=better)]


def many(*rounds: tuple[str, str, str, int]) -> list[Session]:
    return [
        each
        for place, (first, second, better, times) in enumerate(rounds)
        for at in range(times)
        for each in stated(f"t{place}-{at}", first, second, better)
    ]


def test_a_pairwise_answer_judges_the_session_before() -> None:
    (found,) = battles(playground(stated("ada", "b", "a", "second")))
    assert (found.first.model_key, found.second.model_key) == ("b", "a")
    assert (found.outcome, found.source) == ("second", "pairwise")


def test_a_battle_needs_two_sessions_that_count_and_two_models() -> None:
    excluded = session("ada", "a", status="excluded")
    after = session("ada", "b", previous=excluded.id, better="first")
    assert list(battles(playground([excluded, after]))) == []
    assert list(battles(playground([session("ada", "b", better="first")]))) == []
    once = session("ben", "a", number=1)
    again = session("ben", "a", number=2, previous=once.id, better="tie")
    assert list(battles(playground([once, again]))) == []


def test_the_first_rating_of_each_model_makes_one_battle() -> None:
    found = list(
        battles(
            playground(
                [
                    session("ada", "a", number=1, good=4),
                    session("ada", "b", good=2),
                    session("ada", "a", number=2, good=1),
                    session("ben", "b", good=3),
                    session("ben", "a", good=3),
                ]
            )
        )
    )
    assert [each.outcome for each in found] == ["first", "tie"]
    assert [each.first.model_key for each in found] == ["a", "b"]
    assert {each.source for each in found} == {"rating"}


def test_a_tie_is_half_a_win_and_both_bad_is_neither() -> None:
    data = playground(
        many(
            ("a", "b", "first", 3),
            ("b", "a", "first", 1),
            ("b", "a", "tie", 2),
            ("a", "b", "both_bad", 4),
        )
    )
    (found,) = preferences(data, OPTIONS)
    assert (found.first_wins, found.second_wins, found.ties) == (3, 1, 2)
    assert (found.both_bad, found.n, found.testers) == (4, 6, 6)
    assert found.win_share == pytest.approx(4 / 6)
    assert found.source == f"pairwise:{BETTER.id}"
    assert found.interval is not None
    assert found.always_valid is not None
    assert found.always_valid.low < found.interval.low


def test_models_are_ranked_with_the_effect_of_their_position() -> None:
    # a wins 30 of 40 when first, 20 of 40 when second: log odds log 3 and 0
    data = playground(
        many(
            ("a", "b", "first", 30),
            ("a", "b", "second", 10),
            ("b", "a", "first", 20),
            ("b", "a", "second", 20),
        )
    )
    (found,) = rankings(data, OPTIONS)
    assert found.position_effect == pytest.approx(log(3) / 2, abs=1e-9)
    best, other = found.strengths
    assert best.strength == pytest.approx(log(3) / 4, abs=1e-9)
    assert best.rating == pytest.approx(1000 + 400 / log(10) * log(3) / 4)
    assert other.strength == -best.strength
    assert best.interval is not None
    assert best.interval.low < best.strength < best.interval.high
    assert found.position_interval is not None
    assert found.position_interval.low < log(3) / 2 < found.position_interval.high
    assert (found.n, found.testers, found.failed_draws) == (80, 80, 0)
    assert found.components == [["a", "b"]]


def test_a_ranking_that_does_not_exist_says_why() -> None:
    (found,) = rankings(playground(many(("a", "b", "first", 9))), OPTIONS)
    assert found.strengths == []
    assert found.refusal == "Some models always win: their lead has no bound."
    apart = playground(
        many(("a", "b", "first", 2), ("a", "b", "second", 2)), of=models("a", "b", "c")
    )
    (found,) = rankings(apart, OPTIONS)
    assert found.refusal == "No chain of battles connects all models."
    assert found.components == [["a", "b"], ["c"]]


def test_intervals_are_left_out_where_too_many_draws_have_no_ranking() -> None:
    data = playground(
        many(
            ("a", "b", "first", 6),
            ("a", "b", "second", 1),
            ("b", "a", "second", 6),
            ("b", "a", "first", 1),
        )
    )
    (found,) = rankings(data, OPTIONS)
    assert found.strengths
    assert found.failed_draws > 10
    assert all(each.interval is None for each in found.strengths)


def test_ties_can_follow_rao_and_kupper() -> None:
    data = playground(
        many(
            ("a", "b", "first", 10),
            ("a", "b", "tie", 10),
            ("a", "b", "second", 10),
            ("b", "a", "tie", 10),
            ("b", "a", "first", 10),
            ("b", "a", "second", 10),
        )
    )
    options = Options(draws=20, ties="rao-kupper")
    (found,) = rankings(data, options)
    assert found.tie == pytest.approx(log(2), abs=1e-9)
    assert "rao-kupper" in found.method
    assert rankings(data, Options(draws=20))[0].tie == pytest.approx(0, abs=1e-9)


def test_ratings_rank_models_too() -> None:
    sessions = []
    for at, (one, two) in enumerate([(5, 3), (4, 4), (2, 5), (5, 1)]):
        pair = [session(f"t{at}", "a", good=one), session(f"t{at}", "b", good=two)]
        sessions += pair if at % 2 else pair[::-1]
    (found,) = preferences(playground(sessions), OPTIONS)
    assert found.source == f"rating:{GOOD.id}"
    assert (found.first_wins, found.second_wins, found.ties) == (2, 1, 1)
