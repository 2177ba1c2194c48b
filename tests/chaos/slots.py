"""Testers race for the last places of playgrounds while processes are killed.

Each tester reserves, submits, gives up, lets its place expire, withdraws; asks twice at
once, asks again with the same id wherever an answer was lost. Caps are raised by a few
places at a time, so the race is always for the last ones. Afterwards the ledgers, the
evaluations, the counters and what testers were told have to agree.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID, uuid5

import aiohttp
import asyncpg
import msgspec

from events.ids import EvaluationId, PlaygroundId, QuestionId
from events.message import Command, Event
from events.playgrounds.allocations import SlotConsumed, SlotReserved, SlotReturned
from infra.clock import new_id
from infra.furnishing import furnish
from infra.operations.allocations import verified, worded
from infra.operations.verify import verify
from infra.postgres.event_log import PostgresEventLog, open_event_log
from infra.postgres.pool import Pool, open_pool
from infra.postgres.vault import open_vault
from infra.sealing import read_master_keys
from projections.catalogue import TABLES
from projections.checkpoints import Watch
from services.http.reading import PoolReader
from services.identity import Identity
from services.playgrounds import ledgers
from services.playgrounds.asking import GivenAnswer
from services.playgrounds.evaluations import (
    AbandonEvaluation,
    SubmitEvaluation,
    WithdrawEvaluation,
)
from services.playgrounds.ledgers import ReserveSlot
from services.playgrounds.playgrounds import (
    ConfigureModel,
    CreatePlayground,
    NewModel,
)
from services.playgrounds.questions import NewQuestion, Option
from tests.chaos.findings import Findings, Violation
from tests.chaos.server import ChaosServer, chaos_server
from tests.chaos.stack import Stack


SPACE: Final = UUID("6a1f0c52-1c1f-5c3e-8f5a-5a3a1f0f2d77")
ORG: Final = "chaos"
KEYS: Final = ("model_a", "model_b")
WIDGET: Final = '<elevenlabs-convai agent-id="chaos"></elevenlabs-convai>'
HOLD_SECONDS: Final = 2
SPARE: Final = 3
TOLD_EVERY: Final = 5.0
GIVES_UP: Final = 30.0
SETTLING: Final = 60.0
OWNER: Final = Identity(
    org_id=ORG, region="local", actor="user:owner", roles=frozenset({"admin"})
)

GROUP: Final = "playgrounds"
LONG: Final = timedelta(hours=3)

RESERVED: Final = """
SELECT coalesce(sum(reserved), 0)::integer AS reserved
FROM playgrounds.evaluation_counters
"""

END_BACKEND: Final = """
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE datname = current_database()
AND application_name LIKE 'rehearsal%'
ORDER BY random()
LIMIT 1
"""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how hard; an attempt is a request for a place."""

    attempts: int = 20_000
    testers: int = 64
    playgrounds: int = 5
    apis: int = 4
    kills: int = 60
    server_kills: int = 2
    seed: int = 1
    seconds: float = 1_500.0
    embedded: bool = False
    quiet: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign in figures."""

    seed: int
    seconds: float
    attempts: int
    kills: Mapping[str, int]
    asked: Mapping[str, int]
    answered: Mapping[str, int]
    proved: Mapping[str, int]
    violations: Mapping[str, Violation]

    @property
    def as_expected(self) -> bool:
        """Say whether nothing was violated."""
        return not self.violations

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"slots: seed {self.seed}, {self.seconds:.0f} s"]
        lines.append(f"  {self.attempts:,} attempts to get a place")
        for name in ("kills", "asked", "answered", "proved"):
            figures: Mapping[str, int] = getattr(self, name)
            told = ", ".join(f"{key} {value:,}" for key, value in figures.items())
            lines.append(f"  {name}: {told}")
        total = sum(each.count for each in self.violations.values())
        lines.append(f"  {total} violations")
        for name, violation in self.violations.items():
            lines.append(f"    {name}: {violation.count} {violation.examples}")
        return "\n".join(lines)


class Told:
    """What testers were told, to be held against what is recorded."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.reserved: set[UUID] = set()
        self.submitted: set[UUID] = set()
        self.withdrawn: set[UUID] = set()
        self.attempts = 0


