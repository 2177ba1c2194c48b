"""Shares with intervals that hold for few observations, for groups, and for peeking."""

from collections.abc import Sequence
from math import log, log1p, sqrt
from typing import Final

from scipy.optimize import brentq
from scipy.special import betaln, ndtri
from scipy.stats import binomtest

from services.playgrounds.statistics.results import Interval


TINY: Final = 1e-300

Count = tuple[float, float]
"""Successes, and of how many trials."""


def wilson(successes: float, trials: float, *, confidence: float) -> Interval | None:
    """Return Wilson's score interval of a share; trials may be an effective number.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical
    inference".
    """
    if trials <= 0:
        return None
    low, high = _score(successes / trials, trials, confidence)
    return Interval(low=low, high=high, confidence=confidence, method="wilson")


def clustered_wilson(
    clusters: Sequence[Count], *, confidence: float
) -> Interval | None:
    """Return a share's interval where each cluster gave several answers.

    Wilson's interval over the effective sample size n / deff. Source: Franco, Little,
    Louis and Slud 2019, "Comparative study of confidence intervals for proportions in
    complex sample surveys".
    """
    trials = sum(n for _, n in clusters)
    if not trials:
        return None
    if all(n == 1 for _, n in clusters):
        return wilson(sum(c for c, _ in clusters), trials, confidence=confidence)
    share = sum(c for c, _ in clusters) / trials
    low, high = _score(share, effective_size(clusters), confidence)
    method = "wilson over the effective sample size, clustered by tester"
    return Interval(low=low, high=high, confidence=confidence, method=method)


def effective_size(clusters: Sequence[Count]) -> float:
    """Return how many independent answers would tell as much as the clusters do.

    n / max(1, deff), with deff the linearised variance of the share over p(1-p)/n.
    Where all answers agree only the clusters count.
    """
    trials = sum(n for _, n in clusters)
    share = sum(c for c, _ in clusters) / trials
    groups = len(clusters)
    if groups == 1 or share in {0, 1}:
        return groups
    spread = sum((c - share * n) ** 2 for c, n in clusters)
    variance = groups / (groups - 1) * spread / trials**2
    effect = variance / (share * (1 - share) / trials)
    return trials / max(1.0, effect)


def newcombe(first: Count, second: Count, *, confidence: float) -> Interval:
    """Return the interval of the difference of two independent shares.

    Source: Newcombe 1998, "Interval estimation for the difference between independent
    proportions", method 10.
    """
    p, q = first[0] / first[1], second[0] / second[1]
    p_low, p_high = _score(p, first[1], confidence)
    q_low, q_high = _score(q, second[1], confidence)
    return Interval(
        low=p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2),
        high=p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2),
        confidence=confidence,
        method="newcombe",
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact p-value that discordant pairs fall either way alike."""
    pairs = only_first + only_second
    if not pairs:
        return 1.0
    return float(binomtest(only_first, pairs, 0.5).pvalue)


def always_valid(
    successes: float, trials: float, *, confidence: float
) -> Interval | None:
    """Return an interval that holds at every look at once, whenever one stops.

    The shares p at which the beta-binomial mixture (prior 1/2, 1/2) is at most
    1/(1-confidence) times as likely as p. Source: Robbins 1970, "Statistical methods
    related to the law of the iterated logarithm"; Howard et al. 2021.
    """
    if trials <= 0:
        return None
    failures = trials - successes
    return Interval(
        low=_lowest(successes, failures, confidence),
        high=1 - _lowest(failures, successes, confidence),
        confidence=confidence,
        method="beta-binomial mixture, valid at every look",
    )


def _lowest(successes: float, failures: float, confidence: float) -> float:
    if not successes:
        return 0.0
    mixture = float(betaln(successes + 0.5, failures + 0.5) - betaln(0.5, 0.5))
    bound = -log(1 - confidence)

    def excess(share: float) -> float:
        lost = failures * log1p(-share) if failures else 0.0
        return mixture - successes * log(share) - lost - bound

    middle = successes / (successes + failures)
    return float(brentq(excess, TINY, middle, xtol=1e-14))


def _score(share: float, trials: float, confidence: float) -> tuple[float, float]:
    z = float(ndtri((1 + confidence) / 2))
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / scale
    low = 0.0 if share == 0 else middle - half
    return low, 1.0 if share == 1 else middle + half
