"""POST /v1/commands: one command, or up to a thousand with a verdict for each.

Organisation, actor, roles and address come from the token and the connection. The body
of one command is the command alone; what surrounds it comes in headers, and in a batch
in an envelope for each.
"""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from time import perf_counter
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDictProxy, istr

from events.errors import Failure, Malformed
from events.ids import text_of
from events.message import Meta
from services import log_context
from services.admission import Admission
from services.commanding import (
    Batches,
    Caller,
    Decode,
    Handling,
    Surroundings,
    behalf,
    kind_of,
    meta_of,
)
from services.decoding import split_json
from services.http import asking, lanes
from services.http.asking import Head, Identify
from services.http.edge import Edge
from services.http.limits import Limits
from services.http.metrics import Metrics
from services.identity import Identity
from services.outcome import Outcome
from services.ports import Clock
from services.problems import UnsupportedMedia, slug
from services.problems import kind_of as kind_of_problem


PATH: Final = "/v1/commands"
OK: Final = HTTPStatus.OK.value
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

CONTENT_TYPE: Final = istr("Content-Type")
CONTENT_ENCODING: Final = istr("Content-Encoding")
IDEMPOTENCY_KEY: Final = istr("Idempotency-Key")
IF_MATCH: Final = istr("If-Match")
EXPECTED_VERSION: Final = istr("Rehearsal-Expected-Version")
CORRELATION_ID: Final = istr("Rehearsal-Correlation-Id")
CAUSATION_ID: Final = istr("Rehearsal-Causation-Id")
OCCURRED_AT: Final = istr("Rehearsal-Occurred-At")
ON_BEHALF_OF: Final = istr("Rehearsal-On-Behalf-Of")

