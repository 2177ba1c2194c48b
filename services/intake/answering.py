"""From a message to its answer: read, handle, and say what became of it.

An answer's body is what HTTP answers: an outcome, a problem document, or for a batch
the verdicts in order. A message that can never be handled is put aside as well as
answered, and so is one whose refusal nobody takes: nothing without effect disappears.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from events.errors import (
    Failure,
    Malformed,
    Refused,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from events.message import Command
from services.admission import Admission
from services.commanding import Batches, Handling, Verdict, kind_of
from services.handling import Request
from services.identity import Identity
from services.intake.letters import GivenUp
from services.intake.message import JSON, NDJSON, Asking, Message, Reading
from services.outcome import Outcome
from services.ports import Clock
from services.problems import MEDIA_TYPE, Defect, UnsupportedMedia, document


EXPIRED: Final = "expired"


class Expired(Refused):
    """The message expired before it was handled."""


class Partly(Refused):
    """Some commands of the batch failed."""


PUT_ASIDE: Final = (
    Malformed,
    Unauthenticated,
    TooLarge,
    UnsupportedMedia,
    Expired,
    GivenUp,
    Defect,
)
"""What is kept for an operator, whether or not somebody takes the answer."""

_encoder: Final = msgspec.json.Encoder()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent to the queue that a message names."""

    body: bytes
    content_type: str
    correlation_id: str | None


class Answer(NamedTuple):
    """A reply, and the failure that it tells of; of a batch, of the first."""

    reply: Reply
    failure: Failure | None = None
    outcome: Outcome | None = None

    @property
    def puts_aside(self) -> bool:
        """Whether the message is kept, even if the reply is taken."""
        return isinstance(self.failure, PUT_ASIDE)


class Begun(NamedTuple):
    """A message that was looked at: what it asks for, or what is wrong with it."""

    message: Message
    identity: Identity | None
    asking: Asking | Failure

    @property
    def requests(self) -> Sequence[Request]:
        """Return the requests that could be read."""
        return () if isinstance(self.asking, Failure) else self.asking.requests


class Handler(Handling, Protocol):
    """What takes commands, and knows those that it took."""

    async def recorded(self, requests: Sequence[Request]) -> list[Outcome | None]:
        """Return the outcomes of commands that were accepted, None for others."""
        ...


class Answering:
    """Answers messages, one or many at a time."""

    def __init__(
        self,
        *,
        reading: Reading,
        batches: Batches,
        handler: Handler,
        stream_of: Callable[[Command, str], str],
        clock: Clock,
        admission: Admission | None = None,
    ) -> None:
        self._reading = reading
        self._batches = batches
        self._handler = handler
        self._stream_of = stream_of
        self._clock = clock
        self._admission = admission

    def begin(self, message: Message, identity: Identity | None = None) -> Begun:
        """Look at a message; `identity` stands for a token that was struck out."""
        if message.death not in {None, EXPIRED}:
            sentence = f"The broker gave the message up: {message.death}."
            return Begun(message, identity, GivenUp(sentence))
        try:
            identity = identity or self._reading.identity(message)
            return Begun(message, identity, self._reading.read(message, identity))
        except Failure as failure:
            return Begun(message, identity, failure)

    def streams(self, begun: Begun) -> set[str]:
        """Return the streams whose order a message is part of."""
        return {
            self._stream_of(command, meta.org_id) for command, meta in begun.requests
        }

    async def answer(self, begun: Begun) -> Answer:
        """Return what became of a message.

        Raises `Unavailable` where that is not known: ask again. Raises `TooMany` where
        it is to be asked again later.
        """
        message, _, asking = begun
        if isinstance(asking, Failure):
            return failed(message, asking)
        late = message.death == EXPIRED or (
            message.expires_at is not None and message.expires_at < self._clock()
        )
        if self._admission is not None and not late:
            await self._admission.admit(asking.caller.identity, asking.size)
        if asking.single is None:
            return await self._batch(message, asking, late=late)
        command, meta = asking.single
        try:
            if late:
                outcome = (await self._handler.recorded([asking.single]))[0]
                if outcome is None:
                    raise Expired
            else:
                outcome = await self._handler.handle(command, meta)
        except (Unavailable, TooMany):
            raise
        except Failure as failure:
            return failed(message, failure)
        return Answer(_reply(message, _encoder.encode(outcome), JSON), outcome=outcome)

    async def _batch(self, message: Message, asking: Asking, *, late: bool) -> Answer:
        if late:
            found = await self._handler.recorded(asking.requests)
            known = iter(found)
            verdicts = [
                Verdict(None, asked.command_id, asked.request)
                if isinstance(asked.request, Failure)
                else Verdict(
                    kind_of(asked.request[0]),
                    asked.command_id,
                    next(known) or Expired(),
                )
                for asked in asking.batch
            ]
        else:
            verdicts = await self._batches.handle(asking.batch)
        for verdict in verdicts:
            if isinstance(verdict.answer, Unavailable | TooMany):
                raise verdict.answer
        told = [verdict.told() for verdict in verdicts]
        lines = (message.content_type or "").startswith(NDJSON)
        body = _encoder.encode_lines(told) if lines else _encoder.encode(told)
        reply = _reply(message, body, NDJSON if lines else JSON)
        return Answer(reply, _first(verdicts))


def failed(message: Message, failure: Failure) -> Answer:
    """Return the answer to a message that failed as a whole."""
    body = _encoder.encode(document(failure))
    return Answer(_reply(message, body, MEDIA_TYPE), failure)


def _reply(message: Message, body: bytes, kind: str) -> Reply:
    return Reply(
        body=body,
        content_type=kind,
        correlation_id=message.correlation_id or message.message_id,
    )


def _first(verdicts: Sequence[Verdict]) -> Failure | None:
    """Return the failure of a batch: how many failed, and the first of them."""
    found = [
        (place, verdict.answer)
        for place, verdict in enumerate(verdicts)
        if isinstance(verdict.answer, Failure)
    ]
    if not found:
        return None
    place, first = found[0]
    path = f"$[{place}]{(first.path or '$')[1:]}"
    sentence = f"{len(found)} of {len(verdicts)} commands failed, the first: {first}"
    if all(isinstance(failure, Expired) for _, failure in found):
        return Expired(path=path)
    return Partly(sentence, path=path)
