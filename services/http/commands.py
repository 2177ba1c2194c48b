"""POST /v1/commands: one command, or up to a thousand with a verdict for each.

Organisation, actor, roles and address come from the token and the connection. The body
of one command is the command alone; what surrounds it comes in headers, and in a batch
in an envelope for each.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from time import perf_counter
from typing import Final, Protocol
from uuid import UUID

import msgspec
from aiohttp import web
from structlog.contextvars import bind_contextvars

from events.errors import Failure, Forbidden, Malformed, TooLarge
from events.message import Command, Meta
from services.decoding import decode_json, split_json
from services.handling import Outcome
from services.http import asking, problems
from services.http.asking import Identify
from services.http.limits import Limits
from services.http.metrics import Metrics
from services.http.problems import UnsupportedMedia
from services.identity import Identity
from services.ports import Clock


PATH: Final = "/v1/commands"
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
IMPORT: Final = "import"

_encode: Final = msgspec.json.Encoder().encode


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
    org_id: str | None = None
    actor: str | None = None


class Commands:
    """The route of commands."""

    def __init__(
        self,
        *,
        handler: Handling,
        decode: Callable[[bytes], Command],
        identify: Identify,
        clock: Clock,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self._handler = handler
        self._decode = decode
        self._identify = identify
        self._clock = clock
        self._metrics = metrics
        self._limits = limits

    async def post(self, request: web.Request) -> web.Response:
        """Answer one command, or a batch, by the type of the body."""
        identity = self._identify(request)
        kind = request.content_type
        if kind == NDJSON:
            content = await asking.body(request, limit=self._limits.batch_bytes)
            return await self._batch(request, identity, content.splitlines(), NDJSON)
        if kind != JSON:
            message = f"Commands come as {JSON} or {NDJSON}."
            raise UnsupportedMedia(message, path="headers.Content-Type")
        content = await asking.body(request, limit=self._limits.batch_bytes)
        if content[:64].lstrip()[:1] == b"[":
            raws = split_json(content, limit=self._limits.batch_bytes)
            return await self._batch(request, identity, raws, JSON)
        return await self._one(request, identity, content)

    async def _one(
        self, request: web.Request, identity: Identity, content: bytes
    ) -> web.Response:
        meta = self._meta(request, identity)
        bind_contextvars(
            command_id=str(meta.command_id),
            correlation_id=str(meta.correlation_id),
            actor_id=meta.actor,
            org_id=meta.org_id,
        )
        command = self._decode(content)
        kind = str(command.__struct_config__.tag)
        started = perf_counter()
        try:
            outcome = await self._handler.handle(command, meta)
        except Failure as failure:
            self._count(kind, failure)
            raise
        finally:
            self._metrics.command_took(kind, perf_counter() - started)
        self._count(kind, outcome)
        return web.Response(
            body=_encode(outcome),
            headers={"Content-Type": JSON, "ETag": f'"{outcome.version}"'},
        )

    async def _batch(
        self,
        request: web.Request,
        identity: Identity,
        raws: Sequence[bytes],
        kind: str,
    ) -> web.Response:
        raws = [raw for raw in raws if raw.strip()]
        if not raws:
            raise Malformed("The batch is empty.")
        if len(raws) > self._limits.batch_commands:
            message = (
                f"The batch has {len(raws)} commands; "
                f"the limit is {self._limits.batch_commands}."
            )
            raise TooLarge(message)
        bind_contextvars(
            commands=len(raws), actor_id=identity.actor, org_id=identity.org_id
        )
        headers = asking.trace(request.headers)
        address = asking.address(request, self._limits)
        answers: dict[int, Outcome | Failure] = {}
        ids: dict[int, UUID] = {}
        asked: list[tuple[Command, Meta]] = []
        places: list[int] = []
        for place, raw in enumerate(raws):
            try:
                envelope = decode_json(
                    raw, Envelope, limit=2 * self._limits.command_bytes
                )
                ids[place] = envelope.command_id
                meta = self._enveloped(envelope, identity, headers, address)
                asked.append((self._command(envelope), meta))
                places.append(place)
            except Failure as failure:
                answers[place] = failure
        if asked:
            found = await self._handler.handle_bulk(asked)
            for place, (command, _), answer in zip(places, asked, found, strict=True):
                answers[place] = answer
                self._count(str(command.__struct_config__.tag), answer)
        verdicts = [
            problems.document(answer, command_id=ids.get(place))
            if isinstance(answer, Failure)
            else answer
            for place, answer in sorted(answers.items(), key=itemgetter(0))
        ]
        body = (
            msgspec.json.Encoder().encode_lines(verdicts)
            if kind == NDJSON
            else _encode(verdicts)
        )
        return web.Response(body=body, headers={"Content-Type": kind})

    def _command(self, envelope: Envelope) -> Command:
        try:
            return self._decode(bytes(envelope.command))
        except Malformed as failure:
            path = f"$.command{(failure.path or '$')[1:]}"
            raise Malformed(str(failure), path=path) from failure

    def _count(self, kind: str, answer: Outcome | Failure) -> None:
        if isinstance(answer, Failure):
            self._metrics.command(kind, problems.slug(problems.kind_of(answer)))
        else:
            appended = answer.events if answer.status == "ok" else 0
            self._metrics.command(kind, answer.status, appended)

    def _meta(self, request: web.Request, identity: Identity) -> Meta:
        headers = request.headers
        key = headers.get("Idempotency-Key")
        if key is None:
            message = "The command's id, a UUID, belongs in the Idempotency-Key header."
            raise Malformed(message, path="headers.Idempotency-Key")
        command_id = asking.identifier(key.strip('"'), "headers.Idempotency-Key")
        correlation_id = _identifier(headers, "Rehearsal-Correlation-Id")
        return Meta(
            command_id=command_id,
            org_id=identity.org_id,
            region=identity.region,
            actor=identity.actor,
            correlation_id=correlation_id or command_id,
            causation_id=_identifier(headers, "Rehearsal-Causation-Id"),
            occurred_at=self._occurred_at(
                _moment(headers, "Rehearsal-Occurred-At"),
                identity,
                "headers.Rehearsal-Occurred-At",
            ),
            ip=asking.address(request, self._limits),
            headers=asking.trace(headers),
            roles=identity.roles,
            scopes=identity.scopes,
            expected_version=_expected_version(headers),
        )

    def _enveloped(
        self,
        envelope: Envelope,
        identity: Identity,
        headers: Mapping[str, str],
        address: str | None,
    ) -> Meta:
        if envelope.org_id not in {None, identity.org_id}:
            raise Forbidden("The token is of another organisation.", path="$.org_id")
        if envelope.actor not in {None, identity.actor}:
            raise Forbidden("The token is of another actor.", path="$.actor")
        if envelope.expected_version is not None and envelope.expected_version < 0:
            message = "A version is not negative."
            raise Malformed(message, path="$.expected_version")
        return Meta(
            command_id=envelope.command_id,
            org_id=identity.org_id,
            region=identity.region,
            actor=identity.actor,
            correlation_id=envelope.correlation_id or envelope.command_id,
            causation_id=envelope.causation_id,
            occurred_at=self._occurred_at(
                envelope.occurred_at, identity, "$.occurred_at"
            ),
            ip=address,
            headers=headers,
            roles=identity.roles,
            scopes=identity.scopes,
            expected_version=envelope.expected_version,
        )

    def _occurred_at(
        self, claimed: datetime | None, identity: Identity, path: str
    ) -> datetime:
        if claimed is None:
            return self._clock()
        if IMPORT not in identity.scopes:
            message = f"Only a token with the scope {IMPORT} may say when it happened."
            raise Forbidden(message, path=path)
        return claimed.astimezone(UTC)


def _identifier(headers: Mapping[str, str], name: str) -> UUID | None:
    value = headers.get(name)
    return None if value is None else asking.identifier(value, f"headers.{name}")


def _moment(headers: Mapping[str, str], name: str) -> datetime | None:
    value = headers.get(name)
    return None if value is None else asking.moment(value, f"headers.{name}")


def _expected_version(headers: Mapping[str, str]) -> int | None:
    tag = headers.get("If-Match")
    plain = headers.get("Rehearsal-Expected-Version")
    if tag is None:
        if plain is None:
            return None
        return asking.integer(plain, "headers.Rehearsal-Expected-Version")
    if plain is not None:
        message = "If-Match and Rehearsal-Expected-Version say the same; give one."
        raise Malformed(message, path="headers.If-Match")
    if len(tag) < len('"0"') or tag[0] != '"' or tag[-1] != '"':
        message = 'If-Match takes one version in quotes, as in "3".'
        raise Malformed(message, path="headers.If-Match")
    return asking.integer(tag[1:-1], "headers.If-Match")