class Asking:
    """Sends commands to some API, again with the same id until one answers."""

    def __init__(
        self, http: aiohttp.ClientSession, stack: Stack, told: Told, random: Random
    ) -> None:
        self._http = http
        self._stack = stack
        self._told = told
        self._random = random
        self._tokens: dict[str, str] = {}

    async def ask(self, command: Command, *, by: str) -> tuple[int, Any]:
        """Return the status and the answer."""
        kind = type(command).__name__
        self._told.asked[kind] += 1
        headers = {
            "Authorization": f"Bearer {self._token(by)}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(new_id()),
        }
        body = msgspec.json.encode(command)
        give_up_at = time.monotonic() + GIVES_UP
        while True:
            url = f"{self._random.choice(self._stack.apis).url}/v1/commands"
            try:
                async with self._http.post(url, data=body, headers=headers) as answer:
                    content = await answer.json(content_type=None)
                    if answer.status < 500 and answer.status not in (409, 429):
                        self._count(kind, answer.status, content)
                        return answer.status, content
            except (aiohttp.ClientError, TimeoutError, ValueError):
                self._told.answered["lost"] += 1
            if time.monotonic() > give_up_at:
                self._told.answered["given up"] += 1
                return 0, None
            await asyncio.sleep(0.02 + self._random.random() * 0.1)

    def _count(self, kind: str, status: int, content: Any) -> None:  # noqa: ANN401 - JSON
        if status == 200:
            self._told.answered[f"{kind} {content['status']}"] += 1
        else:
            self._told.answered[f"{kind} {content['type'].rpartition('/')[2]}"] += 1

    def _token(self, by: str) -> str:
        if by not in self._tokens:
            role = "admin" if by == "owner" else "tester"
            self._tokens[by] = self._stack.issuer.issue(
                f"user:{by}", org=ORG, roles=[role], lifetime=LONG
            )
        return self._tokens[by]


