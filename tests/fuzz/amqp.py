"""Bad messages: each is answered or put aside with its reason, and stops nobody.

What is answered is judged as over HTTP. What can never be handled must be among the
letters as well, with the same reason, path and body; what has no place for its answer
must be there too, unless it took effect.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any, Final
from uuid import UUID, uuid5

import aio_pika
import asyncpg
import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import ChannelNotFoundEntity
from hypothesis import strategies as st

from infra.clock import now
from infra.rabbit.topology import Topology
from services.commanding import BATCH_BYTES, BATCH_COMMANDS, COMMAND_BYTES
from services.problems import MEDIA_TYPE
from tests.fuzz import tokens
from tests.fuzz.bodies import DELETE
from tests.fuzz.commands import ANY, Draw, exercise, spoil
from tests.fuzz.making import (
    KINDS,
    NEVER,
    NOT_JSON,
    SELDOM,
    STRATEGIES,
    encoded,
    same_place,
)
from tests.fuzz.stack import OTHER_ORG, Stack, role
from tests.fuzz.wire import LEAKS, TYPES, Accepted, Problem
from tests.raw_amqp import ODD, RawChannel


VARIANTS: Final = 10
PATIENCE: Final = 60.0
SOON: Final = 10.0
IN_FLIGHT: Final = 200
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
BATCH: Final = "batch"
REFUSED: Final = range(400, 500)
PUT_ASIDE: Final = {
    "malformed", "unauthenticated", "too-large", "unsupported-media", "expired",
    "given-up", "defect",
}  # fmt: skip
LETTERS: Final = "SELECT message, code, path, detail, body, size FROM es.letters"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A message, and what must become of it.

    `statuses` are those that are right, of each verdict in a batch; `answered` whether
    there is somebody to take the answer.
    """

    kind: str
    body: bytes
    key: str
    statuses: Collection[int] = REFUSED
    path: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    answered: bool = True


@dataclass
class Asked:
    """A case that was sent."""

    case: Case
    correlation_id: str
    reply: "asyncio.Future[AbstractIncomingMessage]"


async def campaign(stack: Stack, broker: str, *, messages: int, start: int) -> None:
    """Send about so many messages by chance, and everything on the list."""
    stack = replace(stack, broker=broker)
    cases = [*made(stack, start), *generated(messages, start)]
    async with role(stack, "intake") as intake, _Sender.opened(stack, broker) as sender:
        await sender.ready()
        asked = await sender.send_all(cases)
        await _raw(stack, broker, sender)
        await sender.drained()
        for each in asked:
            judge(stack, each)
        await check_letters(stack, asked)
        await sender.send_again(start)
        if intake.returncode is not None:
            stack.findings.add("the intake died", str(intake.returncode))
    for line in stack.complaints("intake"):
        stack.findings.add("the intake logged an error", line[-280:])
    log = (stack.folder / "intake.log").read_text(errors="replace")
    for sign in ("consumer_ended", "broker_lost", "Traceback"):
        if sign in log:
            stack.findings.add("a consumer died", sign)


