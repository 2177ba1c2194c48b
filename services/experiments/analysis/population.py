"""How a population lived: sizes, shares, turnover, diversity, rhythm, resources."""

from typing import Final

import numpy as np
from scipy.signal import find_peaks

from services.experiments.analysis.columns import (
    TYPES,
    Floats,
    Ints,
    Resources,
    Run,
    Steps,
)
from services.experiments.analysis.measures import entropy, ratio, slope, spread
from services.experiments.analysis.results import (
    Hotspot,
    Population,
    ResourceUse,
    Rhythm,
    Size,
    Spread,
)


FULL_HEALTH: Final = 100.0
HOTSPOTS: Final = 5
MIN_RHYTHM: Final = 8


def population(run: Run) -> Population | None:
    """Return how a population lived, None of a run without steps."""
    steps = run.steps
    if not len(steps.step_number):
        return None
    agent_steps = int(steps.total_agents.sum())
    births = int(steps.births[steps.step_number > 0].sum())
    encounters = int(steps.combat_encounters[-1])
    shared = float(steps.resources_shared[-1])
    interactions = None
    if run.actions is not None and run.complete:
        interactions = ratio(len(run.actions.agent_id), agent_steps)
    return Population(
        steps=len(steps.step_number),
        total=_size("all", steps, steps.total_agents),
        types=[_size(name, steps, steps.of_type(name)) for name in TYPES],
        births=births,
        deaths=int(steps.deaths.sum()),
        reproduction_rate=ratio(births, agent_steps),
        conflict_rate=ratio(encounters, agent_steps),
        cooperation_rate=ratio(shared, agent_steps),
        conflict_to_cooperation=ratio(encounters, shared),
        attack_success=ratio(int(steps.successful_attacks[-1]), encounters),
        interaction_rate=interactions,
        type_entropy=_type_entropy(steps),
        max_generation=int(steps.current_max_generation.max()),
        genetic_diversity=_spread(steps.genetic_diversity),
        dominant_genome=_spread(steps.dominant_genome_ratio),
        health_maintenance=float(steps.average_agent_health.mean()) / FULL_HEALTH,
        age=_spread(steps.average_agent_age),
        reward=_spread(steps.average_reward),
        rhythm=rhythm(steps.step_number, steps.total_agents),
    )


def resource_use(run: Run) -> ResourceUse | None:
    """Return how resources were used, None of a run without steps."""
    steps = run.steps
    if not len(steps.step_number):
        return None
    consumed = float(steps.resources_consumed.sum())
    return ResourceUse(
        steps=len(steps.step_number),
        total=_spread(steps.total_resources),
        per_agent=_spread(steps.average_agent_resources),
        consumed_total=consumed,
        consumed=_spread(steps.resources_consumed),
        peak_consumption_step=int(
            steps.step_number[int(steps.resources_consumed.argmax())]
        ),
        utilisation=ratio(consumed, float(steps.total_resources.sum())),
        consumed_per_agent_step=ratio(consumed, int(steps.total_agents.sum())),
        efficiency=_spread(steps.resource_efficiency),
        entropy=_spread(steps.resource_distribution_entropy),
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
    nodes, first, place = np.unique(
        resources.resource_id, return_index=True, return_inverse=True
    )
    if not len(nodes):
        return []
    means = np.bincount(place, resources.amount) / np.bincount(place)
    over_all = float(means.mean())
    order = np.argsort(-means, kind="stable")[:HOTSPOTS]
    return [
        Hotspot(
            resource_id=int(nodes[at]),
            position_x=float(resources.position_x[first[at]]),
            position_y=float(resources.position_y[first[at]]),
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
    living = steps.total_agents > 0
    shares = counts[living] / steps.total_agents[living]
    return Size(
        agent_type=name,
        initial=int(counts[0]),
        final=int(counts[-1]),
        peak=int(counts[peak]),
        peak_step=int(steps.step_number[peak]),
        extinct_step=gone,
        agent_steps=int(counts.sum()),
        mean_share=float(shares.mean()) if len(shares) else None,
        spread=_spread(counts),
        stability=ratio(int(counts.min()), int(counts[peak])),
        momentum=momentum,
        trend=per_step,
        trend_interval=interval,
    )


def _type_entropy(steps: Steps) -> float:
    """Return the mean over steps of the types' entropy, over its largest value."""
    counts = np.stack([steps.of_type(name) for name in TYPES], axis=1)
    living = counts[counts.sum(axis=1) > 0]
    if not len(living):
        return 0.0
    return float(np.mean([entropy(row) for row in living]) / np.log(len(TYPES)))


def _spread(values: Ints | Floats) -> Spread:
    found = spread(values)
    if found is None:
        message = "A run without steps has nothing to spread."
        raise ValueError(message)
    return found
