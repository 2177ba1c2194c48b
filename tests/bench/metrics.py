"""One playground's metrics among a thousand, as its owner reads them under policies."""

from collections.abc import Sequence
from hashlib import md5
from time import perf_counter
from typing import Final
from uuid import UUID

from infra.wiring import reading
from services.dashboard import playgrounds as pages
from services.http.reading import PoolReader
from services.identity import Identity
from tests.bench.measuring import (
    Bar,
    Contender,
    Figure,
    Sample,
    interleaved,
    median,
    percentiles,
)
from tests.bench.server import Bench, FailedError
from tests.projections.playgrounds import many


ROW: Final = "metrics"
PLAYGROUNDS: Final = 1_000
EVALUATIONS: Final = 1_000
READS: Final = 200
QUERIES: Final = {"metrics": pages.METRICS, "options": pages.CHOICES}


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    async with bench.database(ROW) as place:
        async with place.superuser() as connection:
            await connection.execute(many.rows(PLAYGROUNDS, EVALUATIONS))
            await connection.execute("VACUUM ANALYZE")
        async with reading(place.urls) as reader:
            samples = await interleaved(
                bench.rounds,
                {name: reads(reader, query) for name, query in QUERIES.items()},
            )
    return [figure(name, samples[name]) for name in QUERIES]


def reads(reader: PoolReader, query: str) -> Contender:
    """Return what reads by a query what owners see of playgrounds, one by one."""

    async def read(_round: int) -> Sample:
        latencies: list[float] = []
        for number in range(1, READS + 1):
            began = perf_counter()
            found = await reader.read(owner(number), query, [key(number)])
            latencies.append((perf_counter() - began) * 1_000)
            if not found:
                message = "an owner does not see their playground"
                raise FailedError(message)
        return Sample(done=READS, seconds=sum(latencies) / 1_000, latencies=latencies)

    return read


def figure(name: str, samples: Sequence[Sample]) -> Figure:
    """Return the figure of a query."""
    found = percentiles(samples, 0.95)
    return Figure(
        row=ROW,
        what=f"{name} of one of {PLAYGROUNDS:,} playgrounds with {EVALUATIONS:,} "
        "evaluations each, p95",
        unit="ms",
        value=median(found),
        rounds=found,
        bar=Bar(most=50),
        note=f"p50 {median(percentiles(samples, 0.5)):.3g} ms",
    )


def owner(number: int) -> Identity:
    """Return who owns a playground."""
    return Identity(
        org_id="library",
        region="eu",
        actor=f"user:owner-{number % 100}",
        roles=frozenset({"playgrounds:user"}),
    )


def key(number: int) -> UUID:
    """Return the id of a playground."""
    return UUID(md5(f"p{number}".encode(), usedforsecurity=False).hexdigest())