def generated(messages: int, start: int) -> list[Case]:
    """Return commands of every type, good and spoiled, alone and in batches."""
    found: list[Case] = []

    def test(draw: Draw) -> None:
        kind = draw(st.sampled_from(KINDS))
        commands = [draw(STRATEGIES[kind]) for _ in range(2)]
        random = draw(st.randoms(use_true_random=False, note_method_calls=False))
        chance = Random(random.getrandbits(64))  # noqa: S311 - to be repeated
        for number in range(VARIANTS):
            bad = spoil(chance, chance.choice(commands))
            if number % 5:
                name = f"message: {bad.kind}"
                case = Case(
                    kind=name,
                    body=bad.body,
                    key=str(kind.__struct_config__.tag),
                    statuses=bad.statuses,
                    path=bad.path,
                )
                if bad.statuses == ANY:
                    headers, path = chance.choice(HEADERS)
                    if headers:
                        case = replace(
                            case, kind="message: headers", headers=headers, path=path,
                            statuses=REFUSED,
                        )  # fmt: skip
                found.append(case)
            else:
                command_id = uuid5(UUID(int=start), f"batch {len(found)}")
                head = encoded({"command_id": str(command_id)})[:-1]
                lines = chance.random() < 0.5 and b"\n" not in bad.body
                body = head + b', "command": ' + bad.body + b"}"
                found.append(
                    Case(
                        kind=f"message: a batch with {bad.kind}",
                        body=body if lines else b"[%b]" % body,
                        key=BATCH,
                        statuses=(*bad.statuses, 400),
                        properties={"content_type": NDJSON if lines else JSON},
                    )
                )

    exercise(max(1, messages // VARIANTS), start, test)
    return found


NO_VERSIONS: Final[tuple[object, ...]] = (
    *("-1", "1.5", "NaN", "1" + "0" * 30, -5, 1.5, [], bytearray(b"1")),
)
HEADERS: Final[list[tuple[dict[str, Any], str | None]]] = [
    *[({}, None)] * 30,
    *(
        ({name: value}, f"headers.{name}")
        for name in ("rehearsal-correlation-id", "rehearsal-causation-id")
        for value in ("nobody", "", 7, bytearray(b"\xff"), [1], {"a": "b"}, "a\0b")
    ),
    *(
        ({"rehearsal-occurred-at": value}, "headers.rehearsal-occurred-at")
        for value in ("now", "2026-05-01T12:00:00", "2026-02-30T00:00:00Z", True, -1)
    ),
    *(
        ({"rehearsal-expected-version": value}, "headers.rehearsal-expected-version")
        for value in NO_VERSIONS
    ),
    ({"rehearsal-on-behalf-of": "user:\0"}, "headers.rehearsal-on-behalf-of"),
    ({"rehearsal-org-id": "somebody's"}, "headers.rehearsal-org-id"),
    ({"rehearsal-actor": "user:else"}, "headers.rehearsal-actor"),
]


def made(stack: Stack, start: int) -> Iterator[Case]:
    """Yield what was thought of, each once."""
    delete, key = encoded(DELETE), str(DELETE["type"])
    usual = Case(kind="message", body=delete, key=key)
    for name, body in {**NEVER, **NOT_JSON, **SELDOM}.items():
        array = body.startswith(b"[")
        yield replace(usual, kind=f"body: {name}", body=body, statuses=(400, 413))
        if array:
            yield replace(
                usual, kind=f"body: {name}", body=body, key=BATCH, statuses=(400, 413)
            )
    for name, header in tokens.bad_headers(stack):
        yield replace(
            usual,
            kind=f"token: {name}",
            headers={"authorization": header or None},
            statuses=(401,),
            path="headers.authorization",
        )
    odd: tuple[object, ...] = (
        *(7, True, bytearray(b"\xff"), ["Bearer"], {"Bearer": "x"}, "a\0b"),
    )
    for value in odd:
        yield replace(
            usual,
            kind="token: no text",
            headers={"authorization": value},
            statuses=(400, 401),
            path="headers.authorization",
        )
    viewer = {"authorization": f"Bearer {stack.token(roles=['viewer'], scopes=[])}"}
    yield replace(usual, kind="token: a viewer's", headers=viewer, statuses=(403,))
    theirs = {"authorization": f"Bearer {stack.token(org=OTHER_ORG)}"}
    yield replace(usual, kind="tenant: another's", headers=theirs, statuses=(404,))
    yield from _headed(usual)
    yield from _sized(usual)
    yield from _routed(usual)
    yield from _unanswered(usual)
    yield from _batched(usual, start)
    late = {"timestamp": now() - timedelta(hours=1), "expiration": 60.0}
    yield replace(usual, kind="expired", properties=late, statuses=(422,), path=None)


def _headed(usual: Case) -> Iterator[Case]:
    for headers, path in HEADERS:
        if headers:
            yield replace(usual, kind="header: lies", headers=headers, path=path)
    for value in ("1", "{}", "0" * 33, "g" * 32, "x" * 255, "\x7f", "\u202e"):
        yield replace(
            usual,
            kind="header: no id",
            properties={"message_id": value},
            path="properties.message_id",
        )
    for value in (
        "text/plain", "application/xml", "multipart/form-data; boundary=x", "*/*",
        "json", "application/json/json", "application/jsonp", "a" * 255, "\u202e",
    ):  # fmt: skip
        yield replace(
            usual,
            kind="header: another type",
            properties={"content_type": value},
            statuses=(415,),
            path="properties.content_type",
        )
    for value in ("gzip", "deflate", "br", "zstd", "identity, gzip", "utf-16", "x"):
        yield replace(
            usual,
            kind="header: an encoding",
            properties={"content_encoding": value},
            statuses=(415,),
            path="properties.content_encoding",
        )


def _sized(usual: Case) -> Iterator[Case]:
    padded = usual.body[:-1] + b" " * COMMAND_BYTES + b"}"
    yield replace(usual, kind="size: a command", body=padded, statuses=(413,))
    whole = b"[" + b" " * BATCH_BYTES + b"]"
    yield replace(usual, kind="size: a batch", body=whole, key=BATCH, statuses=(413,))
    lines = {"content_type": NDJSON}
    yield replace(
        usual,
        kind="size: lines",
        body=b"1\n" * (BATCH_COMMANDS + 1),
        key=BATCH,
        properties=lines,
        statuses=(413,),
    )
    long = {"x-long": "x" * 100_000}
    yield replace(usual, kind="size: a header", headers=long, statuses=(404,))


def _routed(usual: Case) -> Iterator[Case]:
    for key in (
        "", "#", "*", "testing", "testing.deletepersona", "testing.CreatePersona",
        "x" * 255, BATCH, "a\0b", "\u202e",
    ):  # fmt: skip
        yield replace(
            usual, kind="routing key: another", key=key, statuses=(400,),
            path="routing_key",
        )  # fmt: skip
    yield replace(
        usual, kind="routing key: another", body=b"[]", statuses=(400,),
        path="routing_key",
    )  # fmt: skip


def _unanswered(usual: Case) -> Iterator[Case]:
    """Yield messages with no place for an answer: what they ask for is refused."""
    for value in (
        None, "", "nowhere", "x" * 255, "a\0b", "\u202e", "amq.nothing",
        "rehearsal.commands", "rehearsal.commands.dead", "rehearsal.dead",
        "rehearsal.work.trial",
    ):  # fmt: skip
        for body, statuses in ((b"no JSON", (400,)), (usual.body, (404,))):
            yield replace(
                usual,
                kind="reply: to nowhere",
                body=body,
                properties={"reply_to": value},
                statuses=statuses,
                answered=False,
            )


def _batched(usual: Case, start: int) -> Iterator[Case]:
    good = {"command_id": str(UUID(int=start, version=4)), "command": DELETE}
    changes: tuple[dict[str, object], ...] = (
        {"command_id": None}, {"command_id": 10**30}, {"command": []},
        {"command": {"type": "testing.Nothing"}}, {"expected_version": -1},
        {"correlation_id": "x"}, {"occurred_at": "2026-05-01T12:00:00"},
        {"org_id": "somebody's"}, {"actor": "user:else"}, {"roles": ["admin"]},
    )  # fmt: skip
    for change in changes:
        yield replace(
            usual,
            kind="batch: a bad envelope",
            body=encoded([{**good, **change}]),
            key=BATCH,
            statuses=(400, 403),
        )
    for body in (b"[]", b" [ ] ", b"[,]", b"[1,]", b"[", b"[[]]x"):
        yield replace(
            usual, kind="batch: empty or broken", body=body, key=BATCH, statuses=(400,)
        )


class _Sender:
    """Sends cases, many in flight, and takes the replies."""

    def __init__(
        self, stack: Stack, channel: AbstractChannel, replies: AbstractQueue, url: str
    ) -> None:
        self._stack = stack
        self._channel = channel
        self._replies = replies
        self._url = url
        self._queue = Topology().commands
        self._token = stack.token()
        self._waiting: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._sent = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, stack: Stack, url: str) -> AsyncIterator["_Sender"]:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            replies = await channel.declare_queue(exclusive=True)
            sender = cls(stack, channel, replies, url)
            await replies.consume(sender.take, no_ack=True)
            yield sender

    async def ready(self) -> None:
        """Return once the intake has made its queue."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await self.depth()
                except ChannelNotFoundEntity:
                    await asyncio.sleep(0.05)
                else:
                    return

    async def depth(self) -> tuple[int, int]:
        """Return how many messages wait, and how many consumers there are."""
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(self._queue.name, passive=True)
            result = queue.declaration_result
            return result.message_count or 0, result.consumer_count or 0

    async def take(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is None:
            told = f"{message.correlation_id} {message.body[:200]!r}"
            self._stack.findings.add("a reply to no question", told)
        elif not waiting.done():
            waiting.set_result(message)

    async def send_all(self, cases: list[Case]) -> list[Asked]:
        """Send cases and return them once each has its reply, if it is to have one."""
        return await asyncio.gather(*(self._send(case) for case in cases))

    async def send_again(self, start: int) -> None:
        """Send one command twice, with its id, and then another under the same id."""
        persona = {
            "type": "testing.CreatePersona",
            "persona_id": str(uuid5(UUID(int=start), "persona")),
            "name": "Mira",
            "role": "reader",
            "background": "",
        }
        properties = {"message_id": str(uuid5(UUID(int=start), "command"))}
        case = Case(
            kind="repeat: the same",
            body=encoded(persona),
            key=str(persona["type"]),
            statuses=(200,),
            properties=properties,
        )
        for _ in range(2):
            judge(self._stack, await self._send(case))
        other = encoded({**persona, "name": "Mila"})
        refused = replace(case, kind="repeat: another", body=other, statuses=(422,))
        judge(self._stack, await self._send(refused))

    async def drained(self) -> None:
        """Return once nothing waits, or say what does."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (await self.depth())[0]:  # noqa: ASYNC110 - not in this process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self._stack.findings.add("messages wait for ever", str(await self.depth()))
        if not (await self.depth())[1]:
            self._stack.findings.add("no consumer is left")

    async def _send(self, case: Case) -> Asked:
        async with self._slots:
            self._sent += 1
            correlation_id = f"{case.kind[:100]} {self._sent}"
            reply = asyncio.get_running_loop().create_future()
            self._waiting[correlation_id] = reply
            headers = {"authorization": f"Bearer {self._token}", **case.headers}
            command_id = uuid5(UUID(int=0), correlation_id)
            given: dict[str, Any] = {
                "content_type": JSON,
                "message_id": str(command_id),
                "correlation_id": correlation_id,
                "reply_to": self._replies.name,
                **case.properties,
            }
            message = aio_pika.Message(
                case.body,
                headers={
                    name: each for name, each in headers.items() if each is not None
                },
                **given,
            )
            exchange = await self._channel.get_exchange(
                self._queue.exchange.name, ensure=False
            )
            await exchange.publish(message, case.key)
            if case.answered:
                await asyncio.wait([reply], timeout=PATIENCE)
            return Asked(case, correlation_id, reply)


async def _raw(stack: Stack, broker: str, sender: _Sender) -> None:
    """Send properties that no library writes; each message must be a letter."""
    exchange = Topology().commands.exchange.name
    with RawChannel(broker) as channel:
        for number, (name, properties) in enumerate(ODD.items()):
            body = b"odd %d" % number
            channel.publish(exchange, "testing.Nothing", body, **properties)
            stack.counts.cases[f"raw: {name}"] += 1
    await sender.drained()
    for number, name in enumerate(ODD):
        if not await _kept(stack, body=b"odd %d" % number):
            stack.findings.add("a message is neither answered nor kept", name)


async def _kept(stack: Stack, **known: object) -> bool:
    """Say whether there is a letter that has these values, or will be soon."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SOON
    while True:
        for row in await letters(stack):
            if all(row[name] == value for name, value in known.items()):
                return True
        if loop.time() > until:
            return False
        await asyncio.sleep(0.1)


def judge(stack: Stack, asked: Asked) -> None:
    """Count an answer, and add what is wrong with it to the findings."""
    case, counts, findings = asked.case, stack.counts, stack.findings
    counts.cases[case.kind] += 1
    if not case.answered:
        return
    told = f"{case.kind}: {case.key[:60]} {case.headers} {case.body[:120]!r}"
    if not asked.reply.done():
        counts.statuses["unanswered"] += 1
        findings.add("a message was not answered", told)
        return
    reply = asked.reply.result()
    told += f" -> {reply.body[:300]!r}"
    for leak in LEAKS:
        if leak in reply.body:
            findings.add("an answer tells of our inside", told)
    for status, found in verdicts(stack, reply):
        counts.statuses[f"{status // 100}xx"] += 1
        if status >= 500:
            findings.add("server error", told)
        elif status not in case.statuses:
            findings.add(f"{case.kind}: another status than expected", told)
        if found is not None and found.type not in TYPES:
            findings.add("a problem of no known type", told)
        if case.path is not None and (
            found is None or not same_place(found.path, case.path)
        ):
            findings.add(f"{case.kind}: the problem is not at {case.path}", told)


def verdicts(
    stack: Stack, reply: AbstractIncomingMessage
) -> Iterator[tuple[int, Problem | None]]:
    """Yield the status of each verdict and its problem; sum what was stored."""
    if reply.content_type == NDJSON:
        raws = reply.body.splitlines()
    elif reply.body.startswith(b"["):
        raws = [bytes(raw) for raw in msgspec.json.decode(reply.body, type=_RAWS)]
    else:
        raws = [reply.body]
    for raw in raws:
        try:
            accepted = msgspec.json.decode(raw, type=Accepted)
        except msgspec.ValidationError:
            problem = msgspec.json.decode(raw, type=Problem)
            stack.counts.problems[problem.code] += 1
            yield problem.status, problem
            continue
        if accepted.status == "ok":
            stack.counts.commands += 1
            stack.counts.events += accepted.events
        yield 200, None


async def check_letters(stack: Stack, asked: Collection[Asked]) -> None:
    """Hold the letters against what was answered: no more and no fewer."""
    last = [each for each in asked if not each.case.answered][-1:]
    for each in last:
        await _kept(stack, correlation_id=each.correlation_id)
    kept = {row["correlation_id"]: row for row in await letters(stack)}
    for each in asked:
        row = kept.pop(each.correlation_id, None)
        told = f"{each.case.kind}: {each.case.body[:120]!r} {row}"[:600]
        problem = _problem(each)
        if problem is not None and problem.code not in PUT_ASIDE:
            if row is not None:
                stack.findings.add("an answer that was taken is a letter too", told)
        elif problem is not None or not each.case.answered:
            _check_letter(stack, each, row, problem, told)
        elif row is not None:
            stack.findings.add("what was accepted is a letter", told)


def _check_letter(
    stack: Stack,
    asked: Asked,
    row: Mapping[str, Any] | None,
    problem: Problem | None,
    told: str,
) -> None:
    body = asked.case.body
    if row is None:
        stack.findings.add("a message is neither answered nor kept", told)
        return
    if len(body) <= BATCH_BYTES and row["body"] != body:
        stack.findings.add("a letter has another body", told)
    if row["size"] != len(body) or not row["detail"]:
        stack.findings.add("a letter without its size or its reason", told)
    if problem is not None and (row["code"], row["path"]) != (
        problem.code,
        problem.path and problem.path.replace("\0", "\u2400"),
    ):
        stack.findings.add("a letter with another reason", told)


def _problem(asked: Asked) -> Problem | None:
    """Return the problem that a message as a whole was answered with."""
    if not asked.reply.done() or asked.reply.cancelled():
        return None
    reply = asked.reply.result()
    if reply.content_type != MEDIA_TYPE:
        return None
    return msgspec.json.decode(reply.body, type=Problem)


async def letters(stack: Stack) -> list[Mapping[str, Any]]:
    """Return all letters."""
    connection = await asyncpg.connect(stack.database.superuser)
    try:
        rows = await connection.fetch(LETTERS)
    finally:
        await connection.close()
    return [
        {**row, "correlation_id": _named.decode(row["message"]).correlation_id}
        for row in rows
    ]


class _Named(msgspec.Struct):
    correlation_id: str | None = None


_named: Final = msgspec.json.Decoder(_Named)
_RAWS: Final = list[msgspec.Raw]
