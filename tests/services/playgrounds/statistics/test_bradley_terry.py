"""Strengths by hand, and against statsmodels' regressions on generated battles."""

from itertools import permutations
from math import exp, log

import numpy as np
import pytest
from statsmodels.genmod.families import Binomial, Poisson
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.miscmodels.ordinal_model import OrderedModel

from services.playgrounds.statistics.bradley_terry import (
    Battle,
    Design,
    NoMaximumError,
    Ties,
    Winner,
    components,
    elo,
    fit,
)
from services.playgrounds.statistics.resampling import Vector


STRENGTHS = np.array([0.8, 0.1, -0.3, -0.6])
POSITION = 0.4


def battles(*rounds: tuple[int, int, Winner, int]) -> list[Battle]:
    return [
        Battle(first=first, second=second, winner=winner)
        for first, second, winner, times in rounds
        for _ in range(times)
    ]


def chances(first: int, second: int, ties: Ties | None) -> list[float]:
    d = STRENGTHS[first] - STRENGTHS[second] + POSITION
    match ties:
        case "davidson":
            weights = [exp(d / 2), 0.7, exp(-d / 2)]
            return [weight / sum(weights) for weight in weights]
        case "rao-kupper":
            one, two = 1 / (1 + 1.5 * exp(-d)), 1 / (1 + 1.5 * exp(d))
            return [one, 1 - one - two, two]
        case None:
            return [1 / (1 + exp(-d)), 0, 1 / (1 + exp(d))]


def generated(ties: Ties | None, *, each: int = 60) -> list[Battle]:
    rng = np.random.default_rng(13)
    names: tuple[Winner, ...] = ("first", "tie", "second")
    return [
        Battle(first=first, second=second, winner=names[int(outcome)])
        for first, second in permutations(range(4), 2)
        for outcome in rng.choice(3, size=each, p=chances(first, second, ties))
    ]


def test_two_models_are_as_far_apart_as_the_log_of_their_odds() -> None:
    # 30 to 10 whichever is first: odds 3, no position effect
    won = battles((0, 1, "first", 15), (0, 1, "second", 5))
    won += battles((1, 0, "second", 15), (1, 0, "first", 5))
    found = fit(Design(won, 2))
    assert found.strengths == pytest.approx([log(3) / 2, -log(3) / 2], abs=1e-9)
    assert found.position == pytest.approx(0, abs=1e-9)
    assert found.tie is None


def test_what_is_seen_first_may_win_for_that_alone() -> None:
    # the first wins 3 to 1 whichever it is
    won = battles((0, 1, "first", 30), (0, 1, "second", 10))
    won += battles((1, 0, "first", 30), (1, 0, "second", 10))
    found = fit(Design(won, 2))
    assert found.strengths == pytest.approx([0, 0], abs=1e-9)
    assert found.position == pytest.approx(log(3), abs=1e-9)


def test_davidsons_nu_is_known_where_models_are_equal() -> None:
    # nu / (2 + nu) = 1/3, so nu = 1
    even = battles((0, 1, "first", 10), (0, 1, "tie", 10), (0, 1, "second", 10))
    even += battles((1, 0, "first", 10), (1, 0, "tie", 10), (1, 0, "second", 10))
    assert fit(Design(even, 2)).tie == pytest.approx(0, abs=1e-9)


def test_rao_and_kuppers_theta_is_known_where_models_are_equal() -> None:
    # 2 / (1 + theta) = 2/3, so theta = 2
    even = battles((0, 1, "first", 10), (0, 1, "tie", 10), (0, 1, "second", 10))
    even += battles((1, 0, "first", 10), (1, 0, "tie", 10), (1, 0, "second", 10))
    found = fit(Design(even, 2), ties="rao-kupper")
    assert found.tie == pytest.approx(log(2), abs=1e-9)


def strengths_of(
    parameters: Vector,
) -> list[float]:
    own = np.append(parameters, 0.0)
    return list(own - own.mean())


def regressed(fought: list[Battle]) -> tuple[Vector, Vector]:
    """Outcomes as 0, 1, 2, and a row of models for each battle but for the last."""
    rows = np.zeros((len(fought), 4))
    for at, battle in enumerate(fought):
        rows[at, battle.first] += 1
        rows[at, battle.second] -= 1
    outcomes = [("first", "tie", "second").index(each.winner) for each in fought]
    return np.array(outcomes, dtype=float), rows[:, :3]


def test_without_ties_the_fit_is_a_logistic_regression() -> None:
    fought = generated(None)
    won, rows = regressed(fought)
    columns = np.column_stack([rows, np.ones(len(fought))])
    expected = GLM(won == 0, columns, family=Binomial()).fit(tol=1e-14)
    found = fit(Design(fought, 4))
    assert found.strengths == pytest.approx(strengths_of(expected.params[:3]), abs=1e-6)
    assert found.position == pytest.approx(expected.params[3], abs=1e-6)
    assert found.log_likelihood == pytest.approx(expected.llf, abs=1e-6)


