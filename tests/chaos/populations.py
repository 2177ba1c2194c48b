"""Populations are simulated while everything that makes them is killed.

A dispatcher, two workers and a projector make runs, two at a time. Killed are the
roles, the processes of the engine, PostgreSQL and RabbitMQ; workers are held still for
longer than their leases and go on as if nothing had been. Afterwards every run has to
hold the bytes that it holds when nobody disturbs it, each chunk once, and the tables
have to equal rebuilt ones.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import msgspec
import psutil

from events.experiments.common import Capture
from events.experiments.simulations import (
    ChunkRecorded,
    SimulationCompleted,
    SimulationEvent,
)
from events.ids import SimulationId
from infra.clock import new_id
from infra.embedded.ladder import own_programs
from infra.furnishing import furnish
from infra.kernels import VARIABLE, kernel_directory
from infra.postgres.event_log import open_event_log
from infra.postgres.failures import AWAY
from infra.sealing import ensure_master_keys
from infra.tokens import development_key
from infra.wiring import MASTER_KEY
from projections.catalogue import EXPERIMENTS
from services import guard
from services.engines.population.chunks import Begin
from services.engines.population.configuration import Configuration
from services.experiments.designs import GivenCapture, chunk_steps
from services.experiments.simulations import RequestSimulation
from services.handling import Handler
from services.routing import DECIDER_OF
from tests.bench.server import ROOT, TOKEN_KEY, environment
from tests.chaos.audit import judge_chain, judge_rebuilt
from tests.chaos.findings import Findings
from tests.chaos.server import ChaosServer, chaos_server
from tests.chaos.work.campaign import Report, surely
from tests.chaos.work.fleet import Fleet, Member
from tests.rabbit_ladder import OwnBroker, temporary_broker
from tests.suites.event_log import everything_after


CONFIGURATION: Final = Configuration()
SEEDS: Final = 3
STEPS: Final = 3_000
EVERY: Final = 20  # steps, of which all rows are kept
AT_A_TIME: Final = 2
LEASE_SECONDS: Final = 3.0
CREW: Final = (("dispatch", 1), ("work", 2), ("project", 1))
VICTIMS: Final = {"engine": 6, "work": 6, "pause": 3, "dispatch": 2, "project": 2}
SERVER_EVERY: Final = 6  # kills
BETWEEN: Final = 2  # chunks, between two kills
STARVED: Final = 10.0  # seconds, after which it goes on all the same
ENDING: Final = 240.0
AGAIN: Final = 0.1
KERNELS: Final = ROOT / "build" / "kernels"

CHUNKS: Final = """
SELECT count(*)
  FROM es.events
 WHERE type = 'experiments.ChunkRecorded'
"""
ENDED: Final = """
SELECT count(*)
  FROM es.events
 WHERE type IN ('experiments.SimulationCompleted', 'experiments.SimulationFailed')
"""
OPEN: Final = """
SELECT count(*)
  FROM es.work
 WHERE state IN ('ready', 'leased')
"""
UNDONE: Final = """
SELECT count(*)
  FROM es.work
 WHERE state <> 'done'
"""

Bytes = list[tuple[int, int, int, str, str, str]]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how hard."""

    kills: int = 24
    restarts: int = 2
    seed: int = 1
    seconds: float = 1200.0
    embedded: bool = False
    quiet: bool = False


