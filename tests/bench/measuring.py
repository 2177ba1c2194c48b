"""How things are measured: figures with their bars, samples, interleaved rounds.

Whatever is compared runs in the same process of measuring, on the same server, in turn:
first against second, then second against first, and the median of the rounds counts.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

import msgspec


WARM_UP: Final = 0.5  # seconds


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure is held against: its value, or its ratio to the peer's."""

    least: float | None = None
    most: float | None = None
    ratio: bool = False

    def __str__(self) -> str:
        sign, limit = (">=", self.least) if self.most is None else ("<", self.most)
        return f"{sign} {limit:,g}{' x' if self.ratio else ''}"

    def met_by(self, value: float) -> bool:
        """Say whether a value or ratio is good enough."""
        if self.least is not None and value < self.least:
            return False
        return self.most is None or value < self.most


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report; without a value the note says why it was not measured.

    `rounds` has the value of each round, `peer_rounds` that of the peer.
    """

    row: str
    what: str
    unit: str
    value: float | None = None
    against: str | None = None
    peer: float | None = None
    bar: Bar | None = None
    rounds: tuple[float, ...] = ()
    peer_rounds: tuple[float, ...] = ()
    note: str | None = None

    @property
    def ratio(self) -> float | None:
        """Return the value as a multiple of the peer's."""
        if self.value is None or not self.peer:
            return None
        return self.value / self.peer

    @property
    def met(self) -> bool | None:
        """Say whether the bar is met, None where there is none or nothing measured."""
        held = self.ratio if self.bar is not None and self.bar.ratio else self.value
        return None if self.bar is None or held is None else self.bar.met_by(held)

    def plain(self) -> dict[str, Any]:
        """Return the figure as JSON has it."""
        return {
            **msgspec.to_builtins(self),
            "bar": None if self.bar is None else str(self.bar),
            "ratio": self.ratio,
            "met": self.met,
        }


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in one round, and how long each took, in milliseconds."""

    done: int
    seconds: float
    latencies: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """Return how much was done in a second."""
        return self.done / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency that a share of 0 to 1 stayed below."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


Contender = Callable[[int], Awaitable[Sample]]


async def interleaved(
    rounds: int, contenders: Mapping[str, Contender]
) -> dict[str, list[Sample]]:
    """Run contenders in turn, the order reversed each round; they get the round."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            samples[name].append(await contenders[name](number))
    return samples


def rates(samples: Sequence[Sample]) -> tuple[float, ...]:
    """Return the rate of each round."""
    return tuple(sample.rate for sample in samples)


def percentiles(samples: Sequence[Sample], share: float) -> tuple[float, ...]:
    """Return a percentile of each round."""
    return tuple(sample.percentile(share) for sample in samples)


def median(values: Sequence[float]) -> float:
    """Return the median of rounds."""
    return statistics.median(values)


async def in_lanes(
    work: Callable[[int], Awaitable[None]], *, lanes: int, seconds: float
) -> Sample:
    """Do work over and over in many lanes at once; `work` gets its lane."""
    latencies: list[float] = []
    began = perf_counter()
    until = began + seconds

    async def lane(number: int) -> None:
        at = perf_counter()
        while at < until:
            await work(number)
            done = perf_counter()
            latencies.append((done - at) * 1000)
            at = done

    await asyncio.gather(*(lane(number) for number in range(lanes)))
    return Sample(
        done=len(latencies), seconds=perf_counter() - began, latencies=latencies
    )
