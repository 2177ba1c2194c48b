"""Descriptions of numbers, by hand and against scipy."""

from math import log

import numpy as np
import pytest
from scipy.stats import linregress, t

from services.experiments.analysis.measures import (
    entropy,
    lead,
    rate,
    ratio,
    slope,
    spread,
)


def test_a_spread_has_mean_deviation_quartiles_and_students_interval() -> None:
    # 1 2 3 4 10: mean 4, squares 9 4 1 0 36 over 4 = 12.5
    found = spread(np.array([4.0, 1, 10, 3, 2]))
    assert found is not None
    assert (found.n, found.mean, found.variance, found.median) == (5, 4, 12.5, 3)
    assert (found.least, found.most) == (1, 10)
    assert (found.lower_quartile, found.upper_quartile) == (2, 4)
    assert found.variation == pytest.approx(12.5**0.5 / 4)
    expected = t.interval(0.95, 4, loc=4, scale=(12.5 / 5) ** 0.5)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(expected)


def test_one_number_has_no_interval_and_none_no_spread() -> None:
    one = spread(np.array([7]))
    assert one is not None
    assert (one.mean, one.deviation, one.interval) == (7, 0, None)
    assert spread(np.array([])) is None


def test_a_rate_has_wilsons_interval() -> None:
    found = rate(81, 263)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (0.2553, 0.3662), abs=5e-5
    )
    assert rate(0, 0).share is None


def test_entropy_is_the_logarithm_of_how_many_equal_parts_there_are() -> None:
    assert entropy(np.array([3, 3, 3, 3])) == pytest.approx(log(4))
    # 1/4 ln 4 + 3/4 ln 4/3
    assert entropy(np.array([1, 3])) == pytest.approx(0.25 * log(4) + 0.75 * log(4 / 3))
    assert entropy(np.array([5, 0])) == 0
    assert entropy(np.array([0, 0])) == 0


def test_a_lead_is_from_minus_one_to_one() -> None:
    assert lead(3, 1) == 0.5
    assert lead(1, 3) == -0.5
    assert lead(2, 0) == 1
    assert lead(0, 0) == 0
    assert lead(1, -1) == 1


def test_a_slope_is_that_of_least_squares() -> None:
    x, y = np.arange(6), np.array([1.0, 2, 2, 4, 5, 5])
    found, interval = slope(x, y)
    expected = linregress(x, y)
    half = t.ppf(0.975, 4) * expected.stderr
    assert found == pytest.approx(expected.slope)
    assert interval is not None
    assert interval.low == pytest.approx(expected.slope - half)
    assert slope(np.array([1]), np.array([2])) == (0, None)
    assert slope(np.array([1, 2]), np.array([2, 5])) == (3, None)


def test_nothing_is_divided_by_nothing() -> None:
    assert ratio(1, 0) is None
    assert ratio(1, 4) == 0.25
