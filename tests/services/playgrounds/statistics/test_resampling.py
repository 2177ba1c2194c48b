"""Means of testers' answers: exact where nothing varies, and by coverage."""

import numpy as np
import pytest

from services.playgrounds.statistics.resampling import mean_interval


def test_the_interval_covers_the_mean_that_made_the_answers() -> None:
    rng = np.random.default_rng(5)
    rounds, covered = 400, 0
    for _ in range(rounds):
        leanings = rng.normal(3.0, 1.0, size=40)
        clusters = {
            str(at): list(rng.normal(leaning, 0.5, size=int(rng.integers(1, 5))))
            for at, leaning in enumerate(leanings)
        }
        found = mean_interval(clusters, confidence=0.9, draws=400, seed=1)
        assert found is not None
        covered += found.low <= 3.0 <= found.high
    assert 0.855 <= covered / rounds <= 0.94


def test_an_interval_that_forgot_the_testers_would_be_too_narrow() -> None:
    rng = np.random.default_rng(8)
    leanings = rng.normal(0.0, 1.0, size=30)
    clusters = {str(at): [float(leaning)] * 10 for at, leaning in enumerate(leanings)}
    alone = {
        f"{at} {place}": [float(leaning)]
        for at, leaning in enumerate(leanings)
        for place in range(10)
    }
    wide = mean_interval(clusters, confidence=0.95, draws=2_000, seed=1)
    narrow = mean_interval(alone, confidence=0.95, draws=2_000, seed=1)
    assert wide is not None
    assert narrow is not None
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    assert ratio == pytest.approx(10**0.5, rel=0.15)


def test_the_same_seed_gives_the_same_interval() -> None:
    clusters = {"ada": [1.0, 4.0], "ben": [3.0], "cem": [5.0, 2.0, 2.0]}
    once = mean_interval(clusters, confidence=0.95, draws=500, seed=9)
    assert once == mean_interval(clusters, confidence=0.95, draws=500, seed=9)
    assert once != mean_interval(clusters, confidence=0.95, draws=500, seed=10)
    assert once is not None
    assert once.method == "BCa bootstrap over testers, 500 draws, seed 9"


def test_one_tester_has_no_interval_and_equal_testers_one_without_width() -> None:
    assert mean_interval({"ada": [1, 5]}, confidence=0.9, draws=100, seed=0) is None
    found = mean_interval(
        {"ada": [4, 4], "ben": [4]}, confidence=0.9, draws=100, seed=0
    )
    assert found is not None
    assert (found.low, found.high) == (4, 4)


def test_very_many_testers_are_redrawn_without_leaving_out_each() -> None:
    clusters = {str(at): [float(at % 5)] for at in range(2_001)}
    found = mean_interval(clusters, confidence=0.95, draws=2_000, seed=0)
    assert found is not None
    assert found.method.startswith("percentile")
    # the normal interval: 2 -+ 1.96 * sqrt(2) / sqrt(2001)
    assert (found.low, found.high) == pytest.approx((1.938, 2.062), abs=0.005)
