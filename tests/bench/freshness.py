"""How long after its recording an event shows in the read tables, at 500 events/s.

Commands come at an even pace, whether or not earlier ones were answered; the tables
are fed by the projection role in a process of its own. The clock starts when the event
is recorded, before its commit, and stops when another session sees the table's
checkpoint past it, which it asks for every 2 ms or so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

from infra.clock import now
from projections.catalogue import TESTING
from projections.checkpoints import checkpoint
from tests.bench.measuring import Bar, Figure, Sample, median, percentiles
from tests.bench.server import (
    Bench,
    FailedError,
    Place,
    environment,
    process,
    rehearsal,
)
from tests.bench.workload import Lane, create_personas, decode, persona_id


ROW: Final = "freshness"
PACE: Final = 500  # events a second
LANES: Final = 250
POLL: Final = 0.002  # seconds
PATIENCE: Final = 30.0


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    async with (
        bench.database(ROW) as place,
        place.core() as parts,
        feeding(bench, place),
    ):
        names = [str(lane) for lane in range(LANES)]
        await create_personas(parts.handler, names)
        lanes = [Lane(persona_id(name)) for name in names]
        async with place.superuser() as watching:
            await reach(watching, (await parts.log.head()).position)
            samples = [
                await paced(parts.handler, lanes, watching, seconds)
                for seconds in (1.0, *[bench.seconds] * bench.rounds)
            ][1:]
    figures = []
    for name, share, most in (("p50", 0.50, 10.0), ("p99", 0.99, 50.0)):
        values = percentiles(samples, share)
        figures.append(
            Figure(
                row=ROW,
                what=f"event to read table at {PACE} events/s, {name}",
                unit="ms",
                value=median(values),
                rounds=values,
                bar=Bar(most=most),
            )
        )
    return figures


@asynccontextmanager
async def feeding(bench: Bench, place: Place) -> AsyncIterator[None]:
    """Run the role of projections."""
    env = environment(place.environment())
    async with process(rehearsal("project"), env, bench.folder / "project.log"):
        yield


async def reach(sql: Any, position: int) -> None:  # noqa: ANN401 - asyncpg
    """Return once the tables are at a position, or raise `FailedError`."""
    deadline = perf_counter() + PATIENCE
    while await checkpoint(sql, TESTING.name) < position:
        if perf_counter() > deadline:
            message = f"the read tables did not reach {position}"
            raise FailedError(message)
        await asyncio.sleep(POLL)


async def paced(
    handler: Any,  # noqa: ANN401 - a Handler
    lanes: list[Lane],
    watching: Any,  # noqa: ANN401 - asyncpg
    seconds: float,
) -> Sample:
    """Send commands at the pace; return when each was seen."""
    recorded: dict[int, float] = {}
    seen: list[tuple[int, float]] = []
    sending = True
    last = 0

    async def send(lane: Lane) -> None:
        raw, envelope = lane.next()
        outcome = await handler.handle(decode(raw), envelope)
        lane.version = outcome.version
        recorded[outcome.position] = outcome.recorded_at.timestamp()

    async def watch() -> None:
        while sending or not seen or seen[-1][0] < last:
            position = await checkpoint(watching, TESTING.name)
            if not seen or position > seen[-1][0]:
                seen.append((position, now().timestamp()))
            await asyncio.sleep(POLL)

    watcher = asyncio.create_task(watch())
    began = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(PACE * seconds)):
            await asyncio.sleep(max(0.0, began + number / PACE - perf_counter()))
            tasks.create_task(send(lanes[number % LANES]))
    passed = perf_counter() - began
    last, sending = max(recorded), False
    await asyncio.wait_for(watcher, PATIENCE)
    latencies: list[float] = []
    at = 0
    for position in sorted(recorded):
        while seen[at][0] < position:
            at += 1
        latencies.append((seen[at][1] - recorded[position]) * 1000)
    return Sample(done=len(recorded), seconds=passed, latencies=latencies)
