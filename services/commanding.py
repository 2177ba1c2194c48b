"""What every edge that takes commands does alike: envelopes, batches, verdicts.

Organisation, actor, roles and scopes come from the token, whatever the edge; what an
envelope repeats of them is held against it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from events.errors import Failure, Forbidden, Malformed, TooLarge
from events.message import ON_BEHALF_OF, Command, Meta
from services.decoding import MAX_BYTES, decode_json
from services.handling import Request
from services.identity import Identity
from services.outcome import Outcome
from services.parameters import identifier
from services.ports import Clock
from services.problems import Document, document


SERVICE: Final = "service:"
USER: Final = "user:"
COMMAND_BYTES: Final = MAX_BYTES
BATCH_BYTES: Final = 16 << 20
BATCH_COMMANDS: Final = 1_000
IMPORT: Final = "import"
DELEGATE: Final = "delegate"

Decode = Callable[[bytes], Command]


class Handling(Protocol):
    """What takes commands."""

    async def handle(self, command: Command, meta: Meta) -> Outcome:
        """Return the command's outcome, or raise the failure that stopped it."""
        ...

    async def handle_bulk(
        self, requests: Sequence[tuple[Command, Meta]]
    ) -> list[Outcome | Failure]:
        """Handle commands of one organisation in order; an answer for each."""
        ...


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command in a batch, with what one alone has in headers.

    `org_id` and `actor` may only repeat what the token says.
    """

    command_id: UUID
    command: msgspec.Raw
    expected_version: int | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    occurred_at: datetime | None = None
    on_behalf_of: str | None = None
    org_id: str | None = None
    actor: str | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, from where, and in which W3C trace."""

    identity: Identity
    headers: Mapping[str, str]
    ip: str | None = None


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What comes with a command; `occurred_at` is a claim, to be checked.

    `on_behalf_of` is what `behalf` returned.
    """

    command_id: UUID
    expected_version: int | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    occurred_at: datetime | None = None
    on_behalf_of: str | None = None


class Asked(NamedTuple):
    """A place of a batch: its command, or what is wrong with it."""

    command_id: UUID | None
    request: Request | Failure


class Verdict(NamedTuple):
    """What became of a place of a batch; `kind` is the command's type, if known."""

    kind: str | None
    command_id: UUID | None
    answer: Outcome | Failure

    def told(self) -> Outcome | Document:
        """Return the verdict as it is answered."""
        if isinstance(self.answer, Failure):
            return document(self.answer, command_id=self.command_id)
        return self.answer


def kind_of(command: Command) -> str:
    """Return a command's type."""
    return str(command.__struct_config__.tag)


def meta_of(
    caller: Caller, given: Surroundings, clock: Clock, *, path: str = "$.occurred_at"
) -> Meta:
    """Return a command's envelope; `path` is where the time was claimed."""
    identity = caller.identity
    occurred_at = clock()
    if given.occurred_at is not None:
        if IMPORT not in identity.scopes:
            message = f"Only a token with the scope {IMPORT} may say when it happened."
            raise Forbidden(message, path=path)
        occurred_at = given.occurred_at.astimezone(UTC)
    headers = caller.headers
    if given.on_behalf_of is not None:
        headers = {**headers, ON_BEHALF_OF: given.on_behalf_of}
    return Meta(
        command_id=given.command_id,
        org_id=identity.org_id,
        region=identity.region,
        actor=identity.actor,
        correlation_id=given.correlation_id or given.command_id,
        causation_id=given.causation_id,
        occurred_at=occurred_at,
        ip=caller.ip,
        headers=headers,
        roles=identity.roles,
        scopes=identity.scopes,
        email=identity.email,
        expected_version=given.expected_version,
    )


def behalf(identity: Identity, named: str | None, path: str) -> str | None:
    """Return for whom a service asks, as `user:ID`, if it named somebody.

    Whether there is such a user is asked where the command is handled. The service may
    do no more for them than for itself.
    """
    if named is None:
        return None
    if not identity.actor.startswith(SERVICE) or DELEGATE not in identity.scopes:
        message = f"Only a service with the scope {DELEGATE} may ask for somebody."
        raise Forbidden(message, path=path)
    if not named.startswith(USER):
        raise Malformed("A user is named as user:ID.", path=path)
    return f"{USER}{identifier(named.removeprefix(USER), path)}"


def check_claims(
    identity: Identity, *, org_id: str | None, actor: str | None, at: str = "$"
) -> None:
    """Raise `Forbidden` where a caller claims to be another than the token says."""
    if org_id not in {None, identity.org_id}:
        raise Forbidden("The token is of another organisation.", path=f"{at}.org_id")
    if actor not in {None, identity.actor}:
        raise Forbidden("The token is of another actor.", path=f"{at}.actor")


class Batches:
    """Decodes batches, and handles them."""

    def __init__(
        self,
        *,
        handler: Handling,
        decode: Decode,
        clock: Clock,
        command_bytes: int = COMMAND_BYTES,
        commands: int = BATCH_COMMANDS,
    ) -> None:
        self._handler = handler
        self._decode = decode
        self._clock = clock
        self._command_bytes = command_bytes
        self._commands = commands

    def read(self, raws: Sequence[bytes], caller: Caller) -> list[Asked]:
        """Return the requests of a batch, and what is wrong where one is none.

        Raises `Malformed` or `TooLarge` where it has none or too many.
        """
        raws = [raw for raw in raws if raw.strip()]
        if not raws:
            raise Malformed("The batch is empty.")
        if len(raws) > self._commands:
            message = (
                f"The batch has {len(raws)} commands; the limit is {self._commands}."
            )
            raise TooLarge(message)
        return [self._read_one(raw, caller) for raw in raws]

    async def handle(self, batch: Sequence[Asked]) -> list[Verdict]:
        """Handle the requests of a batch in order, and return a verdict for each."""
        requests = [
            asked.request for asked in batch if not isinstance(asked.request, Failure)
        ]
        found = await self._handler.handle_bulk(requests) if requests else []
        answers = iter(found)
        return [
            Verdict(None, asked.command_id, asked.request)
            if isinstance(asked.request, Failure)
            else Verdict(kind_of(asked.request[0]), asked.command_id, next(answers))
            for asked in batch
        ]

    def _read_one(self, raw: bytes, caller: Caller) -> Asked:
        command_id: UUID | None = None
        try:
            envelope = decode_json(raw, Envelope, limit=2 * self._command_bytes)
            command_id = envelope.command_id
            return Asked(command_id, self._request(envelope, caller))
        except Failure as failure:
            return Asked(command_id, failure)

    def _request(self, envelope: Envelope, caller: Caller) -> Request:
        check_claims(caller.identity, org_id=envelope.org_id, actor=envelope.actor)
        if envelope.expected_version is not None and envelope.expected_version < 0:
            message = "A version is not negative."
            raise Malformed(message, path="$.expected_version")
        meta = meta_of(
            caller,
            Surroundings(
                command_id=envelope.command_id,
                expected_version=envelope.expected_version,
                correlation_id=envelope.correlation_id,
                causation_id=envelope.causation_id,
                occurred_at=envelope.occurred_at,
                on_behalf_of=behalf(
                    caller.identity, envelope.on_behalf_of, "$.on_behalf_of"
                ),
            ),
            self._clock,
        )
        try:
            return self._decode(bytes(envelope.command)), meta
        except Malformed as failure:
            path = f"$.command{(failure.path or '$')[1:]}"
            raise Malformed(str(failure), path=path) from failure
