"""Designs: which runs an experiment is made of, and with which parameters and seeds.

A Latin hypercube (McKay, Beckman and Conover 1979) of n points divides every range into
n equal parts and takes a value from each part once; the order of the parts and the
place within them follow from the design's seed and the parameter's name.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Annotated, Final
from uuid import uuid5

import msgspec
from msgspec import Meta

from events.errors import Refused
from events.experiments.common import Capture
from events.experiments.experiments import Design, Range, Value
from events.ids import ExperimentId, SimulationId
from services.engines.population.configuration import (
    Configuration,
    checked,
    configuration,
    overridden,
    tree,
)
from services.experiments.common import (
    MAX_SIMULATIONS,
    AtATime,
    Given,
    Path,
    Seed,
    Step,
    Steps,
)


LAST_SEED: Final = 9_223_372_036_854_775_807
UNITS: Final = 10_000  # of a value that was sampled
CHUNK: Final = 500  # steps, from which on a run is taken up again
AGENT_STEPS: Final = 150_000  # in a chunk, where so many agents may live
TRAINING: Final = 1_000_000_000  # weights that each network looks at in a chunk
LAYERS: Final = 20  # of the weights of a network by the width of its hidden layers


class GivenCapture(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Which rows come into the tables by themselves; nothing unless asked for.

    States, resources, actions and lessons of every `every`-th step from `first` to
    `last`, of every `sample`-th agent. Others can be had later.
    """

    every: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    first: Step = 0
    last: Step | None = None
    sample: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class GivenRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least and the greatest value of a parameter; `whole`: whole numbers."""

    low: Annotated[float, Meta(ge=-1e9, le=1e9)]
    high: Annotated[float, Meta(ge=-1e9, le=1e9)]
    whole: bool = False


class GivenDesign(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Which runs an experiment is made of.

    Each combination of the values of `grid` with each of `samples` points of a Latin
    hypercube over `ranges` is a condition, and runs `iterations` times, iteration i
    with the seed `seed + i`; with `fresh_seeds` no two runs share a seed. Parameters
    are named by their paths. At most `concurrency` runs are made at a time.
    """

    configuration: Configuration = Configuration()
    grid: Annotated[
        dict[Path, Annotated[list[Given], Meta(min_length=1, max_length=1_000)]],
        Meta(max_length=20),
    ] = msgspec.field(default_factory=dict)
    ranges: Annotated[dict[Path, GivenRange], Meta(max_length=50)] = msgspec.field(
        default_factory=dict
    )
    samples: Annotated[int, Meta(ge=1, le=MAX_SIMULATIONS)] = 1
    iterations: Annotated[int, Meta(ge=1, le=MAX_SIMULATIONS)] = 1
    seed: Seed = 0
    steps: Steps = 1_000
    fresh_seeds: bool = False
    capture: GivenCapture = GivenCapture()
    concurrency: AtATime | None = None


class TooManySimulations(Refused):
    """An experiment has at most 10000 simulations."""


class NoRange(Refused):
    """The least value has to be below the greatest."""


class SeedsRunOut(Refused):
    """There are not so many seeds after this one."""


class NoSamples(Refused):
    """Samples need ranges, and ranges need more than one sample."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a design."""

    number: int
    parameters: dict[str, Value]
    seed: int


def design_of(given: GivenDesign) -> Design:
    """Return a design as experiments hold it, or raise what is wrong with it."""
    base = checked(given.configuration, at="$.design.configuration")
    for path, each in given.ranges.items():
        if each.low >= each.high:
            raise NoRange(path=f"$.design.ranges.{path}")
    if (given.samples > 1) != bool(given.ranges):
        raise NoSamples(path="$.design.samples")
    made = Design(
        configuration=tree(base),
        grid={path: list(values) for path, values in given.grid.items()},
        ranges={
            path: Range(low=each.low, high=each.high, whole=each.whole)
            for path, each in given.ranges.items()
        },
        samples=given.samples,
        iterations=given.iterations,
        seed=given.seed,
        steps=given.steps,
        fresh_seeds=given.fresh_seeds,
        capture=capture_of(given.capture),
        concurrency=given.concurrency,
    )
    runs = size(made)
    if runs > MAX_SIMULATIONS:
        message = f"This design has {runs} simulations; {MAX_SIMULATIONS} are possible."
        raise TooManySimulations(message, path="$.design")
    if made.seed + runs - 1 > LAST_SEED:
        raise SeedsRunOut(path="$.design.seed")
    for parameters in conditions(made):
        overridden(base, parameters)
    return made


def capture_of(given: GivenCapture) -> Capture:
    """Return a capture as events hold it."""
    return Capture(
        every=given.every, first=given.first, last=given.last, sample=given.sample
    )


def size(design: Design) -> int:
    """Return how many runs a design has."""
    count = design.samples * design.iterations
    for values in design.grid.values():
        count *= len(values)
    return count


def planned(design: Design) -> Iterator[Planned]:
    """Yield the runs of a design, condition by condition."""
    number = 0
    for parameters in conditions(design):
        for iteration in range(design.iterations):
            seed = design.seed + (number if design.fresh_seeds else iteration)
            number += 1
            yield Planned(number=number, parameters=parameters, seed=seed)


def conditions(design: Design) -> Iterator[dict[str, Value]]:
    """Yield the parameters of each condition."""
    points = list(hypercube(design))
    for values in product(*design.grid.values()):
        chosen = dict(zip(design.grid, values, strict=True))
        for point in points:
            yield {**chosen, **point}


def hypercube(design: Design) -> Iterator[dict[str, Value]]:
    """Yield the points of the Latin hypercube over the ranges; one without any."""
    samples = design.samples
    columns = {
        path: _column(design.seed, path, each, samples)
        for path, each in design.ranges.items()
    }
    for place in range(samples):
        yield {path: column[place] for path, column in columns.items()}


def configured(design: Design, run: Planned) -> Configuration:
    """Return the configuration of a run."""
    return overridden(configuration(design.configuration), run.parameters)


def chunk_steps(made: Configuration) -> int:
    """Return how many steps of a run are recorded together."""
    steps = min(CHUNK, AGENT_STEPS // made.population.maximum)
    if made.learning.mode == "dqn":
        network = made.learning.network
        weights = network.hidden * (network.hidden + LAYERS)
        steps = min(steps, TRAINING // (network.updates * network.batch * weights))
    return max(1, steps)


def simulation_id(experiment_id: ExperimentId, number: int) -> SimulationId:
    """Return the id of a run of an experiment, the same wherever it is asked for."""
    return SimulationId(uuid5(experiment_id, f"simulation-{number}"))


def _column(seed: int, path: str, span: Range, samples: int) -> Sequence[Value]:
    parts = sorted(range(samples), key=lambda part: _draw(seed, path, "order", part))
    values: list[Value] = []
    for part in parts:
        within = _draw(seed, path, "within", part) / (1 << 64)
        share = (part + within) / samples
        if span.whole:
            low, high = round(span.low), round(span.high)
            values.append(min(low + int(share * (high - low + 1)), high))
        else:
            value = span.low + share * (span.high - span.low)
            values.append(math.floor(value * UNITS) / UNITS)
    return values


def _draw(seed: int, path: str, purpose: str, part: int) -> int:
    key = msgspec.json.encode((seed, path, purpose, part))
    return int.from_bytes(hashlib.sha256(key).digest()[:8])
