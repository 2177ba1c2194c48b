"""Reliability against figures worked out by hand and against scipy's own routines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from services.testing.reliability import Estimate, pass_at_k, pass_hat_k, pass_rate


def shares(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return (estimate.value, estimate.low, estimate.high)


def test_pass_hat_k_is_the_mean_chance_that_k_trials_all_pass() -> None:
    # C(4,2)/C(4,2) = 1, C(3,2)/C(4,2) = 3/6, C(1,2)/C(4,2) = 0: mean 1.5 / 3
    assert pass_hat_k([4, 3, 1], [4, 4, 4], 2).value == 0.5


def test_pass_at_k_is_the_mean_chance_that_one_of_k_trials_passes() -> None:
    # 1 - C(0,2)/6 = 1, 1 - C(1,2)/6 = 1, 1 - C(3,2)/6 = 1/2: mean 2.5 / 3
    assert pass_at_k([4, 3, 1], [4, 4, 4], 2).value == pytest.approx(2.5 / 3)


def test_for_one_trial_both_are_the_mean_share_of_passes() -> None:
    counts = ([4, 3, 1], [4, 4, 4])
    assert pass_hat_k(*counts, 1).value == pytest.approx(2 / 3)
    assert pass_at_k(*counts, 1).value == pytest.approx(2 / 3)
    assert pass_rate(*counts).value == pytest.approx(2 / 3)


def test_tasks_weigh_alike_however_many_trials_they_have() -> None:
    assert pass_hat_k([2, 0], [2, 8], 1).value == 0.5
    assert pass_rate([2, 0], [2, 8]).value == 0.2


def test_tasks_with_too_few_trials_are_left_out_and_counted() -> None:
    estimate = pass_hat_k([4, 1, 2], [4, 1, 2], 2)

    assert estimate.value == 1.0
    assert (estimate.tasks, estimate.trials, estimate.left_out) == (2, 6, 1)


def test_the_interval_takes_tasks_as_the_unit() -> None:
    # estimates 1, 0.5, 0: mean 0.5, deviation 0.5, error 0.5 / sqrt(3) = 0.288675;
    # t(2 degrees, 0.9) = 1.885618: half width 0.544331
    estimate = pass_hat_k([4, 3, 1], [4, 4, 4], 2, confidence=0.8)
    expected = stats.t.interval(0.8, 2, loc=0.5, scale=0.5 / 3**0.5)

    assert (estimate.method, estimate.confidence) == ("t over tasks", 0.8)
    assert expected == pytest.approx((0.5 - 0.544331, 0.5 + 0.544331), abs=1e-6)
    assert shares(estimate) == (0.5, 0.0, 1.0)
    narrow = pass_hat_k([2] * 20 + [1] * 20, [2] * 40, 1)
    assert narrow.low == pytest.approx(
        0.75 - stats.t.ppf(0.975, 39) * 0.253185 / 40**0.5, abs=1e-6
    )


def test_the_interval_of_a_rate_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263, Wilson's score method: 0.2553 to 0.3662
    estimate = pass_rate([81], [263])

    assert estimate.method == "wilson"
    assert estimate.low == pytest.approx(0.2553, abs=5e-5)
    assert estimate.high == pytest.approx(0.3662, abs=5e-5)


@pytest.mark.parametrize(("passed", "trials"), [(0, 7), (7, 7), (3, 10), (1, 1)])
def test_the_interval_of_a_rate_agrees_with_scipy(passed: int, trials: int) -> None:
    interval = stats.binomtest(passed, trials).proportion_ci(0.9, "wilson")
    estimate = pass_rate([passed], [trials], confidence=0.9)

    assert (estimate.low, estimate.high) == pytest.approx(tuple(interval))


def test_a_single_task_has_no_interval() -> None:
    estimate = pass_hat_k([3], [4], 2)

    assert shares(estimate) == (0.5, None, None)
    assert (estimate.method, estimate.tasks, estimate.trials) == ("none", 1, 4)


@pytest.mark.parametrize("counts", [([], []), ([0, 0], [0, 0])])
def test_without_trials_there_is_no_value(counts: tuple[list[int], list[int]]) -> None:
    for estimate in (pass_rate(*counts), pass_hat_k(*counts, 1), pass_at_k(*counts, 1)):
        assert shares(estimate) == (None, None, None)
        assert (estimate.method, estimate.tasks, estimate.trials) == ("none", 0, 0)
        assert estimate.left_out == len(counts[0])


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2 trials cannot have passed"):
        pass_rate([3], [2])
    with pytest.raises(ValueError, match="k is 0"):
        pass_hat_k([1], [2], 0)
    with pytest.raises(ValueError, match=r"argument 2 is longer"):
        pass_at_k([1], [2, 2], 1)


tallies = st.lists(
    st.integers(1, 12).flatmap(
        lambda trials: st.tuples(st.integers(0, trials), st.just(trials))
    ),
    min_size=2,
    max_size=12,
)


@given(tallies=tallies)
def test_more_trials_make_all_less_likely_and_any_more_likely(
    tallies: list[tuple[int, int]],
) -> None:
    successes, trials = [c for c, _ in tallies], [n for _, n in tallies]
    ks = range(1, min(trials) + 1)
    hats = [pass_hat_k(successes, trials, k).value or 0.0 for k in ks]
    ats = [pass_at_k(successes, trials, k).value or 0.0 for k in ks]

    assert hats == sorted(hats, reverse=True)
    assert ats == sorted(ats)
    assert hats[0] == pytest.approx(ats[0])
    for k in ks:
        estimate = pass_hat_k(successes, trials, k)
        assert estimate.value is not None
        assert estimate.low is not None
        assert estimate.high is not None
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
