"""Options, ratings and differences: small playgrounds worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, wilcoxon

from services.playgrounds.statistics.answers import (
    choices,
    comparisons,
    rank_biserial,
    ratings,
    share_gaps,
)
from tests.services.playgrounds.statistics.given_evaluations import (
    AGAIN,
    GOOD,
    OPTIONS,
    WHICH,
    playground,
    session,
)


def test_every_option_is_shown_also_one_that_nobody_chose() -> None:
    data = playground(
        [
            session("ada", "a", which="yes"),
            session("ben", "a", which="yes"),
            session("cem", "a", which="no"),
        ],
        questions=(WHICH,),
    )
    of_a, of_b = choices(data, OPTIONS)
    shares = {each.value: (each.count, each.share) for each in of_a.shares}
    assert shares == {"yes": (2, 2 / 3), "no": (1, 1 / 3), "?": (0, 0.0)}
    assert (of_a.n, of_a.testers) == (3, 3)
    assert [(each.share, each.interval) for each in of_b.shares] == [(None, None)] * 3


def test_an_option_that_is_gone_is_shown_where_it_was_chosen() -> None:
    data = playground(
        [session("ada", "a", which="maybe"), session("ben", "b", which="yes")],
        questions=(WHICH,),
    )
    of_a, of_b = choices(data, OPTIONS)
    assert [each.value for each in of_a.shares] == ["yes", "no", "?", "maybe"]
    assert [each.value for each in of_b.shares] == ["yes", "no", "?"]
    assert {each.value for each in share_gaps(data, OPTIONS)} >= {"maybe"}


def test_a_rating_has_counts_median_mean_and_an_interval_over_testers() -> None:
    data = playground(
        [
            session("ada", "a", number=1, good=5),
            session("ada", "a", number=2, good=4),
            session("ben", "a", good=2),
        ],
        questions=(GOOD,),
    )
    (found,) = ratings(data, OPTIONS)
    assert found.counts == [0, 1, 0, 1, 1]
    assert (found.n, found.testers, found.median) == (3, 2, 4)
    assert found.mean == pytest.approx(11 / 3)
    assert found.interval is not None
    assert found.interval.low < 11 / 3 < found.interval.high


def test_withdrawn_and_excluded_answers_do_not_count() -> None:
    data = playground(
        [
            session("ada", "a", good=5),
            session("ben", "a", status="excluded", good=1),
            session("cem", "a", status="withdrawn", good=1),
        ],
        questions=(GOOD,),
    )
    (found,) = ratings(data, OPTIONS)
    assert found.mean == 5


def test_ratings_of_both_models_are_paired_by_tester() -> None:
    scores = {"ada": (5, 3), "ben": (4, 3), "cem": (2, 4), "dan": (5, 1), "eva": (3, 3)}
    sessions = []
    for tester, (one, two) in scores.items():
        sessions += [session(tester, "a", good=one), session(tester, "b", good=two)]
    (found,) = comparisons(playground(sessions, questions=(GOOD,)), OPTIONS)
    # differences 2, 1, -2, 4, 0: ranks 2.5, 1, -2.5, 4: (7.5 - 2.5) / 10
    assert (found.paired, found.n, found.effect_name) == (True, 5, "rank-biserial")
    assert found.effect == pytest.approx(0.5)
    assert found.p_value == pytest.approx(float(wilcoxon([2, 1, -2, 4, 0]).pvalue))


def test_ratings_of_different_testers_are_compared_by_their_first_model() -> None:
    sessions = [
        session(f"a{at}", "a", good=rating) for at, rating in enumerate([5, 4, 4])
    ]
    sessions += [
        session(f"b{at}", "b", good=rating) for at, rating in enumerate([4, 2, 1])
    ]
    sessions.append(session("b0", "a", number=2, good=1))
    (found,) = comparisons(playground(sessions, questions=(GOOD,)), OPTIONS)
    # of 9 pairs 7 are won by a and 2 tied: U = 8; 2 * 8 / 9 - 1
    assert (found.paired, found.n) == (False, 6)
    assert found.effect == pytest.approx(7 / 9)
    expected = mannwhitneyu([5, 4, 4], [4, 2, 1]).pvalue
    assert found.p_value == pytest.approx(float(expected))


def test_yes_or_no_of_the_same_testers_is_mcnemars_question() -> None:
    sessions = []
    for at, (one, two) in enumerate([("true", "false")] * 5 + [("false", "true")]):
        sessions += [
            session(f"t{at}", "a", again=one),
            session(f"t{at}", "b", again=two),
        ]
    (found,) = comparisons(playground(sessions, questions=(AGAIN,)), OPTIONS)
    assert found.p_value == pytest.approx(14 / 64)
    assert found.effect == pytest.approx(4 / 6)
    assert found.paired


def test_options_are_compared_over_the_first_model_of_each_tester() -> None:
    sessions = [session(f"a{at}", "a", which="yes") for at in range(3)]
    sessions += [session("a3", "a", which="no"), session("b3", "b", which="yes")]
    sessions += [session(f"b{at}", "b", which="no") for at in range(3)]
    data = playground(sessions, questions=(WHICH,))
    (found,) = comparisons(data, OPTIONS)
    assert found.p_value == pytest.approx(34 / 70)
    assert found.effect == pytest.approx(0.5)
    assert found.effect_name == "cramers-v"
    gaps = {each.value: each for each in share_gaps(data, OPTIONS)}
    assert gaps["yes"].difference == 0.5
    assert gaps["yes"].interval.method == "newcombe"
    assert (gaps["yes"].n, gaps["?"].difference) == (8, 0)


def test_p_values_are_corrected_for_all_that_were_looked_at() -> None:
    sessions = []
    for at in range(8):
        sessions += [
            session(f"t{at}", "a", good=5, again="true" if at < 6 else "false"),
            session(f"t{at}", "b", good=1, again="false"),
        ]
    found = comparisons(playground(sessions, questions=(GOOD, AGAIN)), OPTIONS)
    assert [each.p_value for each in found] == pytest.approx([2 / 256, 2 / 64])
    assert [each.holm for each in found] == pytest.approx([4 / 256, 2 / 64])
    assert [each.benjamini_hochberg for each in found] == pytest.approx(
        [4 / 256, 2 / 64]
    )


def test_a_question_of_one_model_compares_nothing() -> None:
    data = playground([session("ada", "a", good=4)], questions=(GOOD,))
    assert comparisons(data, OPTIONS) == []
    assert share_gaps(data, OPTIONS) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=30))
def test_rank_biserial_is_wilcoxons_statistic_made_comparable(gaps: list[int]) -> None:
    kept = [float(gap) for gap in gaps if gap]
    if not kept:
        assert rank_biserial([float(gap) for gap in gaps]) == 0
        return
    total = len(kept) * (len(kept) + 1) / 2
    greater = wilcoxon(kept, alternative="greater").statistic
    expected = (2 * greater - total) / total
    assert rank_biserial([float(gap) for gap in gaps]) == pytest.approx(expected)
