"""Agreement against published examples, definitions by pairs, and statsmodels."""

from itertools import permutations
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from services.playgrounds.statistics.agreement import (
    Level,
    cohen,
    fleiss,
    gloss,
    jackknifed,
    krippendorff,
)


# Krippendorff 2011, section C: four observers, twelve units, missing data
OBSERVERS = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)
EXAMPLE = {
    f"unit {at}": {
        str(who): float(line.split()[at])
        for who, line in enumerate(OBSERVERS)
        if line.split()[at] != "."
    }
    for at in range(12)
}

ratings = st.dictionaries(
    st.sampled_from("abcdef"),
    st.dictionaries(st.sampled_from("vwxyz"), st.integers(1, 5).map(float), min_size=1),
    min_size=1,
)


def by_pairs(units: dict[str, dict[str, float]], level: Level) -> float | None:
    """Alpha as the ratio of mean distances of pairs, slowly."""
    kept = [list(given.values()) for given in units.values() if len(given) > 1]
    every = [value for given in kept for value in given]

    def distance(one: float, two: float) -> float:
        low, high = min(one, two), max(one, two)
        match level:
            case "nominal":
                return float(one != two)
            case "ordinal":
                inside = sum(low <= value <= high for value in every)
                ends = (every.count(low) + every.count(high)) / 2
                return (inside - ends) ** 2
            case "interval":
                return (one - two) ** 2
            case "ratio":
                return ((one - two) / (one + two)) ** 2

    expected = sum(distance(*pair) for pair in permutations(every, 2))
    if not expected:
        return None
    observed = sum(
        distance(*pair) / (len(given) - 1)
        for given in kept
        for pair in permutations(given, 2)
    )
    return 1 - (observed / len(every)) / (expected / len(every) / (len(every) - 1))


@pytest.mark.parametrize(
    ("level", "alpha"),
    [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)],
)
def test_alpha_is_that_of_krippendorffs_example(level: Level, alpha: float) -> None:
    assert krippendorff(EXAMPLE, level) == pytest.approx(alpha, abs=5e-4)


@settings(deadline=None)
@given(ratings)
def test_alpha_agrees_with_its_definition_by_pairs(
    units: dict[str, dict[str, float]],
) -> None:
    for level in get_args(Level):
        expected = by_pairs(units, level)
        assert krippendorff(units, level) == (
            None if expected is None else pytest.approx(expected, abs=1e-9)
        )


def test_a_rater_left_out_in_turn_gives_the_interval() -> None:
    whole = krippendorff(EXAMPLE, "nominal")
    found = jackknifed(EXAMPLE, "nominal", confidence=0.95)
    assert whole is not None
    assert found is not None
    assert found.low < whole < found.high
    assert found.method == "jackknife over testers"
    lonely = {unit: dict(list(given.items())[:2]) for unit, given in EXAMPLE.items()}
    two = {
        unit: {who: value for who, value in given.items() if who in "12"}
        for unit, given in lonely.items()
    }
    assert jackknifed(two, "nominal", confidence=0.95) is None


def test_raters_who_answer_by_chance_are_covered_at_zero() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        units = {
            f"u{unit}": {f"r{rater}": float(rng.integers(1, 4)) for rater in range(8)}
            for unit in range(20)
        }
        found = jackknifed(units, "nominal", confidence=0.95)
        assert found is not None
        covered += found.low <= 0 <= found.high
    assert covered >= 180


def test_cohens_kappa_by_hand_and_by_statsmodels() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.7 observed, 0.5 expected
    pairs = [(1.0, 1.0)] * 20 + [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 10
    pairs += [(0.0, 0.0)] * 15
    assert cohen(pairs) == pytest.approx(0.4, abs=1e-12)
    table = [[20, 5], [10, 15]]
    assert cohen(pairs) == pytest.approx(cohens_kappa(table).kappa, abs=1e-9)
    assert cohen([]) is None
    assert cohen([(1, 1), (1, 1)]) is None


def test_fleiss_kappa_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(7)
    given = rng.integers(0, 4, size=(25, 6))
    units = {
        str(unit): {str(rater): float(value) for rater, value in enumerate(row)}
        for unit, row in enumerate(given)
    }
    table = [[int((row == value).sum()) for value in range(4)] for row in given]
    assert fleiss(units) == pytest.approx(fleiss_kappa(table), abs=1e-9)


def test_fleiss_kappa_needs_as_many_ratings_of_every_unit() -> None:
    assert fleiss({"a": {"x": 1, "y": 1}, "b": {"x": 1}}) is None
    assert fleiss({"a": {"x": 1}, "b": {"x": 2}}) is None


@pytest.mark.parametrize(
    ("kappa", "word"),
    [
        (-0.1, "poor"),
        (0.2, "slight"),
        (0.21, "fair"),
        (0.5, "moderate"),
        (0.8, "substantial"),
        (1.0, "almost perfect"),
    ],
)
def test_landis_and_koch_have_a_word_for_it(kappa: float, word: str) -> None:
    assert gloss(kappa) == word
