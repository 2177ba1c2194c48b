"""What becomes of a run's rows: kept in the log, copied into tables, and made again.

Rows are those of four runs at a time, as a worker has, of 30 agents with everything
captured. Into the log: made chunks are encoded, compressed and stored, and the facts
of them committed, by the job that makes runs; what the engine takes is not counted, nor
are the first runs of a worker, which open the connections that it keeps.
Into a table: the narrow one of agents' states, by one projector and one connection;
first without key and index, then with them as it stands. Seeking: any step of a run of
2,000, whose state is made again from the last checkpoint before it and checked.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from time import perf_counter
from typing import Any, Final

import msgspec
import numba
from msgspec.structs import replace as changed

from events.experiments.columnar import (
    MEDIA_TYPE,
    archived,
    decoded,
    encoded,
    unpacked,
)
from events.experiments.common import Capture
from events.ids import SimulationId
from events.message import Command, Meta
from events.packing import packed
from infra.clock import new_id, now
from infra.kernels import kernel_directory
from infra.populations import ProcessPopulations
from infra.postgres.pool import open_pool
from infra.wiring import Core
from projections.builds import ensure
from projections.ddl import qualified
from projections.experiments import agent_states
from projections.projection import Group, Projection
from services import guard
from services.engines.population.chunks import CHECKPOINT, Begin, MadeChunk
from services.engines.population.configuration import Configuration
from services.experiments.designs import GivenCapture, chunk_steps
from services.experiments.reactions import SIMULATE, SimulateBody, body_of
from services.experiments.simulations import RequestSimulation
from services.handling import Handler
from services.ports import Job, Lease
from services.routing import DECIDER_OF
from services.work.populations import Population, Populations
from services.work.simulating import Runs, Simulate
from tests.bench.measuring import Bar, Figure, Sample, median, rates
from tests.bench.others import FOLDER
from tests.bench.projecting import projected
from tests.bench.server import Bench, Place
from tests.bench.trials import ask
from tests.bench.workload import ORG, REGION


ROW: Final = "recording"
AT_A_TIME: Final = 4  # runs, as a worker has
TURNS: Final = 2  # of a round, the first of which opens connections
STEPS: Final = 2_000
SEEKS: Final = 200
KEPT: Final = Configuration()

UNDRESS: Final = """
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT indexrelid::regclass AS index, indisprimary AS key
          FROM pg_index
         WHERE indrelid = '{table}'::regclass
    LOOP
        IF found.key THEN
            EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I',
                           split_part(found.index::text, '.', 2));
        ELSE
            EXECUTE format('DROP INDEX %s', found.index);
        END IF;
    END LOOP;
END $$
"""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A chunk that was made, its rows as arrays, and its checkpoint."""

    made: MadeChunk
    tables: dict[str, Any]
    state: bytes

    @property
    def rows(self) -> int:
        """Return how many rows it has."""
        return sum(self.made.rows.values())


class Remembered:
    """Runs that were made before: nothing is left to do but to encode their rows."""

    def __init__(self, runs: dict[int, list[Recorded]]) -> None:
        self._runs = runs

    def opened(self, begin: Begin) -> AbstractAsyncContextManager[Population]:
        """Lend the chunks of the run with a seed."""
        return self._opened(begin)

    @asynccontextmanager
    async def _opened(self, begin: Begin) -> AsyncIterator[Population]:
        yield Encoding(iter(self._runs[begin.seed]))


class Encoding:
    """A run that was made before."""

    def __init__(self, chunks: Iterator[Recorded]) -> None:
        self._chunks = chunks

    async def run(self, until: int) -> MadeChunk:
        """Return the next chunk, which ends at a step."""
        chunk = next(self._chunks)
        if chunk.made.last != until:
            message = f"the chunk ends at {chunk.made.last}, and {until} was asked for"
            raise AssertionError(message)
        return await asyncio.to_thread(_packed, chunk)


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    kernels = kernel_directory(FOLDER / "kernels")
    numba.config.CACHE_DIR = str(kernels)  # type: ignore[attr-defined]
    async with bench.database(ROW) as place:
        kept = [await logged(place, number) for number in range(bench.rounds)]
        figures = [
            Figure(
                row=ROW,
                what="rows of chunks into the durable log, one worker",
                unit=" rows/s",
                value=median(rates(kept)),
                rounds=rates(kept),
                bar=Bar(least=5e6),
                note=f"{kept[0].done:,} rows a round",
            ),
            await materialised(bench, place, bare=True),
            await materialised(bench, place, bare=False),
        ]
    async with bench.database(f"{ROW}_seek") as place:
        populations = ProcessPopulations(size=1, kernels=kernels)
        try:
            figures.append(await sought(place, populations))
        finally:
            await populations.close()
    return figures


async def logged(place: Place, number: int) -> Sample:
    """Record runs that were made before, and say how fast."""
    first = number * AT_A_TIME * TURNS
    turns = [
        range(at, at + AT_A_TIME)
        for at in range(first, first + AT_A_TIME * TURNS, AT_A_TIME)
    ]
    made = {seed: list(chunks(seed)) for turn in turns for seed in turn}
    samples = []
    async with place.core() as parts:
        for turn in turns:
            keys = [await requested(place, seed) for seed in turn]
            began = perf_counter()
            await asyncio.gather(
                *(simulate(parts, Remembered(made), key) for key in keys)
            )
            rows = sum(chunk.rows for seed in turn for chunk in made[seed])
            samples.append(Sample(done=rows, seconds=perf_counter() - began))
    counted = samples[1:]
    return Sample(
        done=sum(sample.done for sample in counted),
        seconds=sum(sample.seconds for sample in counted),
    )


