"""Shares against figures worked out by hand, scipy and statsmodels."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import binomtest
from statsmodels.stats.proportion import confint_proportions_2indep

from services.playgrounds.statistics.proportions import (
    always_valid,
    clustered_wilson,
    effective_size,
    mcnemar,
    newcombe,
    wilson,
)
from services.playgrounds.statistics.results import Interval


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def test_wilsons_interval_is_that_of_newcombes_table() -> None:
    # Newcombe 1998, table I: 81 of 263 and 15 of 148
    assert ends(wilson(81, 263, confidence=0.95)) == pytest.approx(
        (0.2553, 0.3662), abs=5e-5
    )
    assert ends(wilson(15, 148, confidence=0.95)) == pytest.approx(
        (0.0624, 0.1605), abs=5e-5
    )


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(1, 400), st.sampled_from([0.8, 0.95, 0.999]))
def test_wilsons_interval_agrees_with_scipy(k: int, n: int, level: float) -> None:
    k = min(k, n)
    expected = binomtest(k, n).proportion_ci(level, "wilson")
    found = ends(wilson(k, n, confidence=level))
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_answers_have_no_interval() -> None:
    assert wilson(0, 0, confidence=0.95) is None
    assert clustered_wilson([], confidence=0.95) is None
    assert always_valid(0, 0, confidence=0.95) is None


def test_newcombes_interval_is_that_of_his_paper() -> None:
    # Newcombe 1998, table II: 56/70 - 48/80, method 10: 0.0524 to 0.3339
    interval = newcombe((56, 70), (48, 80), confidence=0.95)
    assert ends(interval) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 60), st.integers(1, 60))
def test_newcombes_interval_agrees_with_statsmodels(
    k: int, n: int, j: int, m: int
) -> None:
    k, j = min(k, n), min(j, m)
    expected = confint_proportions_2indep(k, n, j, m, method="newcomb", compare="diff")
    found = ends(newcombe((k, n), (j, m), confidence=0.95))
    assert found == pytest.approx(tuple(expected), abs=1e-9)


def test_answers_that_differ_within_testers_as_between_count_fully() -> None:
    # testers (1 of 2) x 4: no spread between them, so deff < 1 counts as 1
    assert effective_size([(1, 2)] * 4) == 8


def test_testers_who_repeat_themselves_count_once() -> None:
    # 3 of 4 testers said yes twice: p = 6/8, residuals (0.5, 0.5, 0.5, -1.5),
    # variance = 4/3 * 3 / 64 = 0.0625; p(1-p)/8 = 0.0234375; deff = 8/3; 8/deff = 3
    assert effective_size([(2, 2), (2, 2), (2, 2), (0, 2)]) == pytest.approx(3)
    assert effective_size([(2, 2), (3, 3)]) == 2
    assert effective_size([(7, 20)]) == 1


def test_one_answer_each_is_plain_wilson() -> None:
    clusters = [(1.0, 1)] * 5 + [(0.0, 1)] * 7
    assert clustered_wilson(clusters, confidence=0.9) == wilson(5, 12, confidence=0.9)


def test_clustered_intervals_cover_the_share_that_made_the_answers() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    rounds = 600
    for _ in range(rounds):
        leanings = rng.beta(1.2, 2.8, size=40)  # mean 0.3
        clusters = [
            (float(rng.binomial(n, p)), n)
            for p, n in zip(leanings, rng.integers(1, 8, size=40), strict=True)
        ]
        low, high = ends(clustered_wilson(clusters, confidence=0.95))
        covered += low <= 0.3 <= high
    assert 0.93 <= covered / rounds <= 0.985


def test_mcnemars_test_is_a_fair_coin_over_discordant_pairs() -> None:
    # 1 against 5: 2 * (1 + 6) / 64
    assert mcnemar(1, 5) == pytest.approx(14 / 64, abs=1e-12)
    assert mcnemar(0, 0) == 1


def test_an_always_valid_interval_ends_at_odds_of_twenty() -> None:
    low, high = ends(always_valid(7, 10, confidence=0.95))
    for share in (low, high):
        ratio = betaln(7.5, 3.5) - betaln(0.5, 0.5) - 7 * log(share)
        assert ratio - 3 * log(1 - share) == pytest.approx(log(20), abs=1e-9)
    assert low < 0.7 < high


def test_an_always_valid_interval_of_one_success_is_known_in_closed_form() -> None:
    # the mixture gives 1/2, so p = (1/2) / 20
    assert ends(always_valid(1, 1, confidence=0.95)) == pytest.approx((0.025, 1.0))
    assert ends(always_valid(0, 1, confidence=0.95)) == pytest.approx((0.0, 0.975))


def test_an_always_valid_interval_holds_at_every_look_at_once() -> None:
    rng = np.random.default_rng(11)
    rounds, looks = 300, 150
    missed = 0
    for _ in range(rounds):
        wins = np.cumsum(rng.random(looks) < 0.4)
        bands = [
            ends(always_valid(int(won), n, confidence=0.9))
            for n, won in enumerate(wins, 1)
        ]
        missed += any(not low <= 0.4 <= high for low, high in bands)
    assert missed / rounds <= 0.1
