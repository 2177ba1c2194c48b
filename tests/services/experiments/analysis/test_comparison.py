"""Designs compared over replicates, by hand and against scipy."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm, t, ttest_ind, ttest_rel

from services.experiments.analysis.comparison import band, compare, figures
from services.experiments.analysis.report import analyse
from services.experiments.analysis.results import Replicate
from tests.services.experiments.analysis.given_run import agents, run, steps


def replicates(
    values: Sequence[float | None], *, first_seed: int = 0, name: str = "births"
) -> list[Replicate]:
    return [
        Replicate(seed=first_seed + at, figures={name: value}, total_agents=[1])
        for at, value in enumerate(values)
    ]


ONE, TWO = [5.0, 7, 6, 8], [4.0, 4, 5, 3]


def test_runs_of_other_seeds_are_compared_by_welchs_test() -> None:
    found = compare(replicates(ONE), replicates(TWO, first_seed=100))
    (only,) = found.differences
    expected = ttest_ind(ONE, TWO, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert not found.paired
    assert (only.method, only.n, only.difference) == ("Welch's t", 8, 2.5)
    assert only.p_value == pytest.approx(expected.pvalue, abs=1e-9)
    assert only.interval is not None
    assert (only.interval.low, only.interval.high) == pytest.approx(
        (interval.low, interval.high), abs=1e-9
    )
    # variances 5/3 and 2/3: pooled 7/6; df 6: 1 - 3/23
    assert only.effect == pytest.approx(2.5 / (7 / 6) ** 0.5 * (1 - 3 / 23))
    # of 16 pairs the first is above in 15 and equal in one
    assert only.superiority == pytest.approx(15.5 / 16)
    error = ((5 / 3 + 2 / 3) / 4) ** 0.5
    expected_least = error * (t.ppf(0.975, 6) + norm.ppf(0.8))
    assert only.detectable == pytest.approx(expected_least)


def test_runs_of_the_same_seeds_are_paired() -> None:
    found = compare(replicates(ONE), replicates(TWO))
    (only,) = found.differences
    # differences 1 3 1 5: mean 2.5, variance 11/3
    assert found.paired
    assert (only.method, only.n, only.difference) == ("paired t", 4, 2.5)
    assert only.effect == pytest.approx(2.5 / (11 / 3) ** 0.5 * (1 - 3 / 11))
    assert only.p_value == pytest.approx(ttest_rel(ONE, TWO).pvalue, abs=1e-9)
    assert only.superiority == 1


def test_order_of_runs_does_not_matter_to_pairs() -> None:
    one = compare(replicates(ONE)[::-1], replicates(TWO))
    assert one == compare(replicates(ONE), replicates(TWO))


def test_designs_that_always_give_the_same_are_not_divided_by_zero() -> None:
    same = compare(replicates([3, 3, 3]), replicates([3, 3, 3])).differences[0]
    assert (same.difference, same.effect, same.p_value) == (0, None, 1)
    apart = compare(replicates([3, 3]), replicates([2, 2], first_seed=9)).differences[0]
    assert (apart.difference, apart.p_value) == (1, 0)


def test_one_run_or_a_figure_that_is_missing_is_not_tested() -> None:
    (lone,) = compare(replicates([5]), replicates([3, 4], first_seed=5)).differences
    assert (lone.method, lone.p_value, lone.difference) == ("none", None, 1.5)
    held = compare(replicates([5, None, 6, 7]), replicates([3, 4, None, 4]))
    assert held.differences[0].n == 2


def test_p_values_are_corrected_over_all_figures() -> None:
    rng = np.random.default_rng(3)
    one = [
        Replicate(
            seed=at,
            figures={f"f{name}": rng.normal(name, 1) for name in range(4)},
            total_agents=[],
        )
        for at in range(12)
    ]
    two = [
        Replicate(
            seed=100 + at,
            figures={f"f{name}": rng.normal(0, 1) for name in range(4)},
            total_agents=[],
        )
        for at in range(12)
    ]
    found = compare(one, two).differences
    p_values = sorted(each.p_value or 0 for each in found)
    expected = [
        min(p * 4 / rank for rank, p in enumerate(p_values, 1) if rank > at)
        for at in range(4)
    ]
    assert sorted(each.corrected or 0 for each in found) == pytest.approx(expected)


def test_a_band_holds_runs_that_ended_early_as_empty() -> None:
    runs = [
        Replicate(seed=at, figures={}, total_agents=counts)
        for at, counts in enumerate([[10, 20, 30], [20, 40]])
    ]
    found = band(runs)
    assert found.mean == [15, 30, 15]
    assert found.low == pytest.approx([10.25, 20.5, 0.75])
    assert band([]).mean == []


def test_the_figures_of_a_run_are_those_of_its_analysis() -> None:
    held = run(
        steps([2, 3, 1], births=[2, 1, 0], resources_consumed=[1, 2, 3]),
        agents(("system", 0, None)),
    )
    found = figures(analyse(held))
    assert found["final_agents"] == 1
    assert found["peak_agents"] == 3
    assert found["births"] == 1
    assert found["consumed"] == 6
    assert found["final_system_agents"] == 1
    assert found["mean_life"] == 2
    assert found["composite_dominance_system"] == pytest.approx(0.9)
    assert figures(analyse(run(steps([])))) == {}
