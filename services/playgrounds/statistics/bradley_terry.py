"""Strengths of models from battles: Bradley and Terry's model with ties and position.

A battle shows one model first and one second. Its log odds are d = s(first) - s(second)
+ position effect. Ties follow

    Davidson         first : tie : second  =  e^(d/2) : nu : e^(-d/2)
    Rao and Kupper   P(first) = 1 / (1 + theta e^-d), P(second) = 1 / (1 + theta e^d)

and both are 1 / (1 + e^-d) without ties. The likelihoods are concave; Newton's method
with halved steps finds their maximum, where there is one: some direction of strengths
that explains every win at no cost makes it infinite, which a linear program detects.

Sources: Bradley and Terry 1952; Rao and Kupper 1967; Davidson 1970; the order effect as
in Davidson and Beaver 1977, added to the log odds; separation as in Albert and Anderson
1984.
"""

from collections.abc import Sequence
from math import exp, log
from typing import Final, Literal

import msgspec
import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit

from services.playgrounds.statistics.resampling import Vector


Ties = Literal["davidson", "rao-kupper"]
Winner = Literal["first", "second", "tie"]

ROUNDS: Final = 100
SMALL: Final = 1e-10
FAR: Final = 40.0
MODELS: Final = 2


class Battle(msgspec.Struct, frozen=True, kw_only=True):
    """Two models by number, the one shown first before, and who won."""

    first: int
    second: int
    winner: Winner


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """Log strengths of mean 0, the log odds of being first, and of a tie."""

    strengths: list[float]
    position: float | None
    tie: float | None
    log_likelihood: float


class NoMaximumError(Exception):
    """The battles give no finite strengths."""


class Design:
    """Battles as rows: x @ parameters = log odds; outcomes as 0 first, 1 tie, 2 second.

    Battles of the same models, order and outcome share a row.

    The parameters are the strengths of all models but the last, relative to it, then
    the position effect where the battles can tell it from the strengths.
    """

    def __init__(self, battles: Sequence[Battle], models: int) -> None:
        number = {"first": 0, "tie": 1, "second": 2}
        told = [(each.first, each.second, number[each.winner]) for each in battles]
        kinds = sorted(set(told))
        place = {kind: at for at, kind in enumerate(kinds)}
        rows = np.arange(len(kinds))
        strengths = np.zeros((len(kinds), models))
        strengths[rows, [first for first, _, _ in kinds]] += 1
        strengths[rows, [second for _, second, _ in kinds]] -= 1
        strengths = strengths[:, :-1]
        whole = np.column_stack([strengths, np.ones(len(kinds))])
        rank = np.linalg.matrix_rank
        self.models = models
        self.connected = len(kinds) > 0 and int(rank(strengths)) == models - 1
        self.positioned = len(kinds) > 0 and int(rank(whole)) == models
        self.x: Vector = whole if self.positioned else strengths
        self.y = np.array([outcome for _, _, outcome in kinds], dtype=int)
        self._kind = np.array([place[each] for each in told], dtype=int)

    def counts(self, weights: Vector | None = None) -> Vector:
        """Return how often each row was fought, battles weighted."""
        return np.bincount(self._kind, weights, minlength=len(self.y)).astype(float)

    def separated(self) -> bool:
        """Say whether strengths without bound would explain every outcome ever better.

        In the limit a win's log odds exceed the width of ties, a tie's do not.
        """
        tied = self.y == 1
        sign = 1.0 - self.y[~tied]
        wins = np.column_stack([self.x[~tied] * sign[:, None], -np.ones(len(sign))])
        drawn, ones = self.x[tied], np.ones(int(tied.sum()))
        above = np.column_stack([-drawn, ones])
        below = np.column_stack([drawn, ones])
        gains = np.unique(np.vstack([wins, above, below]), axis=0)
        width = self.x.shape[1]
        found = linprog(
            -gains.sum(axis=0),
            A_ub=-gains,
            b_ub=np.zeros(len(gains)),
            bounds=[(-1, 1)] * width + [(0, 1 if tied.any() else 0)],
        )
        return bool(found.status == 0 and -found.fun > SMALL)


def components(battles: Sequence[Battle], models: int) -> list[list[int]]:
    """Return the groups of models that battles connect."""
    first = [battle.first for battle in battles]
    second = [battle.second for battle in battles]
    graph = coo_array((np.ones(len(battles)), (first, second)), shape=(models, models))
    count, labels = connected_components(graph, directed=False)
    return [[int(at) for at in np.flatnonzero(labels == each)] for each in range(count)]


def fit(
    design: Design, weights: Vector | None = None, *, ties: Ties = "davidson"
) -> Fit:
    """Return the parameters of greatest likelihood, battles weighted.

    Raises `NoMaximumError` where they are infinite or not determined.
    """
    if not design.connected:
        raise NoMaximumError("No chain of battles connects all models.")
    if weights is None and design.separated():
        raise NoMaximumError("Some models always win: their lead has no bound.")
    counts = design.counts(weights)
    used = counts > 0
    x, y, weight = design.x[used], design.y[used], counts[used]
    tied = bool((y == 1).any())
    if tied and bool((y == 1).all()):
        raise NoMaximumError("Every battle is a tie.")
    climb = _Davidson(x, y, weight) if ties == "davidson" else _RaoKupper(x, y, weight)
    found, height = _climb(climb, x.shape[1], tied=tied)
    own = np.append(found[: design.models - 1], 0.0)
    return Fit(
        strengths=[float(each) for each in own - own.mean()],
        position=float(found[design.models - 1]) if design.positioned else None,
        tie=float(found[-1]) if tied else None,
        log_likelihood=height,
    )


