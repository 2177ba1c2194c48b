"""A whole HTTP interface over a log in memory, on a port of its own."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any, Final
from uuid import UUID

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from events.errors import Unavailable
from events.message import Event, Recorded
from infra.clock import new_id, now
from infra.memory.event_log import MemoryBlobs, MemoryEventLog
from infra.tokens import Issuer, TokenVerifier
from projections.catalogue import TABLES
from services import guard
from services.dashboard.playgrounds import PlaygroundPages
from services.dashboard.web import Desk
from services.experiments.analysis.recording import AnyRecording, Subject
from services.handling import Handler
from services.http.app import Calculations, make_app
from services.http.limits import Limits
from services.http.metrics import Metrics
from services.http.reading import Reader, Row
from services.http.serving import serving
from services.http.snapshots import Snapshot, Snapshots
from services.http.waiting import CaughtUp
from services.identity import Identity
from services.playgrounds.statistics.records import Evaluations, Options
from services.routing import COMMANDS, DECIDER_OF
from services.testing import personas


KEY: Final = Ed25519PrivateKey.generate()
SECRET: Final = b"a secret of tests"
ISSUER: Final = Issuer(KEY, issuer="tests", audience="rehearsal", clock=now)


class NoTables:
    """A database that is away."""

    async def read(
        self, _identity: Identity, _sql: str, _args: Sequence[object], /
    ) -> Sequence[Row]:
        raise Unavailable("host db.internal does not answer")

    def snapshot(self, _identity: Identity, /) -> AbstractAsyncContextManager[Snapshot]:
        raise Unavailable("host db.internal does not answer")


class NoCalculations:
    """No process can be started to calculate anything."""

    async def statistics(self, _data: Evaluations, _options: Options, /) -> bytes:
        raise Unavailable("no process can be started")

    async def analysis(self, _run: AnyRecording, _least: float, /) -> bytes:
        raise Unavailable("no process can be started")

    async def contrasts(self, _runs: Sequence[AnyRecording], /) -> bytes:
        raise Unavailable("no process can be started")

    async def report(
        self, _subject: Subject, _runs: Sequence[AnyRecording], _whole: AnyRecording, /
    ) -> bytes:
        raise Unavailable("no process can be started")


class FailingLog(MemoryEventLog):
    """A log whose reader can be made to break."""

    broken: Exception | None = None

    async def read(self, after: int, limit: int = 1000) -> Sequence[Recorded[Event]]:
        if self.broken is not None:
            raise self.broken
        return await super().read(after, limit)


@dataclass(kw_only=True)
class World:
    """An interface that answers at `url`, and what stands behind it."""

    url: str
    http: aiohttp.ClientSession
    log: FailingLog
    handler: Handler
    metrics: Metrics

    def token(
        self,
        subject: str = "user:ada",
        *,
        org: str = "acme",
        roles: Iterable[str] = ("admin",),
        scopes: Iterable[str] = (),
        lifetime: timedelta = timedelta(minutes=5),
    ) -> str:
        return ISSUER.issue(
            subject, org=org, roles=roles, scopes=scopes, lifetime=lifetime
        )

    @property
    def tables(self) -> Iterable[str]:
        return TABLES

    def identity(self, org: str = "acme", actor: str = "user:ada") -> Identity:
        return Identity(
            org_id=org, region="local", actor=actor, roles=frozenset({"admin"})
        )

    def bearer(
        self,
        *,
        org: str = "acme",
        roles: Iterable[str] = ("admin",),
        scopes: Iterable[str] = (),
    ) -> dict[str, str]:
        token = self.token(org=org, roles=roles, scopes=scopes)
        return {"Authorization": f"Bearer {token}"}

    async def send(
        self,
        command: object,
        *,
        command_id: UUID | None = None,
        headers: dict[str, str] | None = None,
    ) -> "Answer":
        """Send one command, given as its JSON."""
        body = command if isinstance(command, bytes) else msgspec.json.encode(command)
        return await self.request(
            "POST",
            "/v1/commands",
            data=body,
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": str(command_id or new_id()),
                **self.bearer(),
                **(headers or {}),
            },
        )

    async def get(self, path: str, **headers: str) -> "Answer":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("GET", path, headers={**self.bearer(), **named})

    async def request(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Answer":
        async with self.http.request(
            method,
            self.url + path,
            data=None if data is None else BytesIO(data),
            headers=headers,
        ) as response:
            return Answer(
                status=response.status,
                headers=response.headers,
                body=await response.read(),
            )


@dataclass(kw_only=True)
class Answer:
    """A response that was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        return msgspec.json.decode(self.body)


def is_problem(answer: Answer, status: int, path: str | None = None) -> bool:
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["instance"].startswith("urn:uuid:")
    assert path is None or answer.json["path"] == path
    return True


def create_persona(
    persona_id: UUID | str | None = None, **fields: object
) -> dict[str, Any]:
    """Return the JSON of a command that makes a persona."""
    return {
        "type": "testing.CreatePersona",
        "persona_id": str(persona_id or new_id()),
        "name": "Ada",
        "role": "customer",
        "tags": {},
        "background": "Has lost a book",
        "preferred_language": "en",
        "timezone": "UTC",
        **fields,
    }


async def never_caught_up(_group: str, _position: int, _seconds: float) -> int:
    return 0


@asynccontextmanager
async def open_world(
    *,
    reader: Reader | None = None,
    snapshots: Snapshots | None = None,
    calculate: Calculations | None = None,
    caught_up: CaughtUp = never_caught_up,
    limits: Limits | None = None,
) -> AsyncIterator[World]:
    log = FailingLog(clock=now, ids=new_id)
    handler = Handler(log=log, deciders=DECIDER_OF, guard=guard.check)
    metrics = Metrics()
    verifier = TokenVerifier(
        [KEY.public_key()],
        issuer="tests",
        audience="rehearsal",
        region="local",
        clock=now,
    )
    desk = Desk(
        handle=handler.handle,
        verifier=verifier,
        clock=now,
        ids=new_id,
        secret=SECRET,
        limits=limits or Limits(),
    )
    pages = PlaygroundPages(
        desk, reader=reader or NoTables(), folding=handler, caught_up=caught_up
    )
    app = make_app(
        handler=handler,
        log=log,
        blobs=MemoryBlobs(),
        verifier=verifier,
        reader=reader or NoTables(),
        snapshots=snapshots or NoTables(),
        calculate=calculate or NoCalculations(),
        pages=pages.routes(),
        commands=COMMANDS,
        permissions=guard.PERMISSIONS,
        tables=TABLES,
        entities={"testing.simulation_personas": personas.decider},
        caught_up=caught_up,
        clock=now,
        ids=new_id,
        metrics=metrics,
        secret=SECRET,
        limits=limits or Limits(),
    )
    async with (
        serving(app, host="127.0.0.1", port=0) as port,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        yield World(
            url=f"http://127.0.0.1:{port}",
            http=http,
            log=log,
            handler=handler,
            metrics=metrics,
        )
