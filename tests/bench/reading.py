"""Events read and decoded by one process, page after page, in order."""

from time import perf_counter
from typing import Final

from tests.bench.measuring import Bar, Figure, Sample, interleaved, median, rates
from tests.bench.server import Bench
from tests.bench.workload import conversations, fill


ROW: Final = "read"
EVENTS: Final = 100_000
PAGE: Final = 1_000


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    async with bench.database(ROW) as place, place.core() as parts:
        head = await fill(parts.log, conversations(EVENTS))

        async def read(_round: int) -> Sample:
            done, began = 0, perf_counter()
            while perf_counter() - began < bench.seconds:
                after = 0
                while after < head:
                    page = await parts.log.read(after, PAGE)
                    after = page[-1].position
                done += head
            return Sample(done=done, seconds=perf_counter() - began)

        samples = await interleaved(bench.rounds, {"read": read})
    ours = rates(samples["read"])
    return [
        Figure(
            row=ROW,
            what=f"read and decode the log, pages of {PAGE:,}",
            unit=" events/s",
            value=median(ours),
            rounds=ours,
            bar=Bar(least=150_000),
        )
    ]
