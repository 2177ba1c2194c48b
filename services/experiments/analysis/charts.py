"""Charts of one run, or of the runs of conditions with bands, as images.

A line of several runs is their mean at each step, the band holds 95 % of them. A run
that ended early has no agents afterwards, and no means either. Long runs are drawn by
means over equal windows of steps. matplotlib is imported with this module, so it is
imported where charts are drawn, not before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from services.experiments.analysis.captions import CAPTIONS
from services.experiments.analysis.columns import Floats, Ints, Run, Steps
from services.experiments.analysis.recording import ImageKind


POINTS: Final = 400
WINDOWS: Final = 80  # of what is counted in steps, which varies more
WIDE: Final = 100  # letters of a legend side by side
MOST: Final = 6  # conditions that can be told apart
INCHES: Final = (9.0, 4.6)
DPI: Final = 120
LOW, HIGH = 0.025, 0.975
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

UNSIGNED: Final[Mapping[ImageKind, dict[str, Any]]] = {
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None},
}

Values = Callable[[Steps], Any]  # None: not recorded


@dataclass(frozen=True, kw_only=True)
class Line:
    """The runs that are drawn as one: of a condition, or a single one."""

    label: str
    runs: Sequence[Run]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where agents and resources are at a step."""

    step: int
    agents: dict[str, tuple[Floats, Floats]]
    nodes: tuple[Floats, Floats, Floats]


def charts(
    lines: Sequence[Line], place: Place | None, kind: ImageKind = "png"
) -> dict[str, bytes]:
    """Return the charts that can be drawn of what was recorded, by their names."""
    shown = [line for line in lines if line.runs][:MOST]
    if not shown:
        return {}
    known = {
        name
        for name in Steps.__annotations__
        if all(
            getattr(run.steps, name) is not None for each in shown for run in each.runs
        )
    }
    drawn = {
        name: draw(shown) if TAKES[name] <= known else None
        for name, draw in OF_STEPS.items()
    }
    drawn["action_mix"] = action_mix(shown[0].runs[0])
    drawn["map"] = None if place is None else world(place)
    return {
        name: image(figure, kind)
        for name in CAPTIONS
        if (figure := drawn[name]) is not None
    }


def population(lines: Sequence[Line]) -> Figure:
    """Draw how many agents live; of a single run, by type."""
    figure, (axes,) = sheet("Population")
    for number, line in enumerate(lines):
        put(axes, line, number, lambda steps: steps.total_agents, ended=0.0)
    if single(lines):
        types = lines[0].runs[0].steps.types
        for number, name in enumerate(types, start=1):
            put(axes, Line(label=name, runs=lines[0].runs), number, of_type(name))
    axes.set_ylim(bottom=0)
    return finished(figure, axes, "living agents")


def of_type(name: str) -> Values:
    """Return what counts the agents of a type."""

    def count(steps: Steps) -> Ints:
        return steps.of_type(name)

    return count


def born(steps: Steps) -> Ints:
    """Return how many were born; founders, of step 0, were not."""
    births = np.zeros(len(steps.step_number), np.int64)
    return (
        births
        if steps.births is None
        else np.where(steps.step_number > 0, steps.births, births)
    )


def births_and_deaths(lines: Sequence[Line]) -> Figure:
    """Draw how many are born and die in a step."""
    figure, (above, below) = sheet("Births and deaths", rows=2)
    for number, line in enumerate(lines):
        put(above, line, number, born, ended=0.0, points=WINDOWS)
        put(below, line, number, lambda steps: steps.deaths, ended=0.0, points=WINDOWS)
    for axes in (above, below):
        axes.set_ylim(bottom=0)
    above.set_ylabel("births per step")
    return finished(figure, below, "deaths per step", legend=above)


def resources(lines: Sequence[Line]) -> Figure:
    """Draw what lies in the world, and what an agent has."""
    figure, (above, below) = sheet("Resources", rows=2)
    for number, line in enumerate(lines):
        put(above, line, number, lambda steps: steps.total_resources)
        put(below, line, number, lambda steps: steps.average_agent_resources)
    above.set_ylabel("in all nodes (units)")
    return finished(figure, below, "mean of an agent (units)", legend=above)


def rewards(lines: Sequence[Line]) -> Figure:
    """Draw the mean reward that living agents have accumulated."""
    figure, (axes,) = sheet("Rewards")
    for number, line in enumerate(lines):
        put(axes, line, number, lambda steps: steps.average_reward)
    return finished(figure, axes, "mean reward of an agent so far")


def genome_diversity(lines: Sequence[Line]) -> Figure:
    """Draw how many genomes there are for an agent, and how frequent the first is."""
    figure, (above, below) = sheet("Genome diversity", rows=2)
    for number, line in enumerate(lines):
        put(above, line, number, lambda steps: steps.genetic_diversity)
        put(below, line, number, lambda steps: steps.dominant_genome_ratio)
    above.set_ylabel("genomes per agent")
    for axes in (above, below):
        axes.set_ylim(0, 1.05)
    return finished(figure, below, "share of the first genome", legend=above)


