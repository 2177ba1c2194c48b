"""An intake over a log in memory, an inbox and letters that a test can look into."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from events.errors import Failure, TooMany
from events.message import Command, Meta
from infra.clock import now
from infra.memory.event_log import MemoryEventLog
from infra.tokens import TokenVerifier
from infra.working import stream_of
from services import guard
from services.commanding import Batches
from services.decoding import command_decoder
from services.handling import Handler, Request
from services.identity import Identity
from services.intake.answering import Answering, Reply
from services.intake.letters import Letter
from services.intake.message import Message, Reading
from services.intake.taking import Intake
from services.outcome import Outcome
from services.problems import slug
from services.routing import COMMANDS, DECIDER_OF
from tests.builders import new_id
from tests.services.http.world import ISSUER, KEY, FailingLog


PATIENCE = 10.0
PERSONA = str(new_id())
CREATE: dict[str, Any] = {
    "type": "testing.CreatePersona",
    "persona_id": PERSONA,
    "name": "Ada",
    "role": "reader",
    "background": "",
}


def token(
    *,
    org: str = "acme",
    roles: Sequence[str] = ("admin",),
    scopes: Sequence[str] = (),
    subject: str = "user:ada",
) -> str:
    """Return a token that is good for longer than any run of the tests."""
    return ISSUER.issue(
        subject, org=org, roles=roles, scopes=scopes, lifetime=timedelta(days=1)
    )


def message(body: object = CREATE, **given: Any) -> Message:  # noqa: ANN401 - of any field
    """Return a message that is right but for what is given; None: no header."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {"authorization": f"Bearer {token()}", **given.pop("headers", {})}
    fields: dict[str, Any] = {
        "body": raw,
        "routing_key": body["type"] if isinstance(body, dict) else "batch",
        "message_id": str(new_id()),
        "correlation_id": "question 1",
        "reply_to": "answers",
        "headers": {
            name: value for name, value in headers.items() if value is not None
        },
    }
    return Message(**{**fields, **given})


@dataclass
class OneDelivery:
    message: Message
    inbox: "OneInbox"
    acked: asyncio.Event = field(default_factory=asyncio.Event)

    async def ack(self) -> None:
        if not self.inbox.closed:  # what is given back cannot be acknowledged
            self.acked.set()


@dataclass
class OneInbox:
    """Delivers what a test puts in, and keeps the replies; `nobody` takes none."""

    queue: asyncio.Queue[OneDelivery] = field(default_factory=asyncio.Queue)
    replies: list[tuple[str, Reply]] = field(default_factory=list)
    nobody: bool = False
    closed: int = 0

    async def commands(self, *, prefetch: int) -> AsyncGenerator[OneDelivery, None]:
        assert prefetch > 1
        try:
            while True:
                yield await self.queue.get()
        finally:
            self.closed += 1

    async def given_up(self, *, prefetch: int) -> AsyncGenerator[OneDelivery, None]:
        assert prefetch > 1
        await asyncio.Event().wait()
        yield await self.queue.get()

    async def reply(self, to: str, reply: Reply) -> bool:
        if not self.nobody:
            self.replies.append((to, reply))
        return not self.nobody

    def put(self, *messages: Message) -> list[OneDelivery]:
        found = [OneDelivery(each, self) for each in messages]
        for each in found:
            self.queue.put_nowait(each)
        return found


@dataclass
class SomeLetters:
    """Letters by the id of their message's command."""

    kept: list[tuple[Message, Identity | None, Failure]] = field(default_factory=list)
    due: list[Letter] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(
        self, message: Message, identity: Identity | None, failure: Failure
    ) -> UUID:
        self.kept.append((message, identity, failure))
        letter_id = new_id()
        if isinstance(failure, TooMany):
            self.due.append(
                Letter(
                    letter_id=letter_id,
                    state="waiting",
                    message=message,
                    identity=identity,
                    code=slug(type(failure)),
                    detail=str(failure),
                    path=failure.path,
                    size=len(message.body),
                    deliveries=1,
                    received_at=now(),
                )
            )
        return letter_id

    async def take_due(self, limit: int, *, hold: timedelta) -> Sequence[Letter]:
        assert hold > timedelta()
        due, self.due = self.due[:limit], self.due[limit:]
        return due

    async def close(self, letter_id: UUID) -> None:
        assert letter_id
        self.closed.set()

    async def forget(self, older: timedelta) -> int:
        assert older > timedelta(days=1)
        return 0


class Trying:
    """A handler that first does what a test says: raises, or waits."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.before: Callable[[Command, Meta], Awaitable[None]] | None = None
        self.handled: list[tuple[Command, Meta]] = []

    async def handle(self, command: Command, meta: Meta) -> Outcome:
        if self.before is not None:
            await self.before(command, meta)
        self.handled.append((command, meta))
        return await self._handler.handle(command, meta)

    async def handle_bulk(self, requests: Sequence[Request]) -> list[Outcome | Failure]:
        return await self._handler.handle_bulk(requests)

    async def recorded(self, requests: Sequence[Request]) -> list[Outcome | None]:
        return await self._handler.recorded(requests)


@dataclass(kw_only=True)
class World:
    log: MemoryEventLog
    handler: Trying
    inbox: OneInbox
    letters: SomeLetters
    answering: Answering

    async def answer(self, asked: Message) -> tuple[Any, Failure | None]:
        """Return what a message is answered, and the failure that it is."""
        found = await self.answering.answer(self.answering.begin(asked))
        assert found.reply.correlation_id == asked.correlation_id
        return msgspec.json.decode(found.reply.body), found.failure

    @asynccontextmanager
    async def running(self, *, grace: float = PATIENCE) -> AsyncIterator[asyncio.Event]:
        """Run an intake while inside; yield what tells it to stop."""
        intake = Intake(
            inbox=self.inbox,
            answering=self.answering,
            letters=self.letters,
            grace=grace,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(intake.run(stop))
        try:
            yield stop
        finally:
            stop.set()
            await task


def make_world() -> World:
    log = FailingLog(clock=now, ids=new_id)
    handler = Trying(Handler(log=log, deciders=DECIDER_OF, guard=guard.check))
    decode = command_decoder(COMMANDS.values())
    batches = Batches(handler=handler, decode=decode, clock=now)
    verifier = TokenVerifier(
        [KEY.public_key()],
        issuer="tests",
        audience="rehearsal",
        region="local",
        clock=now,
    )
    reading = Reading(batches=batches, decode=decode, verifier=verifier, clock=now)
    return World(
        log=log,
        handler=handler,
        inbox=OneInbox(),
        letters=SomeLetters(),
        answering=Answering(
            reading=reading,
            batches=batches,
            handler=handler,
            stream_of=stream_of,
            clock=now,
        ),
    )


async def acked(*deliveries: OneDelivery) -> None:
    """Return once all are acknowledged."""
    async with asyncio.timeout(PATIENCE):
        for each in deliveries:
            await each.acked.wait()
