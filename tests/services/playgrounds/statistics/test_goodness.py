"""Tests of counts against figures worked out by hand and against scipy."""

import numpy as np
import pytest
from scipy.stats import PermutationMethod, chi2, chi2_contingency, chisquare

from services.playgrounds.statistics.goodness import against, between


def test_many_counts_are_tested_by_chi_square() -> None:
    # expected 50 and 50: (10^2 + 10^2) / 50 = 4
    p_value, method = against([60, 40], [1, 1], seed=0)
    assert method == "chi-square"
    assert p_value == pytest.approx(float(chi2.sf(4, 1)), abs=1e-12)


def test_weights_need_not_add_up_to_one() -> None:
    assert against([60, 30, 30], [2, 1, 1], seed=0) == (1.0, "chi-square")


def test_few_counts_of_two_models_are_tested_by_the_binomial() -> None:
    # 0 of 4: both tails 2 / 16
    p_value, method = against([0, 4], [1, 1], seed=0)
    assert p_value == pytest.approx(1 / 8)
    assert method == "exact binomial"


def test_few_counts_of_three_models_are_tested_by_the_multinomial() -> None:
    # of 27 outcomes of 3 sessions, the 3 that give one model all are least likely
    p_value, method = against([3, 0, 0], [1, 1, 1], seed=0)
    assert p_value == pytest.approx(3 / 27)
    assert method == "exact multinomial"
    assert against([1, 1, 1], [1, 1, 1], seed=0)[0] == pytest.approx(1)


def test_where_outcomes_are_too_many_they_are_drawn() -> None:
    counts, weights = [3000, 7, 3, 6], [3000.0, 4.5, 4.5, 4.5]
    p_value, method = against(counts, weights, seed=4)
    expected = np.array(weights) * sum(counts) / sum(weights)
    assert method == "chi-square, 99999 multinomial draws, seed 4"
    assert p_value == pytest.approx(chisquare(counts, expected).pvalue, abs=0.05)
    assert against(counts, weights, seed=4)[0] == p_value


def test_groups_are_compared_by_chi_square_and_cramers_v() -> None:
    # [[30, 10], [20, 20]]: chi-square 80 (30*20 - 10*20)^2 / (40 40 50 30) = 16/3
    found = between([[30, 10], [20, 20]], seed=0)
    assert found is not None
    p_value, method, effect = found
    assert method == "chi-square of independence"
    assert p_value == pytest.approx(float(chi2.sf(16 / 3, 1)), abs=1e-9)
    assert effect == pytest.approx((16 / 3 / 80) ** 0.5, abs=1e-9)


def test_small_groups_are_compared_by_fishers_test() -> None:
    # the lady tasting tea: 3 of 4 against 1 of 4: 2 * (16 + 1) / 70
    found = between([[3, 1], [1, 3]], seed=0)
    assert found is not None
    assert found[0] == pytest.approx(34 / 70, abs=1e-12)
    assert found[1] == "Fisher's exact test"


def test_small_groups_with_many_options_are_drawn_by_seed() -> None:
    table = [[4, 0, 1], [0, 3, 2]]
    found = between(table, seed=2)
    assert found is not None
    expected = chi2_contingency(table, correction=False, method=PermutationMethod())
    assert found[0] == pytest.approx(expected.pvalue, abs=0.02)
    assert found == between(table, seed=2)


def test_options_that_nobody_chose_and_groups_of_nobody_compare_nothing() -> None:
    assert between([[3, 0], [5, 0]], seed=0) is None
    assert between([[3, 4], [0, 0]], seed=0) is None
    assert between([[5, 0, 5], [5, 0, 5]], seed=0) == between([[5, 5], [5, 5]], seed=0)