_encoder: Final = msgspec.json.Encoder()


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a request that did not pass through the application."""

    headers: CIMultiDictProxy[str]
    remote: str | None


class Commands:
    """The route of commands."""

    def __init__(
        self,
        *,
        handler: Handling,
        decode: Decode,
        identify: Identify,
        clock: Clock,
        metrics: Metrics,
        edge: Edge,
        limits: Limits,
        told: Mapping[str, str],
        admission: Admission | None = None,
    ) -> None:
        self._handler = handler
        self._batches = Batches(
            handler=handler,
            decode=decode,
            clock=clock,
            command_bytes=limits.command_bytes,
            commands=limits.batch_commands,
        )
        self._decode = decode
        self._identify = identify
        self._clock = clock
        self._metrics = metrics
        self._edge = edge
        self._limits = limits
        self._told = lanes.lines(told)
        self._admission = admission

    async def post(self, request: web.Request) -> web.Response:
        """Answer one command, or a batch, by the type of the body."""
        identity = self._identify(request)
        kind = request.content_type
        if kind not in {JSON, NDJSON}:
            message = f"Commands come as {JSON} or {NDJSON}."
            raise UnsupportedMedia(message, path="headers.Content-Type")
        content = await asking.body(request, limit=self._limits.batch_bytes)
        body, version = await self._answering(request, identity, content, kind)
        headers = {"Content-Type": kind}
        if version is not None:
            headers["ETag"] = f'"{version}"'
        return web.Response(body=body, headers=headers)

    def takes(self, message: RawRequestMessage) -> bool:
        """Say whether a request is one for here in plain JSON."""
        headers = message.headers
        return (
            message.path == PATH
            and message.method == "POST"
            and headers.get(CONTENT_TYPE) == JSON
            and CONTENT_ENCODING not in headers
        )

    async def answer(
        self, message: RawRequestMessage, content: bytes, remote: str | None
    ) -> bytes:
        """Return the whole answer to what `takes` takes, as it goes over the wire."""
        started = perf_counter()
        head = Arrived(headers=message.headers, remote=remote)
        try:
            identity = self._identify(head)
            asking.check_length(len(content), self._limits.batch_bytes)
            body, version = await self._answering(head, identity, content, JSON)
        except Exception as error:  # noqa: BLE001 - a defect must not end the connection unlogged
            response, level, told = self._edge.refusal(error, method="POST", path=PATH)
            self._edge.note(
                "POST", PATH, response.status, started=started, level=level, told=told
            )
            return lanes.problem(response, told=self._told)
        self._edge.note("POST", PATH, OK, started=started)
        return lanes.success(body, version, told=self._told)

    def _answering(
        self, head: Head, identity: Identity, content: bytes, kind: str
    ) -> Awaitable[tuple[bytes, int | None]]:
        """Return what gives the answer, and for one command its stream's version."""
        if kind == NDJSON:
            raws = content.splitlines()
        elif content[:64].lstrip()[:1] == b"[":
            raws = split_json(content, limit=self._limits.batch_bytes)
        else:
            return self._one(head, identity, content)
        return self._batch(head, identity, raws, kind)

    async def _one(
        self, head: Head, identity: Identity, content: bytes
    ) -> tuple[bytes, int | None]:
        meta = self._meta(head, identity)
        command_id = text_of(meta.command_id)
        alone = meta.correlation_id is meta.command_id
        log_context.bind(
            command_id=command_id,
            correlation_id=command_id if alone else text_of(meta.correlation_id),
            actor_id=meta.actor,
            org_id=meta.org_id,
        )
        command = self._decode(content)
        admission = self._admission
        if admission is not None and not admission.admit_at_once(identity):
            await admission.admit(identity)
        kind = kind_of(command)
        started = perf_counter()
        try:
            outcome = await self._handler.handle(command, meta)
        except Failure as failure:
            self._count(kind, failure)
            raise
        finally:
            self._metrics.command_took(kind, perf_counter() - started)
        self._count(kind, outcome)
        return _encoder.encode(outcome), outcome.version

    async def _batch(
        self, head: Head, identity: Identity, raws: Sequence[bytes], kind: str
    ) -> tuple[bytes, int | None]:
        batch = self._batches.read(raws, self._caller(head, identity))
        if self._admission is not None:
            await self._admission.admit(identity, len(batch))
        log_context.bind(
            commands=len(batch), actor_id=identity.actor, org_id=identity.org_id
        )
        verdicts = await self._batches.handle(batch)
        for verdict in verdicts:
            if verdict.kind is not None:
                self._count(verdict.kind, verdict.answer)
        told = [verdict.told() for verdict in verdicts]
        if kind == NDJSON:
            return _encoder.encode_lines(told), None
        return _encoder.encode(told), None

    def _count(self, kind: str, answer: Outcome | Failure) -> None:
        if isinstance(answer, Failure):
            self._metrics.command(kind, slug(kind_of_problem(answer)))
        else:
            appended = answer.events if answer.status == "ok" else 0
            self._metrics.command(kind, answer.status, appended)

    def _caller(self, head: Head, identity: Identity) -> Caller:
        return Caller(
            identity=identity,
            headers=asking.trace(head.headers),
            ip=asking.address(head, self._limits),
        )

    def _meta(self, head: Head, identity: Identity) -> Meta:
        headers = head.headers
        key = headers.get(IDEMPOTENCY_KEY)
        if key is None:
            message = "The command's id, a UUID, belongs in the Idempotency-Key header."
            raise Malformed(message, path="headers.Idempotency-Key")
        given = Surroundings(
            command_id=asking.identifier(key.strip('"'), "headers.Idempotency-Key"),
            expected_version=_expected_version(headers),
            correlation_id=_identifier(headers, CORRELATION_ID),
            causation_id=_identifier(headers, CAUSATION_ID),
            occurred_at=_moment(headers, OCCURRED_AT),
            on_behalf_of=behalf(
                identity,
                headers.get(ON_BEHALF_OF),
                "headers.Rehearsal-On-Behalf-Of",
            ),
        )
        path = "headers.Rehearsal-Occurred-At"
        return meta_of(self._caller(head, identity), given, self._clock, path=path)


def _identifier(headers: Mapping[str, str], name: str) -> UUID | None:
    value = headers.get(name)
    return None if value is None else asking.identifier(value, f"headers.{name}")


def _moment(headers: Mapping[str, str], name: str) -> datetime | None:
    value = headers.get(name)
    return None if value is None else asking.moment(value, f"headers.{name}")


def _expected_version(headers: Mapping[str, str]) -> int | None:
    tag = headers.get(IF_MATCH)
    plain = headers.get(EXPECTED_VERSION)
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
