"""Means over answers of which several come from one tester."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from scipy.stats import bootstrap

from services.playgrounds.statistics.results import Interval


MIN_CLUSTERS: Final = 2
MOST_CLUSTERS: Final = 2_000

Vector = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def mean_interval(
    clusters: Mapping[str, Sequence[float]],
    *,
    confidence: float,
    draws: int,
    seed: int,
) -> Interval | None:
    """Return the interval of a mean, by resampling whole clusters.

    Bias-corrected and accelerated, which takes leaving out each cluster in turn; of
    very many clusters, where that changes nothing, plain percentiles. Source: Efron
    1987, "Better bootstrap confidence intervals"; clusters as in Davison and Hinkley
    1997, section 3.8.
    """
    if len(clusters) < MIN_CLUSTERS:
        return None
    sums = np.array([sum(values) for values in clusters.values()], dtype=float)
    sizes = np.array([len(values) for values in clusters.values()], dtype=float)
    kind: Literal["BCa", "percentile"] = (
        "BCa" if len(clusters) <= MOST_CLUSTERS else "percentile"
    )
    method = f"{kind} bootstrap over testers, {draws} draws, seed {seed}"
    mean = float(sums.sum() / sizes.sum())
    if np.allclose(sums, mean * sizes, rtol=0, atol=1e-12):
        return Interval(low=mean, high=mean, confidence=confidence, method=method)

    def ratio(some: Vector, many: Vector, axis: int) -> Vector:
        return np.asarray(some.sum(axis=axis) / many.sum(axis=axis))

    found = bootstrap(
        (sums, sizes),
        ratio,
        paired=True,
        vectorized=True,
        axis=-1,
        n_resamples=draws,
        batch=max(1, 1_000_000 // len(sums)),
        confidence_level=confidence,
        method=kind,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(
        low=float(found.low),
        high=float(found.high),
        confidence=confidence,
        method=method,
    )