class Campaign:
    """Everything that runs at once, and what is known of it."""

    def __init__(
        self, options: Options, server: ChaosServer, broker: OwnBroker, folder: Path
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.runs: dict[SimulationId, int] = {}
        self._options = options
        self._server = server
        self._broker = broker
        self._folder = folder
        self._random = Random(f"{options.seed}/populations")  # noqa: S311 - repeatable
        self._pausing: set[asyncio.Task[None]] = set()
        self._fleet = Fleet(self._members())

    async def run(self, findings: Findings) -> None:
        """Start everybody, do harm until enough was done, and let all end in order."""
        try:
            await self._fleet.start()
            async with asyncio.timeout(self._options.seconds):
                asking = asyncio.create_task(self._ask())
                try:
                    await self._harm()
                finally:
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)
                await self._done(ENDING)
        except TimeoutError:
            findings.add("the runs did not come to their end")
        finally:
            await asyncio.gather(*self._pausing, return_exceptions=True)
            for name, code in (await self._fleet.stop()).items():
                findings.add("a role did not end in order", f"{name}: {code}")

    def _members(self) -> list[Member]:
        folder, database = self._folder, self._server.database
        ensure_master_keys(folder / MASTER_KEY)
        development_key(folder)
        settings = {
            VARIABLE: kernels(),
            **environment(
                {
                    "REHEARSAL_DATA_DIR": str(folder),
                    "REHEARSAL_OWNER_URL": database.owner,
                    "REHEARSAL_APP_URL": database.app,
                    "REHEARSAL_PROJECTOR_URL": database.projector,
                    "REHEARSAL_READER_URL": database.reader,
                    "REHEARSAL_KEYS_URL": database.keys,
                    "REHEARSAL_MASTER_KEY_FILE": str(folder / MASTER_KEY),
                    "REHEARSAL_TOKEN_PUBLIC_KEY_FILES": str(folder / TOKEN_KEY),
                    "REHEARSAL_BROKER": self._broker.url,
                    "REHEARSAL_LEASE_SECONDS": str(LEASE_SECONDS),
                }
            ),
        }
        return [
            Member(
                name=f"{role}-{number}",
                role=role,
                environment=settings,
                log=folder / f"{role}-{number}.log",
            )
            for role, count in CREW
            for number in range(count)
        ]

    async def _ask(self) -> None:
        """Have so many runs made at a time, until cancelled."""
        async with open_event_log(
            self._server.database.app, application_name="chaos runs"
        ) as log:
            handler = Handler(log=log, deciders=DECIDER_OF, guard=guard.check)
            while True:
                if len(self.runs) - await self._count(ENDED) >= AT_A_TIME:
                    await asyncio.sleep(AGAIN)
                    continue
                run, seed = SimulationId(new_id()), len(self.runs) % SEEDS
                self.runs[run] = seed
                request = RequestSimulation(
                    simulation_id=run,
                    configuration=CONFIGURATION,
                    seed=seed,
                    steps=STEPS,
                    capture=GivenCapture(every=EVERY),
                )
                await asyncio.shield(surely(handler, request))

    async def _harm(self) -> None:
        """Kill and hold still, each time that some chunks were recorded since."""
        options = self._options
        every = max(2, options.kills // max(1, options.restarts))
        await self._grown(1, ENDING)
        while self.kills.total() < options.kills:
            number = self.kills.total() + 1
            if number % every == 0 and self.kills["broker"] < options.restarts:
                await self._broker.crash()
                await self._broker.start()
                self.kills["broker"] += 1
            elif number % SERVER_EVERY == 0:
                await self._server.kill()
                await self._server.restart()
                self.kills["server"] += 1
            else:
                self._harm_somebody()
            known = await self._count(CHUNKS)
            try:
                await self._grown(known + BETWEEN, STARVED)
            except TimeoutError:
                self.faults["kills while nothing was made"] += 1
            await asyncio.sleep(self._random.uniform(0, AGAIN))
            self._tell(known)

    def _harm_somebody(self) -> None:
        (victim,) = self._random.choices(list(VICTIMS), list(VICTIMS.values()))
        role = victim if victim in {"dispatch", "project"} else "work"
        members = [each for each in self._fleet.members if each.role == role]
        member = self._random.choice(members)
        if victim == "engine":
            engines = [each for member in members for each in engines_of(member)]
            if engines:
                self._random.choice(engines).kill()
                self.kills[victim] += 1
        elif victim == "pause":
            if member.serving:
                pause = member.pause(LEASE_SECONDS * self._random.uniform(1.1, 1.6))
                task = asyncio.create_task(pause)
                self._pausing.add(task)
                task.add_done_callback(self._pausing.discard)
                self.faults["pauses of work"] += 1
        elif member.send(signal.SIGKILL):
            self.kills[victim] += 1

    async def _grown(self, least: int, seconds: float) -> None:
        """Return once so many chunks are recorded, or raise."""
        async with asyncio.timeout(seconds):
            while await self._count(CHUNKS) < least:  # noqa: ASYNC110 - of other processes
                await asyncio.sleep(AGAIN)

    async def _done(self, seconds: float) -> None:
        """Return once nothing is left to do, or raise."""
        async with asyncio.timeout(seconds):
            while await self._count(OPEN):  # noqa: ASYNC110 - of other processes
                await asyncio.sleep(AGAIN)

    async def _count(self, query: str) -> int:
        """Return what a query counts, once the server answers."""
        while True:
            try:
                connection = await asyncpg.connect(
                    self._server.database.superuser, timeout=5, command_timeout=30
                )
                try:
                    return int(await connection.fetchval(query))
                finally:
                    connection.terminate()
            except AWAY:
                await asyncio.sleep(AGAIN)

    def _tell(self, chunks: int) -> None:
        if not self._options.quiet:
            sys.stderr.write(
                f"{self.kills.total():>5} kills  {len(self.runs):>4} runs  "
                f"{chunks:>6,} chunks\n"
            )


def engines_of(member: Member) -> list[psutil.Process]:
    """Return the processes in which a worker makes populations."""
    if member.process is None or member.process.returncode is not None:
        return []
    try:
        children = psutil.Process(member.process.pid).children()
        return [each for each in children if "infra.population_child" in each.cmdline()]
    except psutil.NoSuchProcess:
        return []


async def judge(
    server: ChaosServer, runs: dict[SimulationId, int], findings: Findings
) -> Counter[str]:
    """Hold every run against the same run undisturbed, and the tables against it."""
    counts: Counter[str] = Counter()
    database = server.database
    async with open_event_log(database.app, application_name="audit") as log:
        events = [each.event for each in await everything_after(log, 0)]
    connection = await asyncpg.connect(database.superuser)
    try:
        undone = int(await connection.fetchval(UNDONE))
    finally:
        await connection.close()
    if undone:
        findings.add("a job is not done in the end", count=undone)
    told: dict[SimulationId, list[SimulationEvent]] = {run: [] for run in runs}
    for event in events:
        if isinstance(event, SimulationEvent) and event.simulation_id in told:
            told[event.simulation_id].append(event)
    for run, seed in runs.items():
        ends = sum(isinstance(each, SimulationCompleted) for each in told[run])
        if ends != 1:
            findings.add("a run did not end once", f"{run}: {ends} times")
        chunks = bytes_of(told[run])
        if chunks != undisturbed(seed):
            findings.add("a run holds other bytes than undisturbed", f"{run}")
        counts["runs"] += 1
        counts["chunks"] += len(chunks)
    counts["rows verified"] = await judge_chain(database.owner, (), findings)
    rows = await judge_rebuilt(database, EXPERIMENTS, findings)
    counts["table rows compared"] = rows
    return counts


def bytes_of(events: Sequence[SimulationEvent]) -> Bytes:
    """Return what a run's chunks hold, in the order of the log."""
    return [
        (
            each.number,
            each.first_step,
            each.last_step,
            each.body,
            each.checkpoint,
            each.state_hash,
        )
        for each in events
        if isinstance(each, ChunkRecorded)
    ]


def kernels() -> str:
    """Return where machine code is kept: where others of this process keep theirs."""
    given = os.environ.get(VARIABLE)  # noqa: TID251 - as numba does
    return given or str(kernel_directory(KERNELS))


@cache
def undisturbed(seed: int) -> Bytes:
    """Return what a run's chunks hold that is made at once, in this process."""
    import numba  # noqa: PLC0415 - told first where machine code is kept

    numba.config.CACHE_DIR = kernels()  # type: ignore[attr-defined]
    from services.engines.population.making import Making  # noqa: PLC0415

    begin = Begin(
        configuration=msgspec.to_builtins(CONFIGURATION),
        seed=seed,
        capture=Capture(every=EVERY),
    )
    making = Making(begin)
    size, last, made = chunk_steps(CONFIGURATION), 0, Bytes()
    while last < STEPS:
        last = min((last // size + 1) * size, STEPS)
        chunk = making.run(last)
        body, state = (sha256(each.opened()) for each in (chunk.body, chunk.checkpoint))
        names = body.hexdigest(), state.hexdigest(), chunk.state_hash
        made.append((len(made) + 1, chunk.first, chunk.last, *names))
        if chunk.extinct:
            break
    return made


async def run(options: Options) -> Report:
    """Run a campaign and return its report; where it fails, its folder is kept."""
    rung = own_programs()
    if rung is None or rung.programs is None:
        message = "rabbitmq-server is not on this machine, and cannot be installed"
        raise SystemExit(message)
    programs = await asyncio.to_thread(rung.programs)
    findings = Findings()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    began = time.monotonic()
    undisturbed(0)  # compiles the engine where it is not compiled yet
    async with (
        chaos_server(embedded=options.embedded) as server,
        temporary_broker(programs) as broker,
    ):
        database = server.database
        await furnish(owner=database.owner, projector=database.projector)
        campaign = Campaign(options, server, broker, folder)
        await campaign.run(findings)
        audited = await judge(server, campaign.runs, findings)
    report = Report(
        subject="populations",
        seed=options.seed,
        without=None,
        postgres=server.major,
        rabbitmq=programs.version,
        seconds=round(time.monotonic() - began, 1),
        kills={"all": campaign.kills.total(), **campaign.kills},
        faults=campaign.faults,
        waits={},
        audited=audited,
        violations=findings.violations,
    )
    if report.as_expected:
        shutil.rmtree(folder)
    else:
        sys.stderr.write(f"what everybody said is in {folder}\n")
    return report
