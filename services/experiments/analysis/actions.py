"""What agents did: how often, with what reward, in what order, with what effect."""

from typing import Final

import numpy as np

from services.experiments.analysis.columns import NONE, Actions, Flags, Run
from services.experiments.analysis.measures import entropy, rate, ratio, spread_of
from services.experiments.analysis.results import (
    ActionMix,
    ActionStatistics,
    Behaviour,
    Following,
    Sequences,
)


PAIR: Final = 2


def behaviour(run: Run) -> Behaviour | None:
    """Return what agents did, None where no actions are recorded."""
    actions = run.actions
    if actions is None or not len(actions.agent_id):
        return None
    interactive, told = _interactive(actions)
    return Behaviour(
        n=len(actions.agent_id),
        agents=len(np.unique(actions.agent_id)),
        actions=statistics(actions),
        interactive=rate(int(interactive.sum()), int(told.sum())),
        mixes=mixes(run, actions),
        sequences=sequences(actions),
    )


def statistics(actions: Actions) -> list[ActionStatistics]:
    """Return each kind of action that happened, the most frequent first."""
    n = len(actions.agent_id)
    steps = len(np.unique(actions.step_number))
    interactive, told = _interactive(actions)
    change = actions.resources_after - actions.resources_before
    found = []
    for name in actions.action_type.names:
        rows = actions.action_type.rows(name)
        count = int(rows.sum())
        if not count:
            continue
        judged = rows & actions.told
        found.append(
            ActionStatistics(
                action_type=name,
                share=rate(count, n),
                per_step=count / steps,
                success=rate(
                    int((judged & actions.succeeded).sum()), int(judged.sum())
                ),
                reward=spread_of(actions.reward[rows]),
                resources_change=spread_of(change[rows]),
                interactive=rate(
                    int((rows & interactive).sum()), int((rows & told).sum())
                ),
                solo_reward=spread_of(actions.reward[rows & told & ~interactive]),
                interactive_reward=spread_of(actions.reward[rows & interactive]),
            )
        )
    return sorted(found, key=lambda each: -each.share.count)


def mixes(run: Run, actions: Actions) -> list[ActionMix]:
    """Return how each type of agents divides its actions."""
    types = run.agents.types_of(actions.agent_id)
    kinds = len(actions.action_type.names)
    found = []
    for code, name in enumerate(run.agents.agent_type.names):
        counts = np.bincount(actions.action_type.codes[types == code], minlength=kinds)
        n = int(counts.sum())
        if n:
            found.append(
                ActionMix(
                    agent_type=name,
                    n=n,
                    shares={
                        action: float(count / n)
                        for action, count in zip(
                            actions.action_type.names, counts, strict=True
                        )
                    },
                    diversity=ratio(entropy(counts), float(np.log(kinds))) or 0.0,
                )
            )
    return found


def sequences(actions: Actions) -> Sequences:
    """Return which action follows which, agent by agent, from step to step."""
    order = np.lexsort((actions.step_number, actions.agent_id))
    agents = actions.agent_id[order]
    codes = actions.action_type.codes[order]
    rewards = actions.reward[order]
    number = actions.step_number[order]
    same: Flags = (agents[1:] == agents[:-1]) & (number[1:] == number[:-1] + 1)
    before, after, reward = codes[:-1][same], codes[1:][same], rewards[1:][same]
    kinds = len(actions.action_type.names)
    cells = before * kinds + after
    counts = np.bincount(cells, minlength=kinds * kinds).reshape(kinds, kinds)
    told = ~np.isnan(reward)
    paid, sums = (
        np.bincount(cells[told], weights, minlength=kinds * kinds).reshape(kinds, kinds)
        for weights in (None, reward[told])
    )
    usual, often = sums.sum(axis=0), paid.sum(axis=0)
    pairs = []
    for one, two in zip(*np.nonzero(counts), strict=True):
        mean = _mean(sums[one, two], paid[one, two])
        over = _mean(usual[two], often[two])
        pairs.append(
            Following(
                action=actions.action_type.names[one],
                following=actions.action_type.names[two],
                probability=rate(int(counts[one, two]), int(counts[one].sum())),
                reward_after=mean,
                over_usual=None if mean is None or over is None else mean - over,
            )
        )
    return Sequences(
        n=len(cells),
        pairs=sorted(pairs, key=lambda each: -each.probability.count),
        predictability=_predictability(counts),
    )


def _interactive(actions: Actions) -> tuple[Flags, Flags]:
    """Return which actions are at others, and of which that is told."""
    targets = actions.action_target_id
    told = np.full(len(actions.agent_id), targets is not None)
    return told if targets is None else targets != NONE, told


def _mean(total: float, count: int) -> float | None:
    return float(total / count) if count else None


def _predictability(
    counts: np.ndarray[tuple[int, int], np.dtype[np.int64]],
) -> float | None:
    total = counts.sum()
    whole = entropy(counts.sum(axis=0))
    if not total or not whole:
        return None
    known = sum(row.sum() / total * entropy(row) for row in counts)
    return 1 - float(known) / whole
