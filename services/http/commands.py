"""POST /v1/commands: one command, or up to a thousand with a verdict for each.

Organisation, actor, roles and address come from the token and the connection. The body
of one command is the command alone; what surrounds it comes in headers, and in a batch
in an envelope for each.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from time import perf_counter
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import web
from structlog.contextvars import bind_contextvars

from events.errors import Failure, Malformed
from events.message import Meta
from services.commanding import (
    Batches,
    Caller,
    Decode,
    Handling,
    Surroundings,
    kind_of,
    meta_of,
)
from services.decoding import split_json
from services.handling import Outcome
from services.http import asking
from services.http.asking import Identify
from services.http.limits import Limits
from services.http.metrics import Metrics
from services.identity import Identity
from services.ports import Clock
from services.problems import UnsupportedMedia, slug
from services.problems import kind_of as kind_of_problem


PATH: Final = "/v1/commands"
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

_encoder: Final = msgspec.json.Encoder()


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
        limits: Limits,
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
        return web.Response(
            body=_encoder.encode(outcome),
            headers={"Content-Type": JSON, "ETag": f'"{outcome.version}"'},
        )

    async def _batch(
        self,
        request: web.Request,
        identity: Identity,
        raws: Sequence[bytes],
        kind: str,
    ) -> web.Response:
        batch = self._batches.read(raws, self._caller(request, identity))
        bind_contextvars(
            commands=len(batch), actor_id=identity.actor, org_id=identity.org_id
        )
        verdicts = await self._batches.handle(batch)
        for verdict in verdicts:
            if verdict.kind is not None:
                self._count(verdict.kind, verdict.answer)
        told = [verdict.told() for verdict in verdicts]
        body = _encoder.encode_lines(told) if kind == NDJSON else _encoder.encode(told)
        return web.Response(body=body, headers={"Content-Type": kind})

    def _count(self, kind: str, answer: Outcome | Failure) -> None:
        if isinstance(answer, Failure):
            self._metrics.command(kind, slug(kind_of_problem(answer)))
        else:
            appended = answer.events if answer.status == "ok" else 0
            self._metrics.command(kind, answer.status, appended)

    def _caller(self, request: web.Request, identity: Identity) -> Caller:
        return Caller(
            identity=identity,
            headers=asking.trace(request.headers),
            ip=asking.address(request, self._limits),
        )

    def _meta(self, request: web.Request, identity: Identity) -> Meta:
        headers = request.headers
        key = headers.get("Idempotency-Key")
        if key is None:
            message = "The command's id, a UUID, belongs in the Idempotency-Key header."
            raise Malformed(message, path="headers.Idempotency-Key")
        given = Surroundings(
            command_id=asking.identifier(key.strip('"'), "headers.Idempotency-Key"),
            expected_version=_expected_version(headers),
            correlation_id=_identifier(headers, "Rehearsal-Correlation-Id"),
            causation_id=_identifier(headers, "Rehearsal-Causation-Id"),
            occurred_at=_moment(headers, "Rehearsal-Occurred-At"),
        )
        path = "headers.Rehearsal-Occurred-At"
        return meta_of(self._caller(request, identity), given, self._clock, path=path)


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
