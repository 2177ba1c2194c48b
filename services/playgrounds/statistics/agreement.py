"""How much raters agree beyond chance: Cohen, Fleiss, Krippendorff.

A unit is what is rated; a rater may have rated any of the units. Ratings are numbers:
for the nominal level their order and distance mean nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Final, Literal

import numpy as np
from scipy.special import stdtrit

from services.playgrounds.statistics.resampling import Vector
from services.playgrounds.statistics.results import Interval


Level = Literal["nominal", "ordinal", "interval", "ratio"]
Units = Mapping[str, Mapping[str, float]]
"""The rating of each rater, by unit and rater."""

PAIR: Final = 2
MIN_RATERS: Final = 3


def pairable(units: Units) -> dict[str, Mapping[str, float]]:
    """Return the units that at least two raters rated."""
    return {unit: given for unit, given in units.items() if len(given) >= PAIR}


def krippendorff(units: Units, level: Level) -> float | None:
    """Return Krippendorff's alpha, or None where nothing varies or is paired.

    1 - observed / expected disagreement. Source: Krippendorff 2011, "Computing
    Krippendorff's alpha-reliability".
    """
    values = _values(units)
    return _alpha(_counts(units, values), np.array(values), level)


def jackknifed(units: Units, level: Level, *, confidence: float) -> Interval | None:
    """Return alpha's interval by leaving out each rater in turn.

    A bootstrap would draw a rater twice, who would agree with themselves. Source:
    Efron and Stein 1981, "The jackknife estimate of variance"; t over raters.
    """
    values = _values(units)
    counts = _counts(units, values)
    whole = _alpha(counts, np.array(values), level)
    own: dict[str, list[tuple[int, int]]] = {}
    for row, given in enumerate(units.values()):
        for rater, value in given.items():
            own.setdefault(rater, []).append((row, values.index(value)))
    paired = {rater for given in pairable(units).values() for rater in given}
    if whole is None or len(paired) < MIN_RATERS:
        return None
    alphas: list[float] = []
    for rater in sorted(paired):
        rest = counts.copy()
        for cell in own[rater]:
            rest[cell] -= 1
        alpha = _alpha(rest, np.array(values), level)
        if alpha is None:
            return None
        alphas.append(alpha)
    count = len(alphas)
    mean = sum(alphas) / count
    error = sqrt((count - 1) / count * sum((each - mean) ** 2 for each in alphas))
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    return Interval(
        low=max(-1.0, whole - half),
        high=min(1.0, whole + half),
        confidence=confidence,
        method="jackknife over testers",
    )


def cohen(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Cohen's kappa of two raters, or None where chance alone agrees fully.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    n = len(pairs)
    if not n:
        return None
    first = Counter(one for one, _ in pairs)
    second = Counter(two for _, two in pairs)
    observed = sum(one == two for one, two in pairs) / n
    expected = sum(first[value] * second[value] for value in first) / n**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def fleiss(units: Units) -> float | None:
    """Return Fleiss' kappa, or None unless every unit has as many ratings.

    Source: Fleiss 1971, "Measuring nominal scale agreement among many raters".
    """
    sizes = {len(given) for given in units.values()}
    if len(sizes) != 1 or (size := sizes.pop()) < PAIR:
        return None
    counted = [Counter(given.values()) for given in units.values()]
    pairs = size * (size - 1)
    observed = sum(
        (sum(many * many for many in counts.values()) - size) / pairs
        for counts in counted
    ) / len(counted)
    totals: Counter[float] = sum(counted, Counter())
    ratings = size * len(counted)
    expected = sum((many / ratings) ** 2 for many in totals.values())
    return None if expected == 1 else (observed - expected) / (1 - expected)


def gloss(kappa: float) -> str:
    """Return Landis and Koch's (1977) word for an agreement; a gloss, no verdict."""
    words = ("slight", "fair", "moderate", "substantial", "almost perfect")
    if kappa < 0:
        return "poor"
    return next(
        (word for at, word in enumerate(words, 1) if kappa <= at / 5), "almost perfect"
    )


def _values(units: Units) -> list[float]:
    return sorted({value for given in units.values() for value in given.values()})


def _counts(units: Units, values: Sequence[float]) -> Vector:
    """Return how often each value was given, by unit."""
    place = {value: at for at, value in enumerate(values)}
    counts = np.zeros((len(units), len(values)))
    for row, given in enumerate(units.values()):
        for value in given.values():
            counts[row, place[value]] += 1
    return counts


def _alpha(counts: Vector, values: Vector, level: Level) -> float | None:
    sizes = counts.sum(axis=1)
    counts, sizes = counts[sizes >= PAIR], sizes[sizes >= PAIR]
    shares = counts / (sizes - 1)[:, None]
    coincidences = shares.T @ counts - np.diag(shares.sum(axis=0))
    totals = counts.sum(axis=0)
    if np.count_nonzero(totals) < PAIR:
        return None
    n = float(totals.sum())
    distances = _distances(values, totals, level)
    observed = float((coincidences * distances).sum()) / n
    expected = float(totals @ distances @ totals) / (n * (n - 1))
    return 1 - observed / expected


def _distances(values: Vector, totals: Vector, level: Level) -> Vector:
    """Return the squared distance of every two values."""
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "ordinal":
        middles = np.cumsum(totals) - totals / 2
        return np.asarray(np.subtract.outer(middles, middles) ** 2)
    gaps = np.subtract.outer(values, values)
    if level == "interval":
        return np.asarray(gaps**2)
    sums = np.add.outer(values, values)
    ratios = np.divide(gaps, sums, out=np.zeros_like(gaps), where=sums != 0)
    return np.asarray(ratios**2)
