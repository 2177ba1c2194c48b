"""Runs are held while everything that holds them is killed, paused and cut off.

Two dispatchers, three workers, two projectors, two intakes and a relay, some of them
behind proxies that do harm, do one run after the other; a producer asks for runs over
AMQP. Killed are the roles, PostgreSQL and RabbitMQ; roles are paused for longer than
their leases and go on as if nothing had been. When enough was done, the harm ends, the
runs come to their end, and the auditor judges.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import msgspec
from msgspec.structs import replace

from events.errors import Unavailable
from events.ids import SetRunId
from events.message import Command, Meta
from infra.clock import new_id, now
from infra.embedded.ladder import own_programs
from infra.furnishing import furnish
from infra.postgres.event_log import open_event_log
from infra.postgres.failures import AWAY
from infra.postgres.roles import APP, PROJECTOR
from infra.sealing import ensure_master_keys
from infra.tokens import development_key
from infra.wiring import MASTER_KEY
from services import guard
from services.handling import Handler
from services.routing import DECIDER_OF
from services.testing.set_runs import StartSetRun
from tests.bench.server import TOKEN_KEY, environment
from tests.chaos.findings import Findings, Violation
from tests.chaos.proxy import Proxy
from tests.chaos.server import ChaosServer, chaos_server, through
from tests.chaos.work.audit import judge_work
from tests.chaos.work.fleet import Fleet, Member
from tests.chaos.work.producing import Producer
from tests.chaos.work.recording import record
from tests.chaos.work.stalls import Stalls
from tests.rabbit_ladder import OwnBroker, temporary_broker
from tests.services.work.library import A_LIVE_RUN, library


ORG: Final = "acme"
ACTOR: Final = "user:ada"
TESTS: Final = 20
TRIALS: Final = 10
AT_A_TIME: Final = 2
CONCURRENCY: Final = 8  # of a run: one worker has a place for all that may run
LEASE_SECONDS: Final = 8.0
LEFT_SECONDS: Final = LEASE_SECONDS + 5
SETTLING: Final = 3.0  # seconds until what was started counts as there
FIRST: Final = 4.0
ENDING: Final = 180.0
ENDING_UNSAFE: Final = 60.0
TOLD_EVERY: Final = 5.0
AGAIN: Final = 0.2

CREW: Final = {"dispatch": 2, "work": 3, "project": 2, "intake": 2, "relay": 1}
WEIGHTS: Final = {"dispatch": 5, "work": 12, "project": 3, "intake": 3, "relay": 1}
PAUSES: Final = 0.15  # of what is done to roles
PAUSES_UNFENCED: Final = 0.6
SERVER_EVERY: Final = 14  # kills
BETWEEN: Final = 2  # trials, between two kills
STARVED: Final = 8.0  # seconds, after which it goes on all the same
FAULTS: Final = {"reset": 25, "delay": 20, "silence": 20, "half-open": 35}

COMPLETED: Final = """
SELECT count(*)
  FROM es.events
 WHERE type = 'testing.SetRunCompleted'
"""
FINISHED: Final = """
SELECT count(*)
  FROM es.events
 WHERE type = 'testing.TrialFinished'
"""
REPORTED: Final = """
SELECT count(*)
  FROM (
       SELECT stream_id
         FROM es.events
        WHERE type = 'testing.ArtifactGenerated'
        GROUP BY stream_id
       HAVING count(*) >= 2
  ) AS run
"""
OPEN: Final = """
SELECT count(*)
  FROM es.work
 WHERE state IN ('ready', 'leased')
