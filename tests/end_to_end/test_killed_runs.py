"""Runs of populations by processes that are killed, held still and cut off in between.

A run is caught while a chunk of it is being made: what makes it is stopped, and found
to be calculating. Whatever happens then, the log holds the bytes that a run holds which
nobody disturbs, and each chunk once.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import psutil
import pytest
from msgspec.structs import replace

from events.experiments.common import Capture
from events.experiments.simulations import (
    ChunkRecorded,
    SimulationCompleted,
    SimulationFailed,
)
from events.ids import SimulationId
from events.log import EventLog
from infra.furnishing import furnish
from infra.postgres.event_log import open_event_log
from infra.sealing import ensure_master_keys
from infra.tokens import development_key
from infra.wiring import MASTER_KEY
from services import guard
from services.engines.population.chunks import Begin
from services.engines.population.configuration import Configuration
from services.engines.population.making import Making
from services.experiments.designs import GivenCapture, chunk_steps
from services.experiments.simulations import RequestSimulation
from services.handling import Handler
from services.routing import DECIDER_OF
from services.work.simulating import stream_of
from tests.bench.server import TOKEN_KEY, environment
from tests.builders import new_id
from tests.chaos.work.fleet import Fleet, Member
from tests.given import meta_of
from tests.postgres_ladder import Database
from tests.rabbit_ladder import OwnBroker


CONFIGURATION: Final = Configuration()
SEED: Final = 11
STEPS: Final = 40_000
EVERY: Final = 40  # steps, of which all rows are kept
LEASE_SECONDS: Final = 3.0
PATIENCE: Final = 240.0
LOOK: Final = 0.02
TOLD: Final = Path("/proc/self/syscall")
READING: Final = "0"  # the system call

Bytes = tuple[int, int, str, str, str]
T = TypeVar("T")

pytestmark = pytest.mark.skipif(
    not TOLD.exists(), reason="this system does not tell what a process is at"
)


@dataclass(kw_only=True)
class Hall:
    """A dispatcher and two workers, as processes, and what they are looked at with."""

    log: EventLog
    handler: Handler
    broker: OwnBroker
    workers: Sequence[Member]

    async def ask(self) -> SimulationId:
        """Ask for a run."""
        run = SimulationId(new_id())
        request = RequestSimulation(
            simulation_id=run,
            configuration=CONFIGURATION,
            seed=SEED,
            steps=STEPS,
            capture=GivenCapture(every=EVERY),
        )
        await self.handler.handle(request, replace(meta_of(), command_id=run))
        return run

    async def chunks(self, run: SimulationId) -> list[ChunkRecorded]:
        """Return the chunks of a run that are recorded."""
        stream = await self.log.read_stream(stream_of(run))
        events = [each.event for each in stream.events]
        assert not any(isinstance(each, SimulationFailed) for each in events)
        return [each for each in events if isinstance(each, ChunkRecorded)]

    async def ended(self, run: SimulationId) -> bool:
        """Say whether a run has come to its end."""
        stream = await self.log.read_stream(stream_of(run))
        return isinstance(stream.events[-1].event, SimulationCompleted)

    async def caught(self, run: SimulationId) -> tuple[Member, psutil.Process]:
        """Return who makes a run, and the process that is stopped in mid-chunk."""

        async def stopped() -> tuple[Member, psutil.Process] | None:
            assert not await self.ended(run)
            if not await self.chunks(run):
                return None
            for worker in self.workers:
                for child in makers(worker):
                    if stopped_in_mid_chunk(child):
                        return worker, child
            return None

        return await until(stopped)


async def until(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Return what is asked for once it is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await ask()
            if found:
                return found
            await asyncio.sleep(LOOK)


def makers(worker: Member) -> list[psutil.Process]:
    """Return the processes in which a worker makes populations."""
    if worker.process is None:
        return []
    try:
        children = psutil.Process(worker.process.pid).children()
        return [each for each in children if "infra.population_child" in each.cmdline()]
    except psutil.NoSuchProcess:
        return []


def stopped_in_mid_chunk(child: psutil.Process) -> bool:
    """Stop a process, and say whether it was calculating; let it go on if not."""
    child.suspend()
    while child.status() != psutil.STATUS_STOPPED:
        pass
    at = (TOLD.parents[1] / str(child.pid) / TOLD.name).read_text().split()[0]
    if at != READING:
        return True
    child.resume()
    return False


@pytest.fixture(scope="module")
def undisturbed() -> list[Bytes]:
    begin = Begin(
        configuration=msgspec.to_builtins(CONFIGURATION),
        seed=SEED,
        capture=Capture(every=EVERY),
    )
    making = Making(begin)
    size, last, made = chunk_steps(CONFIGURATION), 0, []
    while last < STEPS:
        last = min((last // size + 1) * size, STEPS)
        chunk = making.run(last)
        body, state = (sha256(each.opened()) for each in (chunk.body, chunk.checkpoint))
        made.append(
            (chunk.first, last, body.hexdigest(), state.hexdigest(), chunk.state_hash)
        )
    return made


@pytest.fixture
async def hall(
    database: Database, own_rabbitmq: OwnBroker, tmp_path: Path
) -> AsyncIterator[Hall]:
    await furnish(owner=database.owner, projector=database.projector)
    ensure_master_keys(tmp_path / MASTER_KEY)
    development_key(tmp_path)
    settings = environment(
        {
            "REHEARSAL_DATA_DIR": str(tmp_path),
            "REHEARSAL_OWNER_URL": database.owner,
            "REHEARSAL_APP_URL": database.app,
            "REHEARSAL_PROJECTOR_URL": database.projector,
            "REHEARSAL_READER_URL": database.reader,
            "REHEARSAL_KEYS_URL": database.keys,
            "REHEARSAL_MASTER_KEY_FILE": str(tmp_path / MASTER_KEY),
            "REHEARSAL_TOKEN_PUBLIC_KEY_FILES": str(tmp_path / TOKEN_KEY),
            "REHEARSAL_BROKER": own_rabbitmq.url,
            "REHEARSAL_BROKER_NAMESPACE": tmp_path.name,
            "REHEARSAL_LEASE_SECONDS": str(LEASE_SECONDS),
        }
    )
    members = [
        Member(name=name, role=role, environment=settings, log=tmp_path / name)
        for name, role in (("d", "dispatch"), ("w1", "work"), ("w2", "work"))
    ]
    fleet = Fleet(members)
    async with open_event_log(database.app, application_name="tests") as log:
        handler = Handler(log=log, deciders=DECIDER_OF, guard=guard.check)
        try:
            await fleet.start()
            yield Hall(
                log=log, handler=handler, broker=own_rabbitmq, workers=members[1:]
            )
        finally:
            assert await fleet.stop() == {}


async def recorded(hall: Hall, run: SimulationId) -> list[Bytes]:
    """Return what the log holds of a run, once it has ended."""
    await until(lambda: hall.ended(run))
    chunks = await hall.chunks(run)
    assert [each.number for each in chunks] == list(range(1, len(chunks) + 1))
    return [
        (each.first_step, each.last_step, each.body, each.checkpoint, each.state_hash)
        for each in chunks
    ]


async def test_a_worker_that_is_killed_in_mid_chunk_changes_no_byte(
    hall: Hall, undisturbed: list[Bytes]
) -> None:
    run = await hall.ask()
    worker, child = await hall.caught(run)
    assert worker.send(signal.SIGKILL)
    child.resume()

    assert await recorded(hall, run) == undisturbed
    child.wait(PATIENCE)  # nobody is left to make anything for


async def test_a_process_of_the_engine_that_is_killed_changes_no_byte(
    hall: Hall, undisturbed: list[Bytes]
) -> None:
    run = await hall.ask()
    _, child = await hall.caught(run)
    child.kill()

    assert await recorded(hall, run) == undisturbed


async def test_of_two_workers_that_race_for_a_chunk_one_records_it(
    hall: Hall, undisturbed: list[Bytes]
) -> None:
    run = await hall.ask()
    late, child = await hall.caught(run)
    assert late.send(signal.SIGSTOP)
    known = len(await hall.chunks(run))

    async def overtaken() -> bool:
        return len(await hall.chunks(run)) > known

    try:
        await until(overtaken)
    finally:
        child.resume()
        late.send(signal.SIGCONT)

    assert await recorded(hall, run) == undisturbed
    lost = b'"outcome":"lost"'
    await until(lambda: asyncio.to_thread(says, late.log, lost))


async def test_a_broker_that_dies_meanwhile_holds_up_no_run_and_loses_none(
    hall: Hall, undisturbed: list[Bytes]
) -> None:
    run = await hall.ask()
    _, child = await hall.caught(run)
    await hall.broker.crash()
    try:
        later = await hall.ask()
        child.resume()
        assert await recorded(hall, run) == undisturbed
    finally:
        await hall.broker.start()

    assert await recorded(hall, later) == undisturbed


def says(log: Path, word: bytes) -> bool:
    """Say whether a role has logged something."""
    return word in log.read_bytes().replace(b'": ', b'":')