def elo(
    battles: Sequence[Battle],
    models: int,
    *,
    k: float = 4,
    base: float = 10,
    scale: float = 400,
    start: float = 1000,
) -> list[float]:
    """Return Elo's ratings after the battles in their order.

    Source: Elo 1978, "The rating of chessplayers, past and present".
    """
    ratings = [start] * models
    points = {"first": 1.0, "tie": 0.5, "second": 0.0}
    for battle in battles:
        gap = ratings[battle.second] - ratings[battle.first]
        expected = 1 / (1 + base ** (gap / scale))
        change = k * (points[battle.winner] - expected)
        ratings[battle.first] += change
        ratings[battle.second] -= change
    return ratings


class _Davidson:
    """Davidson's log likelihood in the parameters and log nu."""

    start = 0.0

    def __init__(self, x: Vector, y: Vector, weight: Vector) -> None:
        self._x, self._y, self._weight = x, y, weight

    def __call__(
        self, parameters: Vector, *, tied: bool
    ) -> tuple[float, Vector, Vector]:
        x, weight = self._x, self._weight
        tie = np.full(len(x), parameters[-1] if tied else -np.inf)
        half = x @ parameters[: x.shape[1]] / 2
        logits = np.column_stack([half, tie, -half])
        top = logits.max(axis=1, keepdims=True)
        log_p = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        p = np.exp(log_p)
        height = float(weight @ log_p[np.arange(len(x)), self._y])
        sign = (1.0 - self._y) / 2
        lean = (p[:, 0] - p[:, 2]) / 2
        slope = x.T @ (weight * (sign - lean))
        bend = (p[:, 0] + p[:, 2]) / 4 - lean**2
        curve = -(x.T * (weight * bend)) @ x
        if not tied:
            return height, slope, curve
        cross = -(x.T @ (weight * -lean * p[:, 1]))
        own = -float(weight @ (p[:, 1] * (1 - p[:, 1])))
        slope = np.append(slope, weight @ ((self._y == 1) - p[:, 1]))
        return height, slope, _bordered(curve, cross, own)


class _RaoKupper:
    """Rao and Kupper's log likelihood in the parameters and log theta > 0.

    With eta = log theta: log P(first) = log s(d - eta), log P(second) = log s(-d -
    eta), and log P(tie) is their sum and log(e^(2 eta) - 1).
    """

    start = 1.0

    def __init__(self, x: Vector, y: Vector, weight: Vector) -> None:
        self._x, self._weight = x, weight
        self._won = (y <= 1).astype(float)
        self._lost = (y >= 1).astype(float)
        self._ties = float(weight @ (y == 1))

    def __call__(
        self, parameters: Vector, *, tied: bool
    ) -> tuple[float, Vector, Vector]:
        x, weight = self._x, self._weight
        eta = float(parameters[-1]) if tied else 0.0
        d = x @ parameters[: x.shape[1]]
        if tied and eta <= 0:
            return -np.inf, np.zeros(len(parameters)), np.eye(len(parameters))
        won, lost = weight * self._won, weight * self._lost
        height = float(won @ log_expit(d - eta) + lost @ log_expit(-d - eta))
        p, q = expit(d - eta), expit(-d - eta)
        slope = x.T @ (won * (1 - p) - lost * (1 - q))
        bend_p, bend_q = won * p * (1 - p), lost * q * (1 - q)
        curve = -(x.T * (bend_p + bend_q)) @ x
        if not tied:
            return height, slope, curve
        shrink = exp(-2 * eta)
        height += self._ties * (2 * eta + log(1 - shrink))
        up = -float((won * (1 - p) + lost * (1 - q)).sum())
        up += self._ties * 2 / (1 - shrink)
        cross = x.T @ (bend_p - bend_q)
        own = -float((bend_p + bend_q).sum())
        own -= self._ties * 4 * shrink / (1 - shrink) ** 2
        slope = np.append(slope, up)
        return height, slope, _bordered(curve, cross, own)


def _bordered(inner: Vector, edge: Vector, corner: float) -> Vector:
    whole = np.empty((len(edge) + 1, len(edge) + 1))
    whole[:-1, :-1] = inner
    whole[:-1, -1] = whole[-1, :-1] = edge
    whole[-1, -1] = corner
    return whole


def _climb(
    likelihood: _Davidson | _RaoKupper, width: int, *, tied: bool
) -> tuple[Vector, float]:
    at = np.zeros(width)
    if tied:
        at = np.append(at, likelihood.start)
    height, slope, curve = likelihood(at, tied=tied)
    for _ in range(ROUNDS):
        try:
            step = -np.linalg.solve(curve, slope)
        except np.linalg.LinAlgError as error:
            raise NoMaximumError("The battles do not determine it.") from error
        if float(slope @ step) < SMALL * SMALL * (1 + abs(height)):
            return at, height
        share = 1.0
        while True:
            following = likelihood(at + share * step, tied=tied)
            if following[0] >= height - SMALL or share < SMALL:
                break
            share /= 2
        at = at + share * step
        height, slope, curve = following
        if float(np.abs(at).max()) > FAR:
            break
    raise NoMaximumError("The likelihood has no maximum.")
