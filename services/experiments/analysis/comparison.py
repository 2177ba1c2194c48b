"""Two designs compared over replicates: differences, intervals, effect sizes.

The unit is a run; its steps are not independent. Runs of the same seed are paired where
every seed of both designs is in the other: common random numbers then cancel.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Final

import msgspec
import numpy as np
from scipy.special import ndtri, stdtrit
from scipy.stats import false_discovery_control, mannwhitneyu, ttest_ind, ttest_rel

from services.experiments.analysis.columns import Floats
from services.experiments.analysis.learning import hedges
from services.experiments.analysis.measures import CONFIDENCE, mean_interval, spread
from services.experiments.analysis.results import (
    Analysis,
    Band,
    Comparison,
    Difference,
    Interval,
    Population,
    Replicate,
    Spread,
)


MIN_RUNS: Final = 2
OUTSIDE: Final = (1 - CONFIDENCE) / 2


def compare(first: Sequence[Replicate], second: Sequence[Replicate]) -> Comparison:
    """Return how two designs differ in every figure that both have."""
    seeds = [sorted(map(_seed, runs)) for runs in (first, second)]
    paired = (
        seeds[0] == seeds[1]
        and len(set(seeds[0])) == len(seeds[0]) > 1
        and all(each.seed is not None for each in first)
    )
    one, two = sorted(first, key=_seed), sorted(second, key=_seed)
    names = [
        name
        for name in (one[0].figures if one else {})
        if two and name in two[0].figures
    ]
    found = [_difference(name, one, two, paired=paired) for name in names]
    p_values = [each.p_value for each in found if each.p_value is not None]
    corrected = iter(false_discovery_control(p_values) if p_values else ())
    return Comparison(
        paired=paired,
        first_runs=len(one),
        second_runs=len(two),
        differences=[
            each
            if each.p_value is None
            else msgspec.structs.replace(each, corrected=float(next(corrected)))
            for each in found
        ],
        first_band=band(one),
        second_band=band(two),
    )


def band(runs: Sequence[Replicate]) -> Band:
    """Return the population of runs step by step."""
    length = max((len(each.total_agents) for each in runs), default=0)
    counts = np.zeros((len(runs), length))
    for row, each in enumerate(runs):
        counts[row, : len(each.total_agents)] = each.total_agents
    if not length:
        return Band(runs=len(runs), mean=[], low=[], high=[])
    low, high = np.quantile(counts, [OUTSIDE, 1 - OUTSIDE], axis=0)
    return Band(
        runs=len(runs),
        mean=[float(each) for each in counts.mean(axis=0)],
        low=[float(each) for each in low],
        high=[float(each) for each in high],
    )


def figures(analysis: Analysis) -> dict[str, float | None]:
    """Return the figures of a run by which designs are compared."""
    found: dict[str, float | None] = {}
    if analysis.population is not None:
        found |= _of_population(analysis.population)
    if analysis.resources is not None:
        found["mean_resources"] = _mean(analysis.resources.total)
        found["consumed"] = analysis.resources.consumed_total
        found["utilisation"] = analysis.resources.utilisation
    if analysis.survival is not None:
        found["mean_life"] = analysis.survival.overall.restricted_mean
    if analysis.dominance is not None:
        found["switches"] = float(len(analysis.dominance.switches))
        for score in analysis.dominance.scores:
            found[f"composite_dominance_{score.agent_type}"] = score.composite
    return found


def _of_population(population: Population) -> dict[str, float | None]:
    return {
        "final_agents": float(population.total.final),
        "peak_agents": float(population.total.peak),
        "mean_agents": population.total.spread.mean,
        "stability": population.total.stability,
        "births": population.births,
        "deaths": population.deaths,
        "max_generation": population.max_generation,
        "reproduction_rate": population.reproduction_rate,
        "conflict_rate": population.conflict_rate,
        "cooperation_rate": population.cooperation_rate,
        "type_entropy": population.type_entropy,
        "health_maintenance": population.health_maintenance,
        "genetic_diversity": _mean(population.genetic_diversity),
        "mean_reward": _mean(population.reward),
        **{f"final_{each.agent_type}_agents": each.final for each in population.types},
    }


def _mean(found: Spread | None) -> float | None:
    return None if found is None else found.mean


def _seed(run: Replicate) -> int:
    return -1 if run.seed is None else run.seed


def _difference(
    name: str, one: Sequence[Replicate], two: Sequence[Replicate], *, paired: bool
) -> Difference:
    left, right = _values(one, name), _values(two, name)
    if paired:
        both = ~np.isnan(left) & ~np.isnan(right)
        left, right = left[both], right[both]
    else:
        left, right = left[~np.isnan(left)], right[~np.isnan(right)]
    if min(len(left), len(right)) < MIN_RUNS:
        return _untested(name, left, right)
    return (_paired if paired else _welch)(name, left, right)


def _welch(name: str, left: Floats, right: Floats) -> Difference:
    n, m = len(left), len(right)
    gap = float(left.mean() - right.mean())
    error = sqrt(float(left.var(ddof=1) / n + right.var(ddof=1) / m))
    interval = Interval(low=gap, high=gap, confidence=CONFIDENCE, method="Welch's t")
    p_value = float(gap == 0)
    if error:
        tested = ttest_ind(left, right, equal_var=False)
        limits = tested.confidence_interval(CONFIDENCE)
        p_value = float(tested.pvalue)
        interval = Interval(
            low=float(limits.low),
            high=float(limits.high),
            confidence=CONFIDENCE,
            method="Welch's t",
        )
    return Difference(
        figure=name,
        method="Welch's t",
        first=spread(left),
        second=spread(right),
        n=n + m,
        difference=gap,
        interval=interval,
        effect=hedges(left, right),
        superiority=float(mannwhitneyu(left, right).statistic) / (n * m),
        detectable=_detectable(error, n + m - 2),
        p_value=p_value,
        corrected=None,
    )


def _paired(name: str, left: Floats, right: Floats) -> Difference:
    gaps = left - right
    n = len(gaps)
    variance = float(gaps.var(ddof=1))
    gap = float(gaps.mean())
    correction = 1 - 3 / (4 * (n - 1) - 1)
    return Difference(
        figure=name,
        method="paired t",
        first=spread(left),
        second=spread(right),
        n=n,
        difference=gap,
        interval=mean_interval(gap, variance, n),
        effect=gap / sqrt(variance) * correction if variance else None,
        superiority=float(((gaps > 0) + (gaps == 0) / 2).mean()),
        detectable=_detectable(sqrt(variance / n), n - 1),
        p_value=float(ttest_rel(left, right).pvalue) if variance else float(gap == 0),
        corrected=None,
    )


def _untested(name: str, left: Floats, right: Floats) -> Difference:
    known = len(left) > 0 and len(right) > 0
    return Difference(
        figure=name,
        method="none",
        first=spread(left),
        second=spread(right),
        n=len(left) + len(right),
        difference=float(left.mean() - right.mean()) if known else None,
        interval=None,
        effect=None,
        superiority=None,
        detectable=None,
        p_value=None,
        corrected=None,
    )


def _detectable(error: float, freedom: int) -> float:
    """Return the difference found with power 0.8: error times (t + z of 0.8)."""
    return error * float(stdtrit(freedom, (1 + CONFIDENCE) / 2) + ndtri(0.8))


def _values(runs: Sequence[Replicate], name: str) -> Floats:
    held = [each.figures.get(name) for each in runs]
    return np.array([np.nan if value is None else value for value in held], dtype=float)
