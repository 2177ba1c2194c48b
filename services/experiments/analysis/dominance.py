"""Which type of agents dominates: at the end, by survival, and over the whole run."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from services.experiments.analysis.columns import NONE, Floats, Ints, Run, Steps
from services.experiments.analysis.measures import ratio
from services.experiments.analysis.results import Dominance, Phase, Score, Switch


MIN_TREND: Final = 4

AREA: Final = 0.2
RECENT_AREA: Final = 0.3
DURATION: Final = 0.2
GROWTH: Final = 0.1
FINAL: Final = 0.2


def dominance(run: Run) -> Dominance | None:
    """Return which type dominates, None of a run whose types have no steps."""
    steps = run.steps
    if not len(steps.step_number) or not steps.types or not steps.every:
        return None
    counts = np.stack([steps.of_type(name) for name in steps.types], axis=1)
    leaders = np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), NONE)
    lives = mean_lives(run) if run.agents.mortal else {}
    scores = composite(steps)
    switches = _switches(steps, leaders)
    return Dominance(
        by_population=_leader(dict(zip(steps.types, counts[-1].tolist(), strict=True))),
        by_survival=_leader(lives),
        composite=_leader({each.agent_type: each.composite for each in scores}),
        mean_lives=lives,
        scores=scores,
        switches=switches,
        switches_per_step=len(switches) / len(leaders),
        mean_period=_periods(steps.types, leaders),
        transitions=_transitions(steps.types, switches),
    )


def mean_lives(run: Run) -> dict[str, float]:
    """Return the mean life of each type that had agents."""
    agents = run.agents
    ends = np.where(agents.death_time == NONE, run.last_step, agents.death_time)
    lives = ends - agents.birth_time
    return {
        name: float(lives[rows].mean())
        for name in agents.agent_type.names
        if (rows := agents.agent_type.rows(name)).any()
    }


def composite(steps: Steps) -> list[Score]:
    """Return each type's composite dominance."""
    types = steps.types
    counts = np.stack([steps.of_type(name) for name in types], axis=1)
    n = len(counts)
    weights = 1 + np.arange(n) / n
    living = counts.sum(axis=1) > 0
    wins = np.bincount(counts[living].argmax(axis=1), minlength=len(types))
    area = _shares(counts.sum(axis=0))
    recent = _shares((counts * weights[:, None]).sum(axis=0))
    duration = _shares(wins)
    final = _shares(counts[-1])
    growth = [_growth(counts[:, at]) for at in range(len(types))]
    return [
        Score(
            agent_type=name,
            area=float(area[at]),
            recent_area=float(recent[at]),
            duration=float(duration[at]),
            growth=growth[at],
            final=float(final[at]),
            composite=float(
                AREA * area[at]
                + RECENT_AREA * recent[at]
                + DURATION * duration[at]
                + GROWTH * growth[at]
                + FINAL * final[at]
            ),
        )
        for at, name in enumerate(types)
    ]


def _shares(values: Ints | Floats) -> Floats:
    total = values.sum()
    return values / total if total > 0 else np.zeros(len(values))


def _growth(counts: Ints) -> float:
    if len(counts) < MIN_TREND:
        return 0.0
    half = counts[len(counts) // 2 :]
    return max(0.0, (ratio(float(half[-1]), float(half.mean())) or 1.0) - 1)


def _leader(values: dict[str, float]) -> str | None:
    best = max(values, key=values.__getitem__, default=None)
    return best if best is not None and values[best] > 0 else None


def _switches(steps: Steps, leaders: Ints) -> list[Switch]:
    lived = np.flatnonzero(leaders != NONE)
    phases: tuple[Phase, ...] = ("early", "middle", "late")
    return [
        Switch(
            step=int(steps.step_number[after]),
            loser=steps.types[leaders[before]],
            winner=steps.types[leaders[after]],
            phase=phases[min(2, 3 * int(after) // len(leaders))],
        )
        for before, after in pairwise(lived)
        if leaders[before] != leaders[after]
    ]


def _periods(types: Sequence[str], leaders: Ints) -> dict[str, float]:
    lived = leaders[leaders != NONE]
    starts = np.flatnonzero(np.concatenate([[True], lived[1:] != lived[:-1]]))
    lengths = np.diff(np.append(starts, len(lived)))
    return {
        name: float(lengths[lived[starts] == at].mean())
        for at, name in enumerate(types)
        if len(lived) and (lived == at).any()
    }


def _transitions(
    types: Sequence[str], switches: list[Switch]
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for loser in types:
        lost = [each.winner for each in switches if each.loser == loser]
        if lost:
            found[loser] = {
                winner: lost.count(winner) / len(lost)
                for winner in types
                if winner in lost
            }
    return found
