"""A campaign: writers and observers at work, things killed meanwhile, then an audit."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid5

import asyncpg
import msgspec

from infra.postgres.roles import APP, PROJECTOR
from projections.builds import ensure
from tests.chaos import audit, watching, writing
from tests.chaos.children import Child, spawn
from tests.chaos.commands import SPACE
from tests.chaos.findings import Findings, Report, summed
from tests.chaos.harm import remove_lock, trouble_commits
from tests.chaos.killing import Killer
from tests.chaos.proxy import Proxy
from tests.chaos.server import ChaosServer, chaos_server, through
from tests.chaos.tables import GROUP


COMPLAINTS: Final = "complaints.log"
COMPLAINT: Final = 2_000  # characters
PROCESSES: Final = 2
SERVER_KILLS_EVERY: Final = 14

# Streams are few, so that writers meet. Without the lock they would wait for each other
# all the same, at the unique keys of what they meet at, and nothing would be shown.
LOCKED: Final[Mapping[str, Any]] = {"lanes": 20, "streams": 200, "meeting": True}
UNLOCKED: Final[Mapping[str, Any]] = {"lanes": 3, "streams": 20_000, "meeting": False}

TOLD_EVERY: Final = 5.0
STALLED: Final = 60.0
ENDING: Final = 120.0
PATIENT: Final = 5.0
IMPATIENT: Final = 1.0
FAULTS: Final = {"answers": 55, "reset": 10, "delay": 12, "silence": 8, "half-open": 15}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how hard."""

    commands: int = 100_000
    kills: int = 320
    seed: int = 1
    seconds: float = 1500.0
    writers: int = 16
    without: str | None = None
    embedded: bool = False
    quiet: bool = False

    @property
    def server_kills_every(self) -> int:
        """Return the distance of kills of the whole server among all kills."""
        return max(2, min(SERVER_KILLS_EVERY, self.kills // 2))


class NotStartedError(Exception):
    """A process of the campaign did not start; what it said last."""


class Phases:
    """How long each part took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def end(self, name: str) -> None:
        """Say that a part is over."""
        now = time.monotonic()
        self.seconds[name] = round(now - self._since, 1)
        self._since = now


class Campaign:
    """Everything that runs at once, and what is known of it."""

    def __init__(
        self,
        options: Options,
        server: ChaosServer,
        folder: Path,
        findings: Findings,
        phases: Phases,
    ) -> None:
        self.faults: Counter[str] = Counter()
        self.server_kills = 0
        self.processes_killed = 0
        self.away: list[float] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self._options = options
        self._server = server
        self._folder = folder
        self._findings = findings
        self._random = Random(f"{options.seed}/campaign")  # noqa: S311 - repeatable
        self.proxy = Proxy("127.0.0.1", server.port, self._random)
        self.killer = Killer(server, self._random)
        self._acknowledged: dict[str, int] = {}
        self._ready: set[str] = set()
        self._writers: list[Child] = []
        self._observers: list[Child] = []
        self._began = time.monotonic()
        self._phases = phases

    @property
    def acknowledged(self) -> int:
        """Return how many commands the writers know to be stored."""
        return sum(self._acknowledged.values())

    @property
    def kills(self) -> int:
        """Return how often something was killed."""
        return self.killer.kills + self.server_kills

    @property
    def readers(self) -> list[str]:
        """Return the names of the readers."""
        return ["direct", "proxied", "second"]

    async def run(self) -> None:
        """Start everything, do harm until enough was done, and let all end in order."""
        await self.proxy.open()
        try:
            await self._spawn()
            await self._until(self._is_ready)
            if not self._is_ready():
                raise NotStartedError(_end_of(self._folder / COMPLAINTS))
            self._phases.end("starting")
            harm = [
                asyncio.create_task(self._kill_on()),
                asyncio.create_task(self._trouble_on()),
                asyncio.create_task(self._tell_on()),
            ]
            await self._until(self._is_enough)
            for task in harm:
                task.cancel()
            for ended in await asyncio.gather(*harm, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended
            if self._server.down.is_set():
                await self._server.restart()
            self._phases.end("harm")
            await self._end()
            self._phases.end("ending")
        finally:
            for child in (*self._writers, *self._observers):
                await child.end()
            await self.killer.close()
            await self.proxy.close()

    async def _spawn(self) -> None:
        options, database = self._options, self._server.database
        proxied = through(self.proxy.port, APP)
        for place in range(PROCESSES):
            numbers = range(place, options.writers, PROCESSES)
            config = writing.Config(
                seed=options.seed,
                **(LOCKED if options.without is None else UNLOCKED),
                folder=str(self._folder),
                direct_dsn=database.app,
                writers=[
                    writing.WriterConfig(
                        number=number,
                        dsn=proxied if number // PROCESSES % 2 else database.app,
                        patience=IMPATIENT if number // PROCESSES % 4 > 1 else PATIENT,
                    )
                    for number in numbers
                ],
            )
            name = f"writers {place}"
            self._writers.append(await self._child("writing", name, config))
        for place, readers in enumerate((("direct", "proxied"), ("second",))):
            observers = watching.Config(
                folder=str(self._folder),
                readers=[
                    watching.ReaderConfig(
                        name=name, dsn=proxied if name == "proxied" else database.app
                    )
                    for name in readers
                ],
                source_dsn=database.app,
                projector_dsn=through(self.proxy.port, PROJECTOR)
                if place
                else database.projector,
                owner=uuid5(SPACE, f"observers {place}"),
            )
            name = f"observers {place}"
            self._observers.append(await self._child("watching", name, observers))

    async def _child(self, module: str, name: str, config: object) -> Child:
        def hear(answer: dict[str, Any]) -> None:
            if "acknowledged" in answer:
                self._acknowledged[name] = answer["acknowledged"]
            if "ready" in answer:
                self._ready.add(name)
            if "defects" in answer:
                self.answers[name] = answer

        return await spawn(
            f"tests.chaos.{module}",
            config,
            name=name,
            log=self._folder / COMPLAINTS,
            hear=hear,
        )

    def _is_ready(self) -> bool:
        return len(self._ready) == len(self._writers) + len(self._observers)

    def _is_enough(self) -> bool:
        options = self._options
        return self.acknowledged >= options.commands and self.kills >= options.kills

    async def _until(self, reached: Any) -> None:  # noqa: ANN401 - a predicate
        """Wait for something; end early where a process died or nothing moves."""
        known, since = -1, time.monotonic()
        while not reached():
            await asyncio.sleep(0.02)
            now = time.monotonic()
            if self.acknowledged != known:
                known, since = self.acknowledged, now
            if now - self._began > self._options.seconds:
                self._findings.add("the campaign ran out of time")
                return
            if now - since > STALLED:
                self._findings.add("nothing was acknowledged for a minute")
                return
            for child in (*self._writers, *self._observers):
                if child.process.returncode is not None:
                    self._findings.add("a process died", child.name)
                    return

    async def _kill_on(self) -> None:
        """Kill backends and servers, evenly over the commands."""
        options = self._options
        while self.kills < options.kills:
            number = self.kills + 1
            due = options.commands * number // (options.kills + 1)
            if self.acknowledged < due:
                await asyncio.sleep(0.01)
            elif number % options.server_kills_every == 0:
                await self._kill_server()
            else:
                await self.killer.kill()

    async def _kill_server(self) -> None:
        began = time.monotonic()
        self.processes_killed += await self._server.kill()
        await asyncio.sleep(self._random.random() * 0.3)
        await self._server.restart()
        self.server_kills += 1
        self.away.append(time.monotonic() - began)

    async def _trouble_on(self) -> None:
        """Trouble what passes the proxy."""
        random, proxy = self._random, self.proxy
        while True:
            await asyncio.sleep(random.uniform(0.05, 0.4))
            (fault,) = random.choices(list(FAULTS), list(FAULTS.values()))
            self.faults[fault] += 1
            match fault:
                case "answers":
                    proxy.lose_answers(random.randint(1, 3))
                case "reset":
                    proxy.reset()
                case "delay":
                    await proxy.delay(random.uniform(0.01, 0.1), random.random())
                case "silence":
                    await proxy.swallow(random.uniform(0.1, 1.5))
                case _:
                    side = random.choice(("client", "server"))
                    await proxy.half_open(side, random.uniform(0.2, 2.0))  # type: ignore[arg-type]

    async def _tell_on(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            if not self._options.quiet:
                sys.stderr.write(
                    f"{time.monotonic() - self._began:6.0f} s  "
                    f"{self.acknowledged:>8,} commands  {self.kills:>4} kills  "
                    f"{self.server_kills:>3} of the server  "
                    f"{self.proxy.answers_lost:>4} answers lost\n"
                )

    async def _end(self) -> None:
        """Let writers finish, then readers see everything."""
        for child in self._writers:
            child.tell("stop")
        await self._await(self._writers)
        head = await self._head()
        for child in self._observers:
            child.tell(watching.Finish(upto=head))
        await self._await(self._observers)

    async def _await(self, children: list[Child]) -> None:
        for child in children:
            try:
                async with asyncio.timeout(ENDING):
                    code = await child.wait()
            except TimeoutError:
                self._findings.add("a process did not end", child.name)
                continue
            if code or child.name not in self.answers:
                self._findings.add("a process failed", f"{child.name}: {code}")

    async def _head(self) -> int:
        connection = await asyncpg.connect(self._server.database.superuser)
        try:
            head = await connection.fetchval("SELECT max(position) FROM es.events")
        finally:
            await connection.close()
        return int(head or 0)


async def run(options: Options) -> Report:
    """Run a campaign and return its report; where it fails, its folder is kept."""
    phases = Phases()
    findings = Findings()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    async with chaos_server(embedded=options.embedded) as server:
        await _prepare(server, options)
        phases.end("preparing")
        campaign = Campaign(options, server, folder, findings, phases)
        await campaign.run()
        told = campaign.answers.values()
        for answer in told:
            findings.add_all("a defect", answer["defects"])
            for name, holes in answer.get("holes", {}).items():
                if holes:
                    findings.add("a reader met holes", f"reader {name}", holes)
        commands, held, audited = await audit.audit(
            server.database,
            folder,
            campaign.readers,
            findings,
            tables=options.without is None,
        )
        phases.end("auditing")
    report = Report(
        seed=options.seed,
        without=options.without,
        postgres=server.major,
        seconds=phases.seconds,
        commands=commands,
        log=held,
        kills=_kills(campaign),
        faults={**campaign.faults, "answers lost": campaign.proxy.answers_lost},
        writers=_counts(campaign, "writers"),
        observers=_counts(campaign, "observers"),
        audited=audited,
        violations=findings.violations,
    )
    if report.as_expected:
        shutil.rmtree(folder)
    else:
        sys.stderr.write(f"what everybody wrote down is in {folder}\n")
    return report


async def _prepare(server: ChaosServer, options: Options) -> None:
    await trouble_commits(server.database.owner)
    if options.without == "lock":
        await remove_lock(server.database.owner)
    connection = await asyncpg.connect(server.database.projector)
    try:
        async with connection.transaction():
            await ensure(connection, GROUP)
    finally:
        await connection.close()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-COMPLAINT:]


def _kills(campaign: Campaign) -> Mapping[str, int]:
    return {
        "all": campaign.kills,
        "server": campaign.server_kills,
        "backends": campaign.killer.kills,
        "processes of servers": campaign.processes_killed,
        "longest absence, ms": round(1000 * max(campaign.away, default=0)),
        **{f"in {moment}": count for moment, count in campaign.killer.counts.items()},
    }


def _counts(campaign: Campaign, kind: str) -> Mapping[str, int]:
    return summed(
        *(
            answer["counts"]
            for name, answer in campaign.answers.items()
            if name.startswith(kind)
        )
    )
