"""What modules learned, by hand."""

from math import log

import numpy as np
import pytest

from services.experiments.analysis.learning import hedges, progress
from tests.services.experiments.analysis.given_run import experiences, run, steps


def test_progress_compares_the_first_third_with_the_last() -> None:
    rewards = [0, 2, 5, 5, 6, 8]
    rows = [(step, step % 2, "move", 0, reward) for step, reward in enumerate(rewards)]
    (found,) = progress(run(steps([2]), experiences=experiences(*rows))) or []
    assert found.early is not None
    assert found.late is not None
    assert (found.early.mean, found.late.mean) == (1, 7)
    # g: 6 over the pooled deviation sqrt(2), times 1 - 3 / 7
    assert found.effect == pytest.approx(6 / 2**0.5 * 4 / 7)
    assert found.trend == pytest.approx(np.polyfit(range(6), rewards, 1)[0])
    assert (found.n, found.agents) == (6, 2)
    assert [point.mean_reward for point in found.curve] == rewards


def test_exploration_falls_where_choices_settle() -> None:
    choices = [0, 1, 0, 1, 0, 1, 1, 1, 1]
    rows = [(step, 0, "move", choice, 0) for step, choice in enumerate(choices)]
    (found,) = progress(run(steps([1]), experiences=experiences(*rows))) or []
    # early 0 1 0, late 1 1 1
    early = (2 / 3 * log(3 / 2) + 1 / 3 * log(3)) / log(2)
    assert found.early_exploration == pytest.approx(early)
    assert found.late_exploration == 0


def test_modules_are_told_apart() -> None:
    rows = [(0, 0, "move", 0, 1.0), (0, 0, "gather", 1, 3.0)]
    found = progress(run(steps([1]), experiences=experiences(*rows))) or []
    assert [(each.module_type, each.reward.mean) for each in found] == [
        ("move", 1),
        ("gather", 3),
    ]
    assert found[0].effect is None
    assert found[0].early_exploration is None


def test_hedges_g_is_the_difference_over_the_pooled_deviation() -> None:
    # means 3 and 1, variances 1 and 1, df 4: 2 * (1 - 3 / 15)
    one, two = np.array([2.0, 3, 4]), np.array([0.0, 1, 2])
    assert hedges(one, two) == pytest.approx(1.6)
    assert hedges(one, np.array([1.0])) is None
    assert hedges(np.ones(3), np.ones(3)) is None


def test_a_curve_has_at_most_twenty_points() -> None:
    rows = [(step, 0, "move", 0, float(step // 5)) for step in range(100)]
    (found,) = progress(run(steps([1]), experiences=experiences(*rows))) or []
    assert [point.mean_reward for point in found.curve] == list(range(20))
    assert (found.curve[0].first_step, found.curve[-1].last_step) == (0, 99)
