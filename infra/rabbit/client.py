"""The client that producers import to send commands over AMQP.

It answers as the client over HTTP does: the same outcomes, the same failures. A command
keeps its id through every attempt, so it takes effect once, however often its reply is
lost. Replies come to a queue of the connection's own and are told apart by their
correlation id.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import msgspec
import structlog
from aio_pika.abc import AbstractIncomingMessage

from events.errors import Failure, TooMany, Unavailable
from events.message import Command
from infra.rabbit.connection import (
    CALL_SECONDS,
    SHORTEST,
    Link,
    RefusedError,
    answered,
    backed_off,
)
from infra.rabbit.publisher import Outgoing, Publisher
from infra.rabbit.topology import NAMESPACE, Topology
from services.client import answers
from services.client.client import BATCH, PATIENCE, Request, Token, random_id
from services.client.retrying import pauses
from services.commanding import kind_of
from services.intake.message import AUTHORIZATION
from services.intake.message import BATCH as BATCH_KEY
from services.outcome import Outcome
from services.ports import Ids
from services.problems import MEDIA_TYPE


ATTEMPT_SECONDS: Final = 10.0

_log: Final = structlog.get_logger()
_encode: Final = msgspec.json.Encoder().encode


class AmqpClient:
    """Talks to the intake of one system; to be used in an `async with`.

    `token` is a bearer token, or what returns one for each message. `patience` is for
    how many seconds a command is sent again while no reply comes.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        namespace: str = NAMESPACE,
        patience: float = PATIENCE,
        ids: Ids = random_id,
    ) -> None:
        self._token = token
        self._exchange = Topology(namespace).commands.exchange.name
        self._patience = patience
        self._ids = ids
        self._link = Link(url, name="rehearsal client", declare=False)
        self._publisher = Publisher(self._link, seconds=ATTEMPT_SECONDS)
        self._replies = _Replies(self._link)

    async def __aenter__(self) -> Self:
        await self._link.open()
        self._replies.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._replies.close()
        await self._publisher.close()
        await self._link.close()

    async def send(
        self,
        command: Command,
        *,
        command_id: UUID | None = None,
        expected_version: int | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
        occurred_at: datetime | None = None,
        on_behalf_of: str | None = None,
    ) -> Outcome:
        """Send a command and return its outcome, or raise the failure.

        `Unavailable` after `patience` leaves it unknown: send again with the same
        `command_id`, which is a new one unless given. A service says `on_behalf_of`
        which user, as `user:ID`, it asks.
        """
        given = {
            "expected-version": expected_version,
            "correlation-id": correlation_id,
            "causation-id": causation_id,
            "occurred-at": None if occurred_at is None else occurred_at.isoformat(),
            "on-behalf-of": on_behalf_of,
        }
        headers = {
            f"rehearsal-{name}": str(value)
            for name, value in given.items()
            if value is not None
        }
        key, body = kind_of(command), _encode(command)
        question = command_id or self._ids()
        return answers.outcome(await self._ask(question, key, body, headers))

    async def send_many(self, requests: Sequence[Request]) -> list[Outcome | Failure]:
        """Send commands in order, 500 at a time; return a verdict for each.

        Raises the failure of a batch that was not answered; those before it happened,
        and sending all again changes nothing.
        """
        found: list[Outcome | Failure] = []
        for start in range(0, len(requests), BATCH):
            body = _encode(requests[start : start + BATCH])
            reply = await self._ask(self._ids(), BATCH_KEY, body, {})
            found += answers.verdicts(reply)
        return found

    async def _ask(
        self, question: UUID, key: str, body: bytes, headers: Mapping[str, str]
    ) -> bytes:
        """Return the body of a reply; ask again while that makes sense."""
        patient_until = monotonic() + self._patience
        for pause in pauses():
            try:
                return await self._ask_once(question, key, body, headers)
            except (Unavailable, TooMany) as failure:
                wait = failure.retry_after if isinstance(failure, TooMany) else pause
                if monotonic() + wait > patient_until:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError

    async def _ask_once(
        self, question: UUID, key: str, body: bytes, headers: Mapping[str, str]
    ) -> bytes:
        token = self._token if isinstance(self._token, str) else self._token()
        async with _soon(), self._replies.expected(str(question)) as reply:
            await self._publisher.publish(
                [
                    Outgoing(
                        exchange=self._exchange,
                        routing_key=key,
                        body=body,
                        headers={AUTHORIZATION: f"Bearer {token}", **headers},
                        message_id=str(question),
                        correlation_id=str(question),
                        reply_to=reply.queue,
                    )
                ]
            )
            message = await reply.message
        if message.content_type == MEDIA_TYPE:
            raise answers.failure(500, message.body)
        return message.body


@dataclass(frozen=True)
class _Expected:
    """Where a reply is to be sent, and the reply once it is there."""

    queue: str
    message: "asyncio.Future[AbstractIncomingMessage]"


class _Replies:
    """A queue of our own for replies; a new one on each connection."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._queue: str | None = None
        self._ready = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}
        self._keeping: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._keeping = asyncio.create_task(self._keep(), name="replies")

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    @asynccontextmanager
    async def expected(self, question: str) -> AsyncIterator[_Expected]:
        """Yield where the reply to a question is to go."""
        await self._ready.wait()
        assert self._queue is not None, "what is ready has a queue"  # noqa: S101 - for the type checker
        message = asyncio.get_running_loop().create_future()
        self._waiting[question] = message
        try:
            yield _Expected(self._queue, message)
        finally:
            self._waiting.pop(question, None)
            message.cancel()

    async def _keep(self) -> None:
        pause = SHORTEST
        while not self._link.closed:
            try:
                await self._listen()
                pause = SHORTEST
            except (Unavailable, RefusedError) as error:
                _log.warning("replies_away", error=str(error))
                pause = await backed_off(pause)
            finally:
                self._ready.clear()
                for message in self._waiting.values():
                    if not message.done():
                        message.set_exception(Unavailable("the connection broke"))

    async def _listen(self) -> None:
        """Take replies until the channel is closed."""
        lost = asyncio.Event()
        channel = await self._link.open_channel()
        channel.close_callbacks.add(lambda *_: lost.set())
        async with answered(CALL_SECONDS):
            queue = await channel.declare_queue(exclusive=True)
            await queue.consume(self._take, no_ack=True)
        self._queue = queue.name
        self._ready.set()
        await lost.wait()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(message)


@asynccontextmanager
async def _soon() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            yield
    except TimeoutError as error:
        raise Unavailable("There was no reply in time.") from error
