"""What describes a column of numbers, or a share, with intervals."""

from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit
from scipy.stats import binomtest

from services.experiments.analysis.results import Interval, Rate, Spread


Numbers = npt.NDArray[Any]

CONFIDENCE = 0.95
PAIR = 2


def spread(values: Numbers) -> Spread | None:
    """Return how numbers are spread, None of no numbers."""
    n = len(values)
    if not n:
        return None
    mean = float(values.mean())
    variance = float(values.var(ddof=1)) if n >= PAIR else 0.0
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    return Spread(
        n=n,
        mean=mean,
        variance=variance,
        deviation=sqrt(variance),
        variation=sqrt(variance) / abs(mean) if mean else None,
        least=float(values.min()),
        lower_quartile=float(quartiles[0]),
        median=float(quartiles[1]),
        upper_quartile=float(quartiles[2]),
        most=float(values.max()),
        interval=mean_interval(mean, variance, n),
    )


def known(values: Numbers) -> Numbers:
    """Return the values that are known."""
    return values[~np.isnan(values)]


def spread_of(values: Numbers | None) -> Spread | None:
    """Return how the values that are known are spread, None of none."""
    return None if values is None else spread(known(values))


def mean_interval(mean: float, variance: float, n: int) -> Interval | None:
    """Return Student's interval of a mean, None of a single number."""
    if n < PAIR:
        return None
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * sqrt(variance / n)
    return Interval(
        low=mean - half, high=mean + half, confidence=CONFIDENCE, method="t"
    )


def rate(count: int, n: int) -> Rate:
    """Return a share with Wilson's interval."""
    if not n:
        return Rate(n=0, count=0, share=None, interval=None)
    found = binomtest(count, n).proportion_ci(CONFIDENCE, method="wilson")
    interval = Interval(
        low=float(found.low),
        high=float(found.high),
        confidence=CONFIDENCE,
        method="wilson",
    )
    return Rate(n=n, count=count, share=count / n, interval=interval)


def ratio(part: float, whole: float) -> float | None:
    """Return a quotient, None where there is nothing to divide by."""
    return part / whole if whole else None


def lead(one: float, other: float) -> float:
    """Return by how much one leads: (a - b) / (|a| + |b|), from -1 to 1, 0 for 0, 0."""
    total = abs(one) + abs(other)
    return (one - other) / total if total else 0.0


def entropy(counts: Numbers) -> float:
    """Return Shannon's entropy of counts, in nats."""
    total = counts.sum()
    if total <= 0:
        return 0.0
    shares = counts[counts > 0] / total
    return float(-(shares * np.log(shares)).sum())


def slope(x: Numbers, y: Numbers) -> tuple[float, Interval | None]:
    """Return the slope of least squares, with Student's interval."""
    n = len(x)
    spread_x = float(((x - x.mean()) ** 2).sum()) if n else 0.0
    if n < PAIR or not spread_x:
        return 0.0, None
    found = float(((x - x.mean()) * (y - y.mean())).sum()) / spread_x
    if n == PAIR:
        return found, None
    residuals = y - y.mean() - found * (x - x.mean())
    error = sqrt(float((residuals**2).sum()) / (n - PAIR) / spread_x)
    half = float(stdtrit(n - PAIR, (1 + CONFIDENCE) / 2)) * error
    return found, Interval(
        low=found - half, high=found + half, confidence=CONFIDENCE, method="t"
    )