"""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how hard."""

    kills: int = 220
    restarts: int = 32
    seed: int = 1
    seconds: float = 2400.0
    without: str | None = None
    embedded: bool = False
    quiet: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign in figures."""

    subject: str = "work"
    seed: int
    without: str | None
    postgres: int
    rabbitmq: str
    seconds: float
    kills: Mapping[str, int]
    faults: Mapping[str, int]
    waits: Mapping[str, float]
    audited: Mapping[str, int]
    violations: Mapping[str, Violation]

    @property
    def total(self) -> int:
        """Return how many violations there were."""
        return sum(violation.count for violation in self.violations.values())

    @property
    def as_expected(self) -> bool:
        """Say whether work kept its promises; without a safeguard, that it did not."""
        return bool(self.violations) == (self.without is not None)

    def text(self) -> str:
        """Return the report as people read it."""
        lines = [
            f"chaos {self.subject}: seed {self.seed}, PostgreSQL {self.postgres}, "
            f"RabbitMQ {self.rabbitmq}"
            + (f", without the {self.without}" if self.without else "")
            + f", {self.seconds:.0f} s"
        ]
        for name in ("kills", "faults", "waits", "audited"):
            counts: Mapping[str, float] = getattr(self, name)
            told = ", ".join(f"{key} {counts[key]:,}" for key in sorted(counts))
            lines += [f"{name:<10} {told}"] if told else []
        lines.append(f"violations {self.total:,}")
        for name, violation in sorted(self.violations.items()):
            lines.append(f"  {violation.count:>8,}  {name}")
            lines += [f"            {example}" for example in violation.examples]
        if self.without is not None:
            verdict = "found, as expected" if self.as_expected else "NOT FOUND"
            lines.append(f"what the {self.without} prevents was {verdict}")
        return "\n".join(lines)


class Campaign:
    """Everything that runs at once, and what is known of it."""

    def __init__(
        self,
        options: Options,
        server: ChaosServer,
        broker: OwnBroker,
        folder: Path,
        findings: Findings,
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.runs: list[StartSetRun] = []
        self._options = options
        self._server = server
        self._broker = broker
        self._folder = folder
        self._findings = findings
        self._random = Random(f"{options.seed}/work")  # noqa: S311 - repeatable
        self._database = Proxy("127.0.0.1", server.port, self._random)
        at = urlsplit(broker.url).port or 0
        self._messages = Proxy("127.0.0.1", at, self._random)
        self._up_since = {"server": time.monotonic(), "broker": time.monotonic()}
        self._pausing: set[asyncio.Task[None]] = set()
        self._fleet: Fleet
        self._finished = 0
        self.stalls = Stalls(
            server.database.superuser,
            findings,
            limit=LEFT_SECONDS,
            serving=self._is_serving,
        )

    async def run(self) -> None:
        """Start everybody, do harm until enough was done, and let all end in order."""
        await self._database.open()
        await self._messages.open()
        self._fleet = Fleet(self._members())
        try:
            await self._fleet.start()
            async with asyncio.timeout(self._options.seconds):
                await self._disturb()
                await self._end()
        except TimeoutError:
            self._findings.add("the campaign ran out of time")
        finally:
            for task in self._pausing:
                task.cancel()
            await asyncio.gather(*self._pausing, return_exceptions=True)
            for name, code in (await self._fleet.stop()).items():
                self._findings.add("a role did not end in order", f"{name}: {code}")
            await self._database.close()
            await self._messages.close()

    async def _disturb(self) -> None:
        """Hold runs and do harm, until it is enough."""
        enough = asyncio.Event()
        holding = asyncio.create_task(self._hold_runs(enough))
        harm = [
            asyncio.create_task(work)
            for work in (
                self._kill_on(),
                self.stalls.watch(),
                self._trouble(self._database),
                self._trouble(self._messages),
                self._tell(),
            )
        ]
        try:
            await asyncio.wait((holding, *harm), return_when=asyncio.FIRST_COMPLETED)
            for task in harm:
                if task.done():
                    task.result()
        finally:
            for task in harm:
                task.cancel()
            await asyncio.gather(*harm, return_exceptions=True)
            enough.set()
        await holding

    async def _end(self) -> None:
        """Wait until every run that was started has come to its end."""
        watching = asyncio.create_task(self.stalls.watch())
        ending = ENDING if self._options.without is None else ENDING_UNSAFE
        until = time.monotonic() + ending
        try:
            while await self._count(OPEN) or await self._count(REPORTED) < len(
                self.runs
            ):
                if time.monotonic() > until:
                    self._findings.add("runs did not come to their end")
                    return
                await asyncio.sleep(AGAIN)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _members(self) -> list[Member]:
        folder, database = self._folder, self._server.database
        ensure_master_keys(folder / MASTER_KEY)
        development_key(folder)
        members: list[Member] = []
        for role, count in CREW.items():
            for number in range(count):
                near = number + 1 < max(count, 2)
                app = database.app if near else through(self._database.port, APP)
                feeder = (
                    database.projector
                    if near
                    else through(self._database.port, PROJECTOR)
                )
                parts = urlsplit(self._broker.url)
                login, _, _ = parts.netloc.rpartition("@")
                via = f"{login}@127.0.0.1:{self._messages.port}"
                broker = parts if near else parts._replace(netloc=via)
                name = f"{role}-{number}"
                own = folder / name
                own.mkdir()
                settings = {
                    "REHEARSAL_DATA_DIR": str(own),
                    "REHEARSAL_OWNER_URL": database.owner,
                    "REHEARSAL_APP_URL": app,
                    "REHEARSAL_PROJECTOR_URL": feeder,
                    "REHEARSAL_READER_URL": database.reader,
                    "REHEARSAL_KEYS_URL": database.keys,
                    "REHEARSAL_MASTER_KEY_FILE": str(folder / MASTER_KEY),
                    "REHEARSAL_TOKEN_PUBLIC_KEY_FILES": str(folder / TOKEN_KEY),
                    "REHEARSAL_BROKER": broker.geturl(),
                    "REHEARSAL_LEASE_SECONDS": str(LEASE_SECONDS),
                }
                members.append(
                    Member(
                        name=name,
                        role=role,
                        environment=environment(settings),
                        log=folder / f"{name}.log",
                        near=near,
                        without=self._options.without,
                    )
                )
        return members

    def _is_serving(self) -> bool:
        """Say whether there is a worker who could take what waits, and is told."""
        settled = time.monotonic() - SETTLING
        serving = {m.role for m in self._fleet.members if m.serving and m.near}
        up = all(since < settled for since in self._up_since.values())
        return up and {"work", "dispatch"} <= serving

    async def _hold_runs(self, enough: asyncio.Event) -> None:
        """Start runs, a few at a time, until it is enough."""
        async with open_event_log(
            self._server.database.app, application_name="chaos runs"
        ) as log:
            handler = Handler(log=log, deciders=DECIDER_OF, guard=guard.check)
            for command in library(TESTS, trials=TRIALS):
                await surely(handler, command)
            producer = Producer(
                self._broker.url, keys=self._folder, org=ORG, actor=ACTOR
            )
            while not enough.is_set():
                self.faults["commands asked again"] = producer.asked_again
                done = await self._count(COMPLETED)
                self._finished = await self._count(FINISHED)
                if len(self.runs) - done >= AT_A_TIME:
                    await asyncio.sleep(AGAIN)
                    continue
                start = replace(
                    A_LIVE_RUN,
                    run_id=SetRunId(new_id()),
                    seed=1000 * self._options.seed + len(self.runs),
                    concurrency=CONCURRENCY,
                    allow_parallel=True,
                )
                self.runs.append(start)
                await producer.ask(start)

    async def _kill_on(self) -> None:
        """Kill and pause, until enough was."""
        random, options = self._random, self._options
        # RabbitMQ 3.10 may leave a queue stuck that is younger than a second.
        await asyncio.sleep(FIRST)
        every = max(2, options.kills // max(1, options.restarts))
        while self.kills.total() < options.kills or (
            self.kills["broker"] < options.restarts
        ):
            number = self.kills.total() + 1
            if number % every == 0 and self.kills["broker"] < options.restarts:
                await self._kill_broker()
            elif number % SERVER_EVERY == 0:
                await self._kill_server()
            else:
                await self._harm_role()
            await asyncio.sleep(random.uniform(0.1, 0.8))
            await self._progress()

    async def _progress(self) -> None:
        """Return once some work was done since, so that it is work that is harmed."""
        until = time.monotonic() + STARVED
        before = self._finished
        while self._finished < before + BETWEEN and time.monotonic() < until:  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(AGAIN)

    async def _harm_role(self) -> None:
        random = self._random
        (role,) = random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        member = random.choice([m for m in self._fleet.members if m.role == role])
        pauses = PAUSES_UNFENCED if self._options.without == "fence" else PAUSES
        if random.random() < pauses and member.serving:
            self.faults[f"pauses of {role}"] += 1
            seconds = LEASE_SECONDS * random.uniform(1.1, 1.6)
            task = asyncio.create_task(member.pause(seconds))
            self._pausing.add(task)
            task.add_done_callback(self._pausing.discard)
        elif (member.ready.is_set() or random.random() < PAUSES) and member.send(
            signal.SIGKILL
        ):
            self.kills[role] += 1
            await asyncio.sleep(0)

    async def _kill_server(self) -> None:
        self._up_since["server"] = float("inf")
        await self._server.kill()
        await asyncio.sleep(self._random.random())
        await self._server.restart()
        self._up_since["server"] = time.monotonic()
        self.kills["server"] += 1

    async def _kill_broker(self) -> None:
        self._up_since["broker"] = float("inf")
        if self._random.random() < 0.8:
            await self._broker.crash()
        else:
            await self._broker.stop()
        await asyncio.sleep(self._random.random())
        await self._broker.start()
        self._up_since["broker"] = time.monotonic()
        self.kills["broker"] += 1

    async def _trouble(self, proxy: Proxy) -> None:
        """Trouble what passes a proxy."""
        random = self._random
        while True:
            await asyncio.sleep(random.uniform(0.5, 3.0))
            (fault,) = random.choices(list(FAULTS), list(FAULTS.values()))
            self.faults[fault] += 1
            match fault:
                case "reset":
                    proxy.reset()
                case "delay":
                    await proxy.delay(random.uniform(0.01, 0.1), random.random())
                case "silence":
                    await proxy.swallow(random.uniform(0.2, 3.0))
                case _:
                    side = random.choice(("client", "server"))
                    await proxy.half_open(side, random.uniform(0.5, 4.0))  # type: ignore[arg-type]

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

    async def _tell(self) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(TOLD_EVERY)
            if not self._options.quiet:
                sys.stderr.write(
                    f"{time.monotonic() - began:6.0f} s  "
                    f"{self._finished:>7,} trials  {len(self.runs):>3} runs  "
                    f"{self.kills.total():>4} kills  "
                    f"{self.kills['broker']:>3} of the broker  "
                    f"longest wait {self.stalls.longest:.1f} s\n"
                )


async def surely(handler: Handler, command: Command) -> None:
    """Have a command carried out, whatever happens to the database meanwhile."""
    key = new_id()
    meta = Meta(
        command_id=key,
        org_id=ORG,
        region="local",
        actor=ACTOR,
        correlation_id=key,
        occurred_at=now(),
        roles=frozenset({"admin"}),
    )
    while True:
        try:
            await handler.handle(command, meta)
        except Unavailable:
            await asyncio.sleep(AGAIN)
        else:
            return


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
    async with (
        chaos_server(embedded=options.embedded) as server,
        temporary_broker(programs) as broker,
    ):
        database = server.database
        await furnish(owner=database.owner, projector=database.projector)
        await record(database.owner, without=options.without)
        campaign = Campaign(options, server, broker, folder, findings)
        await campaign.run()
        audited = await judge_work(
            database,
            tests=TESTS,
            trials=TRIALS,
            runs=campaign.runs,
            findings=findings,
        )
    report = Report(
        seed=options.seed,
        without=options.without,
        postgres=server.major,
        rabbitmq=programs.version,
        seconds=round(time.monotonic() - began, 1),
        kills={"all": campaign.kills.total(), **campaign.kills},
        faults=campaign.faults,
        waits={
            "looks": campaign.stalls.looks,
            "longest, s": round(campaign.stalls.longest, 1),
            "allowed, s": LEFT_SECONDS,
        },
        audited=audited,
        violations=findings.violations,
    )
    if report.as_expected:
        shutil.rmtree(folder)
    else:
        sys.stderr.write(f"what everybody said is in {folder}\n")
    return report
