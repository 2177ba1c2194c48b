"""The intake: takes messages, has them answered, and lets go of them after that.

A message is acknowledged once its effect is in the log and its reply is with the
broker, or once it is put aside. Messages that concern one stream are handled in the
order of the queue, all others side by side. While the database or the broker is away,
what was taken is held and tried again in that order, and nothing more is taken than
may be held; what is held when the process ends is delivered again.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import timedelta
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

import structlog

from events.errors import Failure, TooMany, Unavailable
from services import log_context
from services.commanding import kind_of
from services.intake.answering import Answer, Answering, Begun, Reply, failed
from services.intake.lanes import Lanes, Turn
from services.intake.letters import Letter, Letters
from services.intake.message import Message
from services.problems import PROBLEMS, Defect, slug
from services.problems import kind_of as kind_of_problem


PREFETCH: Final = 100
GRACE: Final = 15.0
TRIES: Final = 3
FIRST_PAUSE: Final = 0.1
LAST_PAUSE: Final = 5.0
LOOK: Final = 1.0  # seconds between two looks for letters whose time has come
LETTERS: Final = 20
HOLD: Final = timedelta(minutes=5)
KEPT: Final = timedelta(days=30)
FORGETTING: Final = 3_600.0

T = TypeVar("T")

log = structlog.get_logger()


class Delivery(Protocol):
    """A message that was received and is to be let go of."""

    @property
    def message(self) -> Message:
        """Return the message."""
        ...

    async def ack(self) -> None:
        """Say that the message needs no redelivery; best effort, never an error."""
        ...


class Inbox(Protocol):
    """Where messages come from, and replies go."""

    def commands(self, *, prefetch: int) -> AsyncGenerator[Delivery, None]:
        """Yield what asks for commands, for ever; closing gives back."""
        ...

    def given_up(self, *, prefetch: int) -> AsyncGenerator[Delivery, None]:
        """Yield what the broker gave up, such as what expired there."""
        ...

    async def reply(self, to: str, reply: Reply) -> bool:
        """Return whether a queue took the reply; `Unavailable` where unknown."""
        ...


class ConsumerEndedError(Exception):
    """An inbox stopped delivering, which it never should."""


class Intake:
    """Handles messages until told to stop."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        answering: Answering,
        letters: Letters,
        prefetch: int = PREFETCH,
        grace: float = GRACE,
    ) -> None:
        self._inbox = inbox
        self._answering = answering
        self._letters = letters
        self._prefetch = prefetch
        self._grace = grace
        self._lanes = Lanes()

    async def run(self, stop: asyncio.Event) -> None:
        """Take messages until told to stop; finish or give back what was taken."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consume(self._inbox.commands, stop))
            tasks.create_task(self._consume(self._inbox.given_up, stop))
            tasks.create_task(self._revisit(stop))

    async def _consume(
        self,
        opened: Callable[..., AsyncGenerator[Delivery, None]],
        stop: asyncio.Event,
    ) -> None:
        busy: set[asyncio.Task[None]] = set()
        stopping = asyncio.create_task(stop.wait())
        async with aclosing(opened(prefetch=self._prefetch)) as deliveries:
            waiting = asyncio.ensure_future(_next(deliveries))
            try:
                while await _came(waiting, stopping):
                    self._start(waiting.result(), busy)
                    waiting = asyncio.ensure_future(_next(deliveries))
            finally:
                # Until all is settled the wait goes on: its end closes the channel.
                await _drain(busy, self._grace)
                await _end(waiting)
                await _end(stopping)

    def _start(self, delivery: Delivery, busy: set[asyncio.Task[None]]) -> None:
        begun = self._answering.begin(delivery.message)
        turn = self._lanes.queue(self._answering.streams(begun))
        task = asyncio.create_task(self._take(delivery, begun, turn))
        busy.add(task)
        task.add_done_callback(busy.discard)
        task.add_done_callback(_tell_defect)

    async def _take(self, delivery: Delivery, begun: Begun, turn: Turn) -> None:
        try:
            await turn.come()
            await self._settle(begun)
            await delivery.ack()
        finally:
            turn.end()

    async def _settle(self, begun: Begun) -> bool:
        """Handle a message, answer it, and say whether it was not put aside."""
        started = perf_counter()
        _bind(begun)
        message = begun.message
        try:
            answer = await _surely(lambda: self._answering.answer(begun))
        except TooMany as failure:
            answer = failed(message, failure)
            _tell(answer, started, "delayed")
            await self._put_aside(begun, failure)
            return False
        except Defect as failure:
            answer = failed(message, failure)
        aside = answer.puts_aside
        if aside and answer.failure is not None:
            await self._put_aside(begun, answer.failure)
        told = "no reply asked for"
        if message.reply_to is not None:
            reply_to = message.reply_to
            taken = await _surely(lambda: self._inbox.reply(reply_to, answer.reply))
            told = "replied" if taken else "unroutable"
        if answer.failure is not None and told != "replied" and not aside:
            await self._put_aside(begun, answer.failure)
            aside = True
        _tell(answer, started, told)
        return not aside

    async def _put_aside(self, begun: Begun, failure: Failure) -> None:
        letter_id = await _surely(
            lambda: self._letters.keep(begun.message, begun.identity, failure)
        )
        log_context.bind(letter_id=str(letter_id))

    async def _revisit(self, stop: asyncio.Event) -> None:
        """Handle letters whose time has come, and forget the old."""
        loop = asyncio.get_running_loop()
        forget_at = loop.time()
        while not stop.is_set():
            try:
                if loop.time() >= forget_at:
                    await self._letters.forget(KEPT)
                    forget_at = loop.time() + FORGETTING
                for letter in await self._letters.take_due(LETTERS, hold=HOLD):
                    await self._again(letter)
            except Unavailable as error:
                log.warning("letters_away", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await stop.wait()

    async def _again(self, letter: Letter) -> None:
        begun = self._answering.begin(letter.message, letter.identity)
        turn = self._lanes.queue(self._answering.streams(begun))
        try:
            await turn.come()
            if await self._settle(begun):
                await self._letters.close(letter.letter_id)
        finally:
            turn.end()


async def _surely(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer; a defect is asked `TRIES` times."""
    pause, defects = FIRST_PAUSE, 0
    while True:
        try:
            return await ask()
        except Unavailable as error:
            log.warning("message_held", error=str(error))
        except Failure:
            raise
        except Exception as error:
            defects += 1
            if defects == TRIES:
                log.exception("message_broken", tries=TRIES)
                raise Defect from error
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads a crowd
        pause = min(2 * pause, LAST_PAUSE)


