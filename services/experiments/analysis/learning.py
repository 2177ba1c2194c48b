"""Whether agents learn: the reward of each module's decisions over time."""

from itertools import pairwise
from math import sqrt
from typing import Final

import numpy as np

from services.experiments.analysis.columns import (
    NONE,
    Experiences,
    Flags,
    Floats,
    Ints,
    Run,
)
from services.experiments.analysis.measures import entropy, ratio, slope, spread
from services.experiments.analysis.results import CurvePoint, ModuleProgress


THIRD: Final = 3
BINS: Final = 20
MIN_GROUP: Final = 2


def progress(run: Run) -> list[ModuleProgress] | None:
    """Return how each module did, None where no experiences are recorded."""
    experiences = run.experiences
    if experiences is None:
        return None
    paid = ~np.isnan(experiences.reward)
    return [
        _progress(name, experiences, rows)
        for name in experiences.module_type.names
        if (rows := experiences.module_type.rows(name) & paid).any()
    ]


def hedges(one: Floats, two: Floats) -> float | None:
    """Return Hedges' g of two samples: their difference over the pooled deviation.

    Corrected for small samples by 1 - 3 / (4 df - 1). Source: Hedges 1981.
    """
    n, m = len(one), len(two)
    if n < MIN_GROUP or m < MIN_GROUP:
        return None
    freedom = n + m - 2
    pooled = ((n - 1) * one.var(ddof=1) + (m - 1) * two.var(ddof=1)) / freedom
    if pooled <= 0:
        return None
    correction = 1 - 3 / (4 * freedom - 1)
    return float((one.mean() - two.mean()) / sqrt(float(pooled)) * correction)


def _progress(name: str, experiences: Experiences, rows: Flags) -> ModuleProgress:
    steps = experiences.step_number[rows]
    rewards = experiences.reward[rows]
    choices = experiences.action_taken[rows]
    first, last = int(steps.min()), int(steps.max())
    span = last - first + 1
    early = steps < first + span / THIRD
    late = steps >= last + 1 - span / THIRD
    numbers, place = np.unique(steps, return_inverse=True)
    means = np.bincount(place, rewards) / np.bincount(place)
    trend, interval = slope(numbers, means)
    whole = spread(rewards)
    if whole is None:
        message = "A module without experiences has no progress."
        raise ValueError(message)
    told = choices != NONE
    kinds = len(np.unique(choices[told]))
    return ModuleProgress(
        module_type=name,
        n=len(rewards),
        agents=len(np.unique(experiences.agent_id[rows])),
        reward=whole,
        early=spread(rewards[early]),
        late=spread(rewards[late]),
        effect=hedges(rewards[late], rewards[early]),
        trend=trend,
        trend_interval=interval,
        early_exploration=_explored(choices[early & told], kinds),
        late_exploration=_explored(choices[late & told], kinds),
        curve=_curve(steps, rewards, first, last),
    )


def _explored(choices: Ints, kinds: int) -> float | None:
    """Return how even choices are, 1 where all kinds are as frequent."""
    if not kinds:
        return None
    return ratio(entropy(np.bincount(choices)), float(np.log(kinds)))


def _curve(
    steps: Ints,
    rewards: Floats,
    first: int,
    last: int,
) -> list[CurvePoint]:
    bins = min(BINS, last - first + 1)
    edges = first + np.arange(bins + 1) * (last - first + 1) // bins
    found = []
    for low, high in pairwise(edges):
        rows = (steps >= low) & (steps < high)
        if rows.any():
            found.append(
                CurvePoint(
                    first_step=int(low),
                    last_step=int(high) - 1,
                    n=int(rows.sum()),
                    mean_reward=float(rewards[rows].mean()),
                )
            )
    return found