class Campaign:
    """Everything that runs at once."""

    def __init__(
        self, options: Options, server: ChaosServer, stack: Stack, findings: Findings
    ) -> None:
        self.told = Told()
        self.kills: Counter[str] = Counter()
        self._options = options
        self._server = server
        self._stack = stack
        self._findings = findings
        self._stop = asyncio.Event()
        self._caps: Counter[tuple[UUID, str]] = Counter()
        self.playgrounds = [
            PlaygroundId(uuid5(SPACE, f"{options.seed}/{number}"))
            for number in range(options.playgrounds)
        ]

    async def run(self) -> None:
        """Let testers race until enough was tried, then let every place settle."""
        options = self._options
        connector = aiohttp.TCPConnector(limit=0, force_close=False)
        patience = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(connector=connector, timeout=patience) as http:
            asking = Asking(http, self._stack, self.told, Random(f"{options.seed}/a"))  # noqa: S311 - repeatable
            for playground_id in self.playgrounds:
                await self._create(asking, playground_id)
            tasks = [
                asyncio.create_task(self._tester(asking, number))
                for number in range(options.testers)
            ]
            others = [
                asyncio.create_task(each)
                for each in (self._raise(asking), self._harm(), self._tell())
            ]
            began = time.monotonic()
            while self.told.attempts < options.attempts or self._kills_due():
                await asyncio.sleep(0.1)
                if time.monotonic() - began > options.seconds:
                    self._findings.add("the campaign ran out of time")
                    break
                ended = [task for task in (*tasks, *others) if task.done()]
                for task in ended:
                    task.result()
            self._stop.set()
            await asyncio.gather(*tasks)
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        for role in self._stack.roles:
            await role.kill()
            await role.start()

    def _kills_due(self) -> bool:
        return self.kills["processes"] < self._options.kills

    async def _create(self, asking: Asking, playground_id: PlaygroundId) -> None:
        create = CreatePlayground(
            playground_id=playground_id,
            name="Last places",
            kind="ab_testing",
            models=[
                NewModel(
                    model_key=key,
                    model_name=key,
                    embed_code=WIDGET,
                    max_evaluations=SPARE,
                )
                for key in KEYS
            ],
            questions=[
                NewQuestion(
                    question_id=QuestionId(playground_id),
                    question_text="Which?",
                    question_type="select",
                    options=[Option(label="Yes", value="yes")],
                )
            ],
            repetitions=1_000_000,
            hold_seconds=HOLD_SECONDS,
            seed=self._options.seed,
        )
        status, answer = await asking.ask(create, by="owner")
        if status != 200:
            self._findings.add("a playground was not created", str(answer))
        for key in KEYS:
            self._caps[playground_id, key] = SPARE

    async def _raise(self, asking: Asking) -> None:
        """Add a few places to each model again and again."""
        while True:
            for playground_id in self.playgrounds:
                for key in KEYS:
                    self._caps[playground_id, key] += 2
                    configure = ConfigureModel(
                        playground_id=playground_id,
                        model_key=key,
                        model_name=key,
                        embed_code=WIDGET,
                        max_evaluations=self._caps[playground_id, key],
                    )
                    await asking.ask(configure, by="owner")
            await asyncio.sleep(0.2)

    async def _harm(self) -> None:
        """Kill processes, backends and at times the whole server, spread evenly."""
        options = self._options
        random = Random(f"{options.seed}/harm")  # noqa: S311 - repeatable
        every = max(2, options.kills // (options.server_kills + 1))
        while True:
            number = self.kills["processes"] + 1
            due = options.attempts * number // (options.kills + 1)
            if self.told.attempts < due or number > options.kills:
                await asyncio.sleep(0.05)
                continue
            role = await self._stack.harm(random)
            self.kills["processes"] += 1
            self.kills[role.name] += 1
            await self._end_backend()
            if number % every == 0 and self.kills["server"] < options.server_kills:
                await self._server.kill()
                await self._server.restart()
                self.kills["server"] += 1

    async def _end_backend(self) -> None:
        connection = await asyncpg.connect(self._server.database.superuser)
        try:
            if await connection.fetchval(END_BACKEND):
                self.kills["backends"] += 1
        finally:
            await connection.close()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            if not self._options.quiet:
                sys.stderr.write(
                    f"  {self.told.attempts:>7,} attempts"
                    f"  {len(self.told.submitted):>6,} submitted"
                    f"  {self.kills['processes']:>4} kills\n"
                )

    async def _tester(self, asking: Asking, number: int) -> None:
        """Do what testers do, well and badly."""
        name = f"tester-{number}"
        random = Random(f"{self._options.seed}/tester/{number}")  # noqa: S311 - repeatable
        while not self._stop.is_set():
            playground_id = random.choice(self.playgrounds)
            got = await self._reserve(asking, playground_id, name, random)
            for session_id in got:
                await self._evaluate(asking, playground_id, session_id, name, random)

    async def _reserve(
        self, asking: Asking, playground_id: PlaygroundId, name: str, random: Random
    ) -> list[EvaluationId]:
        """Ask for a place, at times for two at once; return what was given."""
        sessions = [EvaluationId(new_id()) for _ in range(1 + (random.random() < 0.15))]
        self.told.attempts += len(sessions)
        answers = await asyncio.gather(
            *(
                asking.ask(
                    ReserveSlot(playground_id=playground_id, session_id=each), by=name
                )
                for each in sessions
            )
        )
        got = [
            session_id
            for session_id, (status, _) in zip(sessions, answers, strict=True)
            if status == 200
        ]
        self.told.reserved.update(got)
        return got

    async def _evaluate(
        self,
        asking: Asking,
        playground_id: PlaygroundId,
        session_id: EvaluationId,
        name: str,
        random: Random,
    ) -> None:
        """Submit, mostly; or give up, come too late, submit twice, withdraw."""
        submit = SubmitEvaluation(
            session_id=session_id,
            answers=[
                GivenAnswer(question_id=QuestionId(playground_id), answer_value="yes")
            ],
        )
        way = random.random()
        if way < 0.08:
            await asking.ask(AbandonEvaluation(session_id=session_id), by=name)
            return
        if way < 0.11:
            await asyncio.sleep(HOLD_SECONDS + random.uniform(-0.1, 0.4))
        twice = 2 if way > 0.9 else 1
        answers = await asyncio.gather(
            *(asking.ask(submit, by=name) for _ in range(twice))
        )
        if any(status == 200 for status, _ in answers):
            self.told.submitted.add(session_id)
            if 0.8 < way < 0.85:
                withdraw = WithdrawEvaluation(session_id=session_id)
                status, _ = await asking.ask(withdraw, by=name)
                if status == 200:
                    self.told.withdrawn.add(session_id)


async def run(options: Options) -> Report:
    """Run a campaign and return its report."""
    began = time.monotonic()
    findings = Findings()
    folder = Path(tempfile.mkdtemp(prefix="slots-"))
    async with chaos_server(embedded=options.embedded) as server:
        await furnish(owner=server.database.owner, projector=server.database.projector)
        stack = Stack(server.database, folder, apis=options.apis)
        try:
            await stack.start()
            campaign = Campaign(options, server, stack, findings)
            await campaign.run()
            proved = await audit(campaign, server, folder, findings)
        finally:
            await stack.end()
    report = Report(
        seed=options.seed,
        seconds=time.monotonic() - began,
        attempts=campaign.told.attempts,
        kills=campaign.kills,
        asked=campaign.told.asked,
        answered=dict(sorted(campaign.told.answered.items())),
        proved=proved,
        violations=findings.violations,
    )
    if report.as_expected:
        shutil.rmtree(folder)
    else:
        sys.stderr.write(f"what everybody wrote down is in {folder}\n")
    return report


class Recorded:
    """What the ledgers say of every place."""

    def __init__(self) -> None:
        self.facts: Counter[str] = Counter()
        self.places: dict[type[Event], set[UUID]] = {}

    async def read(self, log: PostgresEventLog, playground_id: PlaygroundId) -> None:
        """Read a playground's ledger."""
        stream = await log.read_stream(f"{ledgers.decider.category}-{playground_id}")
        for fact in stream.events:
            event = fact.event
            self.facts[type(event).__name__] += 1
            if isinstance(event, SlotReserved | SlotConsumed | SlotReturned):
                self.places.setdefault(type(event), set()).add(event.session_id)

    def lack(self, kind: type[Event], told: set[UUID]) -> set[UUID]:
        """Return what testers were told and no ledger says."""
        return told - self.places.get(kind, set())


async def audit(
    campaign: Campaign, server: ChaosServer, folder: Path, findings: Findings
) -> Mapping[str, int]:
    """Hold the ledgers, the evaluations, the counters and the testers together."""
    database, counts, recorded = server.database, Counter[str](), Recorded()
    keys = read_master_keys(folder / "master.key")
    async with (
        open_vault(database.keys, keys, ids=new_id) as vault,
        open_event_log(database.app, vault=vault, application_name="audit") as log,
        await open_pool(
            database.app, min_size=1, max_size=2, application_name="audit"
        ) as pool,
    ):
        await settled(log, pool, findings)
        for playground_id in campaign.playgrounds:
            found = await verified(log, PoolReader(pool), OWNER, playground_id)
            for flaw in found.proof.flaws:
                findings.add("a ledger has a flaw", worded(flaw))
            for problem in found.problems:
                findings.add("a ledger and another disagree", problem)
            counts["allocations"] += found.proof.allocations
            counts["evaluations"] += found.evaluations
            await recorded.read(log, playground_id)
    told = campaign.told
    for kind, heard in (
        (SlotReserved, told.reserved),
        (SlotConsumed, told.submitted),
        (SlotReturned, told.withdrawn),
    ):
        for lost in recorded.lack(kind, heard):
            findings.add(f"told and not recorded: {kind.__name__}", str(lost))
    report = await verify(database.owner, tables=TABLES)
    if not report.ok:
        findings.add("the log is not whole", str(report.first_bad))
    return counts + recorded.facts


async def settled(log: PostgresEventLog, pool: Pool, findings: Findings) -> None:
    """Wait until no place is reserved and the tables hold what the log holds."""
    watch, reader = Watch(pool), PoolReader(pool)
    give_up_at = time.monotonic() + SETTLING
    while True:
        head = await log.head()
        reached = await watch.wait_for(GROUP, head.position, SETTLING)
        (row,) = await reader.read(OWNER, RESERVED, [])
        if row["reserved"] == 0 and reached >= head.position:
            return
        if time.monotonic() > give_up_at:
            stuck = f"{row['reserved']} reserved, {reached} of {head.position}"
            findings.add("places stayed reserved, or tables behind", stuck)
            return
        await asyncio.sleep(0.2)
