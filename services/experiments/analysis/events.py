"""What stands out in a run: when it happened, and how severe it was, from 0 to 1.

    extinction            of a type: the share of all agents that it once had at most;
                          of everybody: 1
    crash, boom           numbers fell or rose by a quarter or more within ten steps:
                          the fall over what there was, the rise over what there is
    depletion             resources fell below a tenth of the most there had been:
                          1 less what is left of it
    takeover              another type became the most numerous: its share of all
    combat, births, deaths   in one step far more than usual: 1 less usual over it

Far more than usual is a robust z-score, 0.6745 (x - median) / MAD, above 3.5 (Iglewicz
and Hoaglin 1993), and at least five. Events of one kind that touch are one, told at
their worst step.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from services.experiments.analysis.columns import Flags, Floats, Ints, Run, Steps
from services.experiments.analysis.dominance import dominance
from services.experiments.analysis.results import Kind, Occurrence


WINDOW: Final = 10
CHANGE: Final = 0.25
DEPLETED: Final = 0.1
OUTLIER: Final = 3.5
NORMAL: Final = 0.6745
FEW: Final = 5


def significant_events(run: Run, *, least: float = 0.0) -> list[Occurrence]:
    """Return what stands out in order of steps, as severe as `least` or more."""
    if not len(run.steps.step_number) or not run.steps.every:
        return []
    found = [
        *_of_numbers(run),
        *_depletions(run.steps),
        *_bursts(run.steps, "combat", _fought(run.steps.combat_encounters)),
        *_bursts(run.steps, "births", _after_founding(run.steps.births)),
        *_bursts(run.steps, "deaths", run.steps.deaths),
    ]
    severe = [each for each in found if each.severity >= least]
    return sorted(severe, key=lambda each: (each.step, -each.severity, each.kind))


def _of_numbers(run: Run) -> Iterator[Occurrence]:
    """Yield what happened to how many agents there are."""
    total = run.steps.total_agents
    if total is not None:
        yield from _extinctions(run.steps, total)
        yield from _changes(run.steps, total)
        yield from _takeovers(run, total)


def _extinctions(steps: Steps, total: Ints) -> Iterator[Occurrence]:
    for name in (*steps.types, "all"):
        counts = total if name == "all" else steps.of_type(name)
        lived = np.flatnonzero(counts)
        if not len(lived) or counts[-1]:
            continue
        shares = counts[lived] / total[lived]
        yield Occurrence(
            step=int(steps.step_number[lived[-1] + 1]),
            kind="extinction",
            subject=name,
            severity=float(shares.max()),
            before=float(counts[lived[-1]]),
            after=0.0,
        )


def _changes(steps: Steps, total: Ints) -> Iterator[Occurrence]:
    counts = total.astype(float)
    before = counts[np.maximum(np.arange(len(counts)) - WINDOW, 0)]
    fell = np.divide(
        before - counts, before, out=np.zeros_like(counts), where=before > 0
    )
    rose = np.divide(
        counts - before, counts, out=np.zeros_like(counts), where=counts > 0
    )
    yield from _worst(steps, ("crash", "all"), fell >= CHANGE, fell, (before, counts))
    yield from _worst(
        steps,
        ("boom", "all"),
        rose >= CHANGE / (1 + CHANGE),
        rose,
        (before, counts),
    )


def _depletions(steps: Steps) -> Iterator[Occurrence]:
    there = steps.total_resources
    if there is None:
        return
    most = np.maximum.accumulate(there)
    left = np.divide(there, most, out=np.ones_like(most), where=most > 0)
    yield from _worst(
        steps,
        ("depletion", "resources"),
        left < DEPLETED,
        1 - left,
        (most, there),
    )


def _takeovers(run: Run, total: Ints) -> Iterator[Occurrence]:
    found = dominance(run)
    if found is None:
        return
    place = {int(step): at for at, step in enumerate(run.steps.step_number)}
    for switch in found.switches:
        at = place[switch.step]
        own = float(run.steps.of_type(switch.winner)[at])
        yield Occurrence(
            step=switch.step,
            kind="takeover",
            subject=switch.winner,
            severity=own / float(total[at]),
            before=float(run.steps.of_type(switch.loser)[at]),
            after=own,
        )


def _bursts(steps: Steps, kind: Kind, counts: Ints | None) -> Iterator[Occurrence]:
    if counts is None:
        return
    middle = float(np.median(counts))
    scale = float(np.median(np.abs(counts - middle)))
    scores = NORMAL * (counts - middle) / scale if scale else counts - middle
    much = (scores > OUTLIER) & (counts >= FEW)
    severity = 1 - np.divide(middle, counts, out=np.ones(len(counts)), where=counts > 0)
    usual = np.full(len(counts), middle)
    yield from _worst(
        steps, (kind, "all"), much, severity, (usual, counts.astype(float))
    )


def _fought(encounters: Ints | None) -> Ints | None:
    """Return the encounters of each step."""
    return None if encounters is None else np.diff(encounters, prepend=0)


def _after_founding(births: Ints | None) -> Ints | None:
    """Return births without those that founded the population."""
    if births is None:
        return None
    later = births.copy()
    later[0] = 0
    return later


def _worst(
    steps: Steps,
    what: tuple[Kind, str],
    rows: Flags,
    severity: Floats,
    change: tuple[Floats, Floats],
) -> Iterator[Occurrence]:
    """Yield one event for each stretch of rows, at its most severe step."""
    kind, subject = what
    before, after = change
    edges = np.flatnonzero(
        np.diff(np.concatenate([[False], rows, [False]]).astype(int))
    )
    for start, end in edges.reshape(-1, 2):
        at = int(start) + int(severity[start:end].argmax())
        yield Occurrence(
            step=int(steps.step_number[at]),
            kind=kind,
            subject=subject,
            severity=float(severity[at]),
            before=float(before[at]),
            after=float(after[at]),
        )