def action_mix(run: Run) -> Figure | None:
    """Draw the shares of actions over the steps of one run, None where none are."""
    actions = run.actions
    if actions is None or not len(actions.step_number):
        return None
    steps = actions.step_number
    width = max(1, -(-int(steps.max() - steps.min() + 1) // WINDOWS))
    window = (steps - steps.min()) // width
    names = actions.action_type.names
    counts = np.zeros((len(names), int(window.max()) + 1))
    np.add.at(counts, (actions.action_type.codes, window), 1)
    seen = counts.sum(axis=0) > 0
    at = (steps.min() + np.arange(counts.shape[1]) * width)[seen]
    shares = counts[:, seen] / counts[:, seen].sum(axis=0)
    figure, (axes,) = sheet("Action mix")
    used = [place for place in range(len(names)) if counts[place].any()]
    axes.stackplot(
        at,
        shares[used],
        labels=[names[place] for place in used],
        colors=[COLOURS[place % len(COLOURS)] for place in used],
    )
    axes.set_ylim(0, 1)
    axes.margins(x=0)
    return finished(figure, axes, "share of actions")


def world(place: Place) -> Figure:
    """Draw where agents and resources are at a step."""
    figure = Figure(figsize=(8.0, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(f"Map at step {place.step}")
    x, y, amount = place.nodes
    if len(x):
        held = axes.scatter(
            x, y, c=amount, cmap="YlGn", marker="s", s=34, edgecolors="#bbbbbb", vmin=0
        )
        figure.colorbar(held, ax=axes, label="resources of a node (units)")
    for number, (name, (across, up)) in enumerate(place.agents.items()):
        label = f"{name} ({len(across)})"
        axes.scatter(across, up, s=16, color=COLOURS[number], label=label)
    axes.set_aspect("equal")
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


OF_STEPS: Final[Mapping[str, Callable[[Sequence[Line]], Figure]]] = {
    "population": population,
    "births_and_deaths": births_and_deaths,
    "resources": resources,
    "rewards": rewards,
    "genome_diversity": genome_diversity,
}
TAKES: Final[Mapping[str, frozenset[str]]] = {
    "population": frozenset({"total_agents"}),
    "births_and_deaths": frozenset({"births", "deaths"}),
    "resources": frozenset({"total_resources", "average_agent_resources"}),
    "rewards": frozenset({"average_reward"}),
    "genome_diversity": frozenset({"genetic_diversity", "dominant_genome_ratio"}),
}


def put(
    axes: Axes,
    line: Line,
    number: int,
    values: Values,
    *,
    ended: float = np.nan,
    points: int = POINTS,
) -> None:
    """Draw a line, with a band where it is of several runs."""
    steps, found = together(line.runs, values, ended)
    steps, found = thinned(steps, found, points)
    colour = COLOURS[number % len(COLOURS)]
    axes.plot(steps, np.nanmean(found, axis=0), color=colour, label=line.label, lw=1.4)
    if len(found) > 1:
        low, high = np.nanquantile(found, [LOW, HIGH], axis=0)
        axes.fill_between(steps, low, high, color=colour, alpha=0.18, lw=0)


def together(runs: Sequence[Run], values: Values, ended: float) -> tuple[Ints, Floats]:
    """Return the steps of the longest run, and the values of each run at them."""
    longest = max((run.steps.step_number for run in runs), key=len)
    found = np.full((len(runs), len(longest)), ended)
    for row, run in enumerate(runs):
        own = np.asarray(values(run.steps), dtype=np.float64)
        found[row, : len(own)] = own
    return longest, found


def thinned(steps: Ints, values: Floats, points: int) -> tuple[Ints, Floats]:
    """Return means over equal windows of steps, so that there are few points."""
    width = -(-len(steps) // points)
    if width <= 1:
        return steps, values
    firsts = np.arange(0, len(steps), width)
    counts = np.add.reduceat((~np.isnan(values)).astype(float), firsts, axis=1)
    sums = np.add.reduceat(np.nan_to_num(values), firsts, axis=1)
    means = np.full(sums.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return steps[firsts], means


def single(lines: Sequence[Line]) -> bool:
    """Say whether what is drawn is one run."""
    return len(lines) == 1 and len(lines[0].runs) == 1


def sheet(title: str, *, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Return an empty figure, and its axes from above."""
    figure = Figure(figsize=(INCHES[0], INCHES[1] + (rows - 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, sharex=True, squeeze=False)[:, 0]
    axes[0].set_title(title)
    for each in axes:
        each.grid(alpha=0.25)
    return figure, list(axes)


def finished(
    figure: Figure, axes: Axes, unit: str, *, legend: Axes | None = None
) -> Figure:
    """Put the names of what is drawn beside it."""
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    handles, labels = (legend or axes).get_legend_handles_labels()
    if len(labels) > 1 or labels != ["all"]:
        columns = max(1, min(len(labels), WIDE // (max(map(len, labels)) + 5)))
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, frameon=False
        )
    return figure


def image(figure: Figure, kind: ImageKind) -> bytes:
    """Return a figure as an image; the same figure gives the same bytes."""
    written = BytesIO()
    with rc_context({"svg.hashsalt": "rehearsal"}):
        figure.savefig(written, format=kind, dpi=DPI, metadata=UNSIGNED[kind])
    return written.getvalue()
