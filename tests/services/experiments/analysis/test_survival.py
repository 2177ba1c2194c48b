"""Lives of a few agents, by hand, and against statsmodels on many."""

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from services.experiments.analysis.survival import curve, lifespan, survival
from tests.services.experiments.analysis.given_run import agents, run, steps


def test_survival_is_kaplan_and_meiers_estimate() -> None:
    # deaths at 2 and 4 of 5 and 3 at risk: 4/5, then 4/5 * 2/3; two censored
    lives = np.array([2, 3, 4, 6, 6])
    died = np.array([True, False, True, False, False])
    times, chances = curve(lives, died)
    assert list(times) == [2, 4]
    assert list(chances) == pytest.approx([4 / 5, 8 / 15])
    found = lifespan("all", lives, died)
    # 2 * 1 + 2 * 4/5 + 2 * 8/15
    assert found.restricted_mean == pytest.approx(2 + 1.6 + 16 / 15)
    assert found.median is None
    assert (found.alive.count, found.alive.share) == (3, 0.6)
    assert found.of_the_dead is not None
    assert found.of_the_dead.mean == 3


def test_the_median_life_is_where_half_are_left() -> None:
    found = lifespan("all", np.array([1, 2, 3, 9]), np.array([True] * 4))
    assert found.median == 2
    assert found.restricted_mean == pytest.approx(15 / 4)


def test_where_nobody_died_everybody_lived_to_the_end() -> None:
    found = lifespan("all", np.array([5, 3]), np.array([False, False]))
    assert (found.median, found.restricted_mean, found.of_the_dead) == (None, 5, None)


def test_estimates_and_tests_agree_with_statsmodels() -> None:
    rng = np.random.default_rng(4)
    kinds = rng.integers(0, 2, size=200)
    natural = rng.geometric(np.where(kinds == 0, 0.05, 0.09))
    last = 40
    rows = [
        (("system", "control")[kind], 0, int(life) if life <= last else None)
        for kind, life in zip(kinds, natural, strict=True)
    ]
    found = survival(run(steps([1] * (last + 1)), agents(*rows)))
    assert found is not None
    lives = np.minimum(natural, last)
    died = natural <= last
    expected = SurvfuncRight(lives, died.astype(int))
    times, chances = curve(lives, died)
    assert list(times) == list(expected.surv_times)
    assert list(chances) == pytest.approx(list(expected.surv_prob), abs=1e-9)
    (test,) = found.tests
    chi, p_value = survdiff(lives, died.astype(int), kinds)
    assert test.statistic**2 == pytest.approx(chi, rel=1e-6)
    assert test.p_value == pytest.approx(p_value, rel=1e-6)


def test_lives_are_told_by_type_and_generation() -> None:
    found = survival(
        run(
            steps([1] * 11),
            agents(
                ("system", 0, 4),
                ("system", 0, None),
                ("control", 5, 7),
                ("control", 6, None),
                generations=[0, 0, 1, 1],
            ),
        )
    )
    assert found is not None
    assert [each.group for each in found.by_type] == ["system", "control"]
    assert [each.group for each in found.by_generation] == ["0", "1"]
    # system: half die at 4, half live to 10: 4 + 6 * 1/2
    assert found.by_type[0].restricted_mean == 7
    # generation 1: 2 then dead, and 4 so far: 2 + 2 * 1/2
    assert found.by_generation[1].restricted_mean == 3
    assert found.overall.n == 4


def test_types_that_all_died_at_one_age_are_not_compared() -> None:
    lives = [(kind, 0, 4) for kind in ("system", "system", "control", "control")]
    found = survival(run(steps([0] * 11), agents(*lives)))
    assert found is not None
    assert found.tests == []


def test_nobody_has_no_survival() -> None:
    assert survival(run(steps([0]))) is None