def test_davidsons_fit_is_a_poisson_regression_of_the_counts() -> None:
    fought = generated("davidson")
    pairs = list(permutations(range(4), 2))
    outcomes: tuple[Winner, ...] = ("first", "tie", "second")
    counts, rows = [], []
    for at, (first, second) in enumerate(pairs):
        for place, winner in enumerate(outcomes):
            counts.append(
                sum(
                    (each.first, each.second, each.winner) == (first, second, winner)
                    for each in fought
                )
            )
            d = np.zeros(4)
            d[first] += 1
            d[second] -= 1
            half = (1 - place) / 2
            own = np.zeros(len(pairs))
            own[at] = 1
            rows.append([*(half * d[:3]), half, float(winner == "tie"), *own])
    expected = GLM(counts, np.array(rows), family=Poisson()).fit(tol=1e-14).params
    found = fit(Design(fought, 4))
    assert found.strengths == pytest.approx(strengths_of(expected[:3]), abs=1e-6)
    assert found.position == pytest.approx(expected[3], abs=1e-6)
    assert found.tie == pytest.approx(expected[4], abs=1e-6)


def test_rao_and_kuppers_fit_is_an_ordered_regression() -> None:
    fought = generated("rao-kupper")
    won, rows = regressed(fought)
    model = OrderedModel(2 - won, rows, distr="logit")
    expected = model.fit(method="bfgs", disp=False, gtol=1e-9, maxiter=500)
    low, high = model.transform_threshold_params(expected.params[3:])[1:3]
    found = fit(Design(fought, 4), ties="rao-kupper")
    own = strengths_of(expected.params[:3])
    assert found.strengths == pytest.approx(own, abs=1e-6)
    # P(second) = s(low - d) and P(first) = s(d - high), with position inside both
    assert found.position == pytest.approx(-(low + high) / 2, abs=1e-6)
    assert found.tie == pytest.approx((high - low) / 2, abs=1e-6)


@pytest.mark.parametrize("ties", ["davidson", "rao-kupper"])
def test_the_strengths_that_made_the_battles_are_found(ties: Ties) -> None:
    found = fit(Design(generated(ties, each=4000), 4), ties=ties)
    centred = STRENGTHS - STRENGTHS.mean()
    assert found.strengths == pytest.approx(list(centred), abs=0.06)
    assert found.position == pytest.approx(POSITION, abs=0.04)
    expected = log(0.7) if ties == "davidson" else log(1.5)
    assert found.tie == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("ties", ["davidson", "rao-kupper"])
def test_a_battle_of_weight_two_is_two_battles(ties: Ties) -> None:
    fought = generated(ties, each=20)
    weights = np.array([1.0 + (at % 3) for at in range(len(fought))])
    again = [each for at, each in enumerate(fought) for _ in range(1 + at % 3)]
    one = fit(Design(fought, 4), weights, ties=ties)
    two = fit(Design(again, 4), ties=ties)
    assert one.strengths == pytest.approx(two.strengths, abs=1e-8)


def test_a_model_that_always_wins_has_no_finite_strength() -> None:
    always = battles((0, 1, "first", 5), (1, 0, "second", 5))
    with pytest.raises(NoMaximumError, match="always win"):
        fit(Design(always, 2))
    chain = battles((0, 1, "first", 5), (1, 0, "second", 5), (1, 2, "tie", 4))
    chain += battles((2, 1, "tie", 4))
    with pytest.raises(NoMaximumError, match="always win"):
        fit(Design(chain, 3))


def test_a_ring_of_wins_is_a_ranking() -> None:
    ring = battles((0, 1, "first", 3), (1, 2, "first", 3), (2, 0, "first", 3))
    ring += battles((1, 0, "second", 3), (2, 1, "second", 3), (0, 2, "second", 3))
    assert fit(Design(ring, 3)).strengths == pytest.approx([0, 0, 0], abs=1e-9)


def test_models_that_never_met_have_no_ranking() -> None:
    apart = battles((0, 1, "first", 3), (0, 1, "second", 3), (2, 3, "tie", 1))
    assert components(apart, 4) == [[0, 1], [2, 3]]
    with pytest.raises(NoMaximumError, match="No chain"):
        fit(Design(apart, 4))
    with pytest.raises(NoMaximumError, match="No chain"):
        fit(Design([], 2))


def test_ties_alone_have_no_ranking() -> None:
    with pytest.raises(NoMaximumError):
        fit(Design(battles((0, 1, "tie", 9), (1, 0, "tie", 9)), 2))


def test_the_position_effect_is_left_out_where_order_never_changed() -> None:
    found = fit(Design(battles((0, 1, "first", 6), (0, 1, "second", 2)), 2))
    assert found.position is None
    assert found.strengths == pytest.approx([log(3) / 2, -log(3) / 2], abs=1e-9)


def test_elo_moves_by_the_points_that_were_not_expected() -> None:
    # equal: 4 * 0.5; then 1002 to 998: expected 1 / (1 + 10^(-4/400)) = 0.505757...
    expected = 1 / (1 + 10 ** (-4 / 400))
    fought = battles((0, 1, "first", 1), (0, 1, "tie", 1))
    first = 1002 + 4 * (0.5 - expected)
    assert elo(fought, 2) == pytest.approx([first, 2000 - first], abs=1e-9)
