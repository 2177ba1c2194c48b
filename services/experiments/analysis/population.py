"""How a population lived: sizes, shares, turnover, diversity, rhythm, resources."""

from typing import Final

import numpy as np
from scipy.signal import find_peaks

from services.experiments.analysis.columns import (
    Floats,
    Ints,
    Resources,
    Run,
    Steps,
)
from services.experiments.analysis.measures import (
    entropy,
    known,
    ratio,
    slope,
    spread,
    spread_of,
)
from services.experiments.analysis.results import (
    Hotspot,
    Population,
    ResourceUse,
    Rhythm,
    Size,
    Spread,
)


MIN_TYPES: Final = 2
HOTSPOTS: Final = 5
MIN_RHYTHM: Final = 8


def population(run: Run) -> Population | None:
    """Return how a population lived, None of a run without steps or their agents."""
    steps = run.steps
    if not len(steps.step_number) or steps.total_agents is None:
        return None
    agent_steps = int(steps.total_agents.sum()) if steps.every else None
    births = None
    if steps.births is not None:
        births = int(steps.births[steps.step_number > 0].sum())
    encounters = _last(steps.combat_encounters)
    successes = _last(steps.successful_attacks)
    shared = _last(steps.resources_shared)
    generations = steps.current_max_generation
    interactions = None
    if run.actions is not None and run.complete:
        interactions = _ratio(len(run.actions.agent_id), agent_steps)
    return Population(
        steps=len(steps.step_number),
        total=_size("all", steps, steps.total_agents),
        types=[_size(name, steps, steps.of_type(name)) for name in steps.types],
        births=births,
        deaths=None if steps.deaths is None else int(steps.deaths.sum()),
        reproduction_rate=_ratio(births, agent_steps),
        conflict_rate=_ratio(encounters, agent_steps),
        cooperation_rate=_ratio(shared, agent_steps),
        conflict_to_cooperation=_ratio(encounters, shared),
        attack_success=_ratio(successes, encounters),
        interaction_rate=interactions,
        type_entropy=_type_entropy(steps),
        max_generation=None if generations is None else int(generations.max()),
        genetic_diversity=spread_of(steps.genetic_diversity),
        dominant_genome=spread_of(steps.dominant_genome_ratio),
        health_maintenance=_maintained(steps.average_agent_health, run.full_health),
        age=spread_of(steps.average_agent_age),
        reward=spread_of(steps.average_reward),
        rhythm=rhythm(steps.step_number, steps.total_agents) if steps.every else None,
    )


def resource_use(run: Run) -> ResourceUse | None:
    """Return how resources were used, None of a run without steps."""
    steps = run.steps
    if not len(steps.step_number):
        return None
    eaten = steps.resources_consumed
    consumed = _sum(eaten)
    peak = None if eaten is None else int(steps.step_number[int(eaten.argmax())])
    return ResourceUse(
        steps=len(steps.step_number),
        total=spread_of(steps.total_resources),
        per_agent=spread_of(steps.average_agent_resources),
        consumed_total=consumed,
        consumed=spread_of(eaten),
        peak_consumption_step=peak,
        utilisation=_ratio(consumed, _sum(steps.total_resources)),
        consumed_per_agent_step=_ratio(consumed, _sum(steps.total_agents)),
        efficiency=spread_of(steps.resource_efficiency),
        entropy=spread_of(steps.resource_distribution_entropy),
        hotspots=[] if run.resources is None else hotspots(run.resources),
    )


def rhythm(step_number: Ints, counts: Ints) -> Rhythm:
    """Return the peaks, troughs and strongest period of counts around their trend.

    A peak rises above its surroundings by half a standard deviation or more.
    """
    prominence = max(1.0, float(counts.std()) / 2) if len(counts) else 1.0
    peaks, _ = find_peaks(counts, prominence=prominence)
    troughs, _ = find_peaks(-counts, prominence=prominence)
    period = strength = None
    if len(counts) >= MIN_RHYTHM:
        per_step, _ = slope(step_number, counts)
        middle = step_number - step_number.mean()
        around = counts - counts.mean() - per_step * middle
        power = np.abs(np.fft.rfft(around)) ** 2
        power[0] = 0.0
        if power.sum() > len(counts) * np.finfo(float).eps * float((counts**2).sum()):
            best = int(power.argmax())
            period = len(counts) / best
            strength = float(power[best] / power.sum())
    return Rhythm(
        peaks=[int(step_number[at]) for at in peaks],
        troughs=[int(step_number[at]) for at in troughs],
        period=period,
        strength=strength,
    )


def hotspots(resources: Resources) -> list[Hotspot]:
    """Return the nodes with the largest mean amounts."""
    told = ~np.isnan(resources.amount)
    nodes, first, place = np.unique(
        resources.resource_id[told], return_index=True, return_inverse=True
    )
    if not len(nodes):
        return []
    x, y = resources.position_x[told], resources.position_y[told]
    means = np.bincount(place, resources.amount[told]) / np.bincount(place)
    over_all = float(means.mean())
    order = np.argsort(-means, kind="stable")[:HOTSPOTS]
    return [
        Hotspot(
            resource_id=int(nodes[at]),
            position_x=_number(x[first[at]]),
            position_y=_number(y[first[at]]),
            mean_amount=float(means[at]),
            times_mean=float(means[at]) / over_all if over_all else 0.0,
        )
        for at in order
    ]


def _size(name: str, steps: Steps, counts: Ints) -> Size:
    peak = int(counts.argmax())
    lived = np.flatnonzero(counts)
    gone = None
    if len(lived) and counts[-1] == 0:
        gone = int(steps.step_number[lived[-1] + 1])
    per_step, interval = slope(steps.step_number, counts)
    momentum = ratio(float(steps.step_number[-1]) * int(counts[peak]), int(counts[0]))
    total = counts if steps.total_agents is None else steps.total_agents
    shares = counts[total > 0] / total[total > 0]
    return Size(
        agent_type=name,
        initial=int(counts[0]),
        final=int(counts[-1]),
        peak=int(counts[peak]),
        peak_step=int(steps.step_number[peak]),
        extinct_step=gone,
        agent_steps=int(counts.sum()) if steps.every else None,
        mean_share=float(shares.mean()) if len(shares) else None,
        spread=_spread(counts),
        stability=ratio(int(counts.min()), int(counts[peak])),
        momentum=momentum,
        trend=per_step,
        trend_interval=interval,
    )


def _type_entropy(steps: Steps) -> float | None:
    """Return the mean over steps of the types' entropy, over its largest value."""
    if len(steps.types) < MIN_TYPES:
        return None
    counts = np.stack([steps.of_type(name) for name in steps.types], axis=1)
    living = counts[counts.sum(axis=1) > 0]
    if not len(living):
        return 0.0
    return float(np.mean([entropy(row) for row in living]) / np.log(len(steps.types)))


def _spread(values: Ints | Floats) -> Spread:
    found = spread(values)
    if found is None:
        message = "A run without steps has nothing to spread."
        raise ValueError(message)
    return found


def _maintained(health: Floats | None, full: float | None) -> float | None:
    """Return the mean health over full health."""
    if health is None or full is None:
        return None
    return float(known(health).mean()) / full


def _last(totals: Ints | Floats | None) -> float | None:
    return None if totals is None else float(totals[-1])


def _sum(values: Ints | Floats | None) -> float | None:
    return None if values is None else float(values.sum())


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None else ratio(part, whole)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
