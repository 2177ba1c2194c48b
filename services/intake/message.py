"""A message that asks for commands: what is read from it, and nothing believed.

    property message_id      the id of a single command, a UUID
    property correlation_id  given back with the reply, as it is
    property reply_to        the queue that the reply goes to
    property content_type    application/json, which is the default, or
                             application/x-ndjson
    property expiration      with `timestamp`: not handled any more after that
    header authorization     Bearer and a token
    header rehearsal-...     -expected-version, -correlation-id, -causation-id,
                             -occurred-at and -on-behalf-of of a single command;
                             -org-id and -actor, which may only repeat what the token
                             says
    header traceparent       and tracestate: W3C trace context
    routing key              the command's type, or `batch`

The body is one command, or a batch: an array of envelopes, or one a line.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from events.errors import Failure, Forbidden, Malformed, TooLarge, Unauthenticated
from services import parameters
from services.commanding import (
    BATCH_BYTES,
    COMMAND_BYTES,
    Asked,
    Batches,
    Caller,
    Decode,
    Surroundings,
    behalf,
    kind_of,
    meta_of,
)
from services.decoding import split_json
from services.handling import Request
from services.identity import Identity, Verifier
from services.ports import Clock
from services.problems import UnsupportedMedia


JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
BATCH: Final = "batch"
AUTHORIZATION: Final = "authorization"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it came.

    `expires_at` follows from its timestamp and expiration. `death` is why the broker
    gave it up, such as `expired`, if it did.
    """

    body: bytes
    routing_key: str
    headers: Mapping[str, object] = msgspec.field(default_factory=dict)
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expires_at: datetime | None = None
    death: str | None = None


class Asking(NamedTuple):
    """What a message asks for: a single request, or a batch."""

    caller: Caller
    single: Request | None
    batch: Sequence[Asked] = ()

    @property
    def size(self) -> int:
        """Return how many commands are asked for, read or not."""
        return 1 if self.single is not None else len(self.batch)

    @property
    def requests(self) -> Sequence[Request]:
        """Return the requests that could be read."""
        if self.single is not None:
            return [self.single]
        return [
            asked.request
            for asked in self.batch
            if not isinstance(asked.request, Failure)
        ]


class Reading:
    """Reads messages."""

    def __init__(
        self,
        *,
        batches: Batches,
        decode: Decode,
        verifier: Verifier,
        clock: Clock,
        command_bytes: int = COMMAND_BYTES,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self._batches = batches
        self._decode = decode
        self._verifier = verifier
        self._clock = clock
        self._command_bytes = command_bytes
        self._batch_bytes = batch_bytes

    def identity(self, message: Message) -> Identity:
        """Return who a message is from, or raise `Unauthenticated`."""
        given = _Headers(message).text(AUTHORIZATION)
        if given is None:
            raise Unauthenticated(path=f"headers.{AUTHORIZATION}")
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":
            sentence = "The authorization header is not of the Bearer scheme."
            raise Unauthenticated(sentence, path=f"headers.{AUTHORIZATION}")
        try:
            return self._verifier.verify(token.strip())
        except Unauthenticated as failure:
            path = f"headers.{AUTHORIZATION}"
            raise Unauthenticated(str(failure), path=path) from failure

    def read(self, message: Message, identity: Identity) -> Asking:
        """Return what a message asks for, or raise the failure that it is."""
        headers = _Headers(message)
        _check_claims(headers, identity)
        kind = _media(message)
        length = len(message.body)
        if length > self._batch_bytes:
            sentence = f"The body has {length} bytes; the limit is {self._batch_bytes}."
            raise TooLarge(sentence, path="body")
        caller = Caller(identity=identity, headers=headers.trace())
        if kind == NDJSON:
            return self._batch(message, message.body.splitlines(), caller)
        if message.body[:64].lstrip()[:1] == b"[":
            raws = split_json(message.body, limit=self._batch_bytes)
            return self._batch(message, raws, caller)
        return self._single(message, headers, caller)

    def _single(self, message: Message, headers: "_Headers", caller: Caller) -> Asking:
        if message.message_id is None:
            sentence = "The command's id, a UUID, belongs in the property message_id."
            raise Malformed(sentence, path="properties.message_id")
        expected = headers.text("rehearsal-expected-version")
        moment = headers.text("rehearsal-occurred-at")
        path = "headers.rehearsal-occurred-at"
        given = Surroundings(
            command_id=parameters.identifier(
                message.message_id, "properties.message_id"
            ),
            expected_version=None
            if expected is None
            else parameters.integer(expected, "headers.rehearsal-expected-version"),
            correlation_id=headers.identifier("rehearsal-correlation-id"),
            causation_id=headers.identifier("rehearsal-causation-id"),
            occurred_at=None if moment is None else parameters.moment(moment, path),
            on_behalf_of=behalf(
                caller.identity,
                headers.text("rehearsal-on-behalf-of"),
                "headers.rehearsal-on-behalf-of",
            ),
        )
        meta = meta_of(caller, given, self._clock, path=path)
        command = self._decode(message.body)
        if kind_of(command) != message.routing_key:
            sentence = f"The routing key of this command is {kind_of(command)}."
            raise Malformed(sentence, path="routing_key")
        return Asking(caller, (command, meta))

    def _batch(self, message: Message, raws: Sequence[bytes], caller: Caller) -> Asking:
        if message.routing_key != BATCH:
            sentence = f"The routing key of several commands is {BATCH}."
            raise Malformed(sentence, path="routing_key")
        return Asking(caller, None, self._batches.read(raws, caller))


class _Headers:
    """A message's headers by their lower-case names."""

    def __init__(self, message: Message) -> None:
        self._values = {name.lower(): each for name, each in message.headers.items()}

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        match value:
            case None:
                return None
            case str():
                return parameters.text(value, f"headers.{name}")
            case int() if not isinstance(value, bool):
                return str(value)
            case _:
                raise Malformed("This header is no text.", path=f"headers.{name}")

    def identifier(self, name: str) -> UUID | None:
        value = self.text(name)
        return (
            None if value is None else parameters.identifier(value, f"headers.{name}")
        )

    def trace(self) -> dict[str, str]:
        """Return the W3C trace context."""
        given = {
            name: value
            for name in ("traceparent", "tracestate")
            if isinstance(value := self._values.get(name), str)
        }
        return parameters.trace(given)


def _check_claims(headers: _Headers, identity: Identity) -> None:
    if headers.text("rehearsal-org-id") not in {None, identity.org_id}:
        sentence = "The token is of another organisation."
        raise Forbidden(sentence, path="headers.rehearsal-org-id")
    if headers.text("rehearsal-actor") not in {None, identity.actor}:
        sentence = "The token is of another actor."
        raise Forbidden(sentence, path="headers.rehearsal-actor")


def _media(message: Message) -> str:
    """Return the body's media type, or raise `UnsupportedMedia`."""
    kind = (message.content_type or JSON).partition(";")[0].strip().lower()
    if kind not in {JSON, NDJSON}:
        sentence = f"Commands come as {JSON} or {NDJSON}."
        raise UnsupportedMedia(sentence, path="properties.content_type")
    encoding = (message.content_encoding or "utf-8").strip().lower()
    if encoding not in {"utf-8", "identity"}:
        sentence = "A content encoding is not taken."
        raise UnsupportedMedia(sentence, path="properties.content_encoding")
    return kind