async def _came(
    waiting: asyncio.Future[Delivery], stopping: asyncio.Future[Any]
) -> bool:
    """Say whether a delivery came before it was time to stop."""
    await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
    return not stopping.done()


async def _end(task: asyncio.Future[Any]) -> None:
    """End a task and wait for that."""
    task.cancel()
    await asyncio.wait([task])


async def _next(deliveries: AsyncGenerator[Delivery, None]) -> Delivery:
    try:
        return await anext(deliveries)
    except StopAsyncIteration:
        raise ConsumerEndedError from None


async def _drain(busy: set[asyncio.Task[None]], grace: float) -> None:
    """Let what runs finish for `grace` seconds, and end what has not, all at once."""
    if busy:
        await asyncio.wait(busy, timeout=grace)
    left = list(busy)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)


def _tell_defect(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("message_not_settled", exc_info=error)


def _bind(begun: Begun) -> None:
    """Bind for the log what is known of a message."""
    log_context.clear()
    identity = begun.identity
    if identity is not None:
        log_context.bind(actor_id=identity.actor, org_id=identity.org_id)
    requests = begun.requests
    if len(requests) == 1:
        command, meta = requests[0]
        log_context.bind(
            command_type=kind_of(command),
            command_id=str(meta.command_id),
            correlation_id=str(meta.correlation_id),
        )
    elif requests:
        log_context.bind(commands=len(requests))


def _tell(answer: Answer, started: float, told: str) -> None:
    """Log the one line of a message."""
    known: dict[str, object] = {"reply": told}
    level = logging.INFO
    if answer.failure is not None:
        level = PROBLEMS[kind_of_problem(answer.failure)].level
        known |= {"problem": slug(type(answer.failure)), "path": answer.failure.path}
    elif answer.outcome is not None:
        known |= {
            "status": answer.outcome.status,
            "stream": answer.outcome.stream_id,
            "position": answer.outcome.position,
        }
    ms = round((perf_counter() - started) * 1000, 2)
    log.log(level, "message_handled", ms=ms, **known)