def chunks(seed: int) -> Iterator[Recorded]:
    """Yield the chunks of a run."""
    # Compiled when first needed, once the directory of machine code is set.
    from services.engines.population.making import Making  # noqa: PLC0415

    configuration = msgspec.to_builtins(KEPT)
    begin = Begin(configuration=configuration, seed=seed, capture=Capture())
    making = Making(begin)
    size, step = chunk_steps(KEPT), 0
    while step < STEPS:
        step = min((step // size + 1) * size, STEPS)
        made = making.run(step)
        tables = {
            name: decoded(rows) for name, rows in unpacked(made.body.opened()).items()
        }
        state = made.checkpoint.opened()
        yield Recorded(made=made, tables=tables, state=state)
        if made.extinct:
            return


def _packed(chunk: Recorded) -> MadeChunk:
    body = archived({name: encoded(rows) for name, rows in chunk.tables.items()})
    return changed(
        chunk.made,
        body=packed(body, media_type=MEDIA_TYPE),
        checkpoint=packed(chunk.state, media_type=CHECKPOINT),
    )


async def requested(place: Place, seed: int) -> SimulationId:
    """Ask for a run that captures everything."""
    key = SimulationId(new_id())
    capture = GivenCapture(every=1)
    request = RequestSimulation(
        simulation_id=key, configuration=KEPT, seed=seed, steps=STEPS, capture=capture
    )
    await ask(place, [request])
    return key


async def simulate(parts: Core, populations: Populations, key: SimulationId) -> None:
    """Do the job that makes a run."""
    handler = Handler(log=parts.log, deciders=DECIDER_OF, guard=guard.check_system)

    async def handle(command: Command, meta: Meta) -> None:
        await handler.handle(command, changed(meta, fence=None))

    runs = Runs(log=parts.log, blobs=parts.blobs, populations=populations)
    job = Job(
        effect_key=f"{SIMULATE}:{key}:1",
        kind=SIMULATE,
        key=str(key),
        org_id=ORG,
        region=REGION,
        position=1,
        event_id=new_id(),
        correlation_id=new_id(),
        body=body_of(SimulateBody(simulation_id=key, turn=1)),
    )
    lease = Lease(job_id=new_id(), fence=1, attempt=1, expires_at=now(), job=job)
    await Simulate(runs, handle=handle, clock=now)(lease)


async def materialised(bench: Bench, place: Place, *, bare: bool) -> Figure:
    """Return the rate at which the rows of a table are copied into it."""
    samples = []
    for number in range(bench.rounds):
        shown = agent_states.PROJECTION
        name = f"{shown.table.name}_{'bare' if bare else 'whole'}_{number}"
        projection = replace(shown, table=replace(shown.table, name=name))
        await install(place, projection, bare=bare)
        sample = await projected(place, projection)
        async with place.superuser() as connection:
            count = await connection.fetchval(
                f"SELECT count(*) FROM experiments.{name}"  # noqa: S608 - constants
            )
        samples.append(Sample(done=count, seconds=sample.seconds))
    kept = "no key, no index" if bare else "its key and its index"
    return Figure(
        row=ROW,
        what=f"rows of agent_states into a table with {kept}",
        unit=" rows/s",
        value=median(rates(samples)),
        rounds=rates(samples),
        bar=Bar(least=1e6) if bare else None,
        note=f"{samples[0].done:,} rows a round",
    )


async def install(place: Place, projection: Projection, *, bare: bool) -> None:
    """Make a table, and take its key and its indexes off where it is to be bare."""
    group = Group(name=projection.name, projections=(projection,))
    async with (
        await open_pool(
            place.urls.projector, min_size=1, max_size=1, application_name="bench"
        ) as pool,
        pool.acquire() as session,
        session.transaction(),
    ):
        await ensure(session, group)
    if bare:
        async with place.superuser() as connection:
            table = qualified(projection.table, projection.table.physical)
            await connection.execute(UNDRESS.format(table=table))


async def sought(place: Place, populations: ProcessPopulations) -> Figure:
    """Return how long it takes to have the state of any step again."""
    key = await requested(place, 0)
    async with place.core() as parts:
        await simulate(parts, populations, key)
        runs = Runs(log=parts.log, blobs=parts.blobs, populations=populations)
        known = await runs.load(key, ORG)
        await runs.state_at(known, known.state.step)
        draws = Random(2026)  # noqa: S311 - a sample of steps
        latencies = []
        for _ in range(SEEKS):
            step = draws.randint(0, known.state.step)
            began = perf_counter()
            await runs.state_at(known, step)
            latencies.append((perf_counter() - began) * 1000)
    sample = Sample(done=SEEKS, seconds=sum(latencies) / 1000, latencies=latencies)
    return Figure(
        row=ROW,
        what=f"seek in a run of {known.state.step:,} steps, median",
        unit="ms",
        value=median(latencies),
        bar=Bar(most=20.0),
        note=f"99 of 100 within {sample.percentile(0.99):.1f} ms",
    )
