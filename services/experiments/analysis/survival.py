"""How long agents lived: by type, by generation, and whether that differs.

Who lives at the end is censored, not left out: survival is Kaplan and Meier's estimate
(1958), and types are compared by the log-rank test (Mantel 1966).
"""

from typing import Final

import numpy as np
from scipy.stats import CensoredData, ecdf, logrank

from services.experiments.analysis.columns import NONE, Flags, Ints, Run
from services.experiments.analysis.measures import rate, spread
from services.experiments.analysis.results import Lifespan, LifespanTest, Survival


MIN_GROUP: Final = 2
HALF: Final = 0.5


def survival(run: Run) -> Survival | None:
    """Return how long agents lived, None of a run without agents or their deaths."""
    agents = run.agents
    if not len(agents.agent_id) or not agents.mortal:
        return None
    died = agents.death_time != NONE
    ends = np.where(died, agents.death_time, run.last_step)
    lives = np.maximum(ends - agents.birth_time, 0)
    names = agents.agent_type.names
    rows_of = {name: agents.agent_type.rows(name) for name in names}
    tests = []
    for at, first in enumerate(names):
        for second in names[at + 1 :]:
            found = _test(first, second, lives, died, rows_of)
            if found is not None:
                tests.append(found)
    return Survival(
        overall=lifespan("all", lives, died),
        by_type=[
            lifespan(name, lives[rows], died[rows])
            for name, rows in rows_of.items()
            if rows.any()
        ],
        by_generation=[
            lifespan(
                str(generation),
                lives[agents.generation == generation],
                died[agents.generation == generation],
            )
            for generation in np.unique(agents.generation)
            if generation != NONE
        ],
        tests=tests,
    )


def lifespan(group: str, lives: Ints, died: Flags) -> Lifespan:
    """Return how long a group lived; who did not die lived at least so long."""
    times, chances = curve(lives, died)
    below = np.flatnonzero(chances <= HALF)
    edges = np.concatenate([[0.0], times, [float(lives.max())]])
    heights = np.concatenate([[1.0], chances])
    return Lifespan(
        group=group,
        n=len(lives),
        alive=rate(int((~died).sum()), len(lives)),
        median=float(times[below[0]]) if len(below) else None,
        restricted_mean=float((np.diff(edges) * heights).sum()),
        of_the_dead=spread(lives[died]),
    )


def curve(
    lives: Ints, died: Flags
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    """Return the times of deaths, and the chance to live longer than each."""
    if not died.any():
        return np.zeros(0), np.zeros(0)
    data = CensoredData(uncensored=lives[died], right=lives[~died])
    found = ecdf(data).sf
    at_death = np.isin(found.quantiles, lives[died])
    return (
        np.asarray(found.quantiles[at_death], dtype=float),
        np.asarray(found.probabilities[at_death], dtype=float),
    )


def _test(
    first: str, second: str, lives: Ints, died: Flags, rows_of: dict[str, Flags]
) -> LifespanTest | None:
    groups = [rows_of[first], rows_of[second]]
    if any(rows.sum() < MIN_GROUP or not died[rows].any() for rows in groups):
        return None
    data = [
        CensoredData(uncensored=lives[rows & died], right=lives[rows & ~died])
        for rows in groups
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = logrank(*data)
    if not np.isfinite(found.statistic):  # all who were left died at once
        return None
    return LifespanTest(
        first=first,
        second=second,
        n=int(sum(rows.sum() for rows in groups)),
        statistic=float(found.statistic),
        p_value=float(found.pvalue),
    )
