"""One client of the API, and the judge of every answer that it gets.

An answer is at fault where it is a server's error, where a refusal is no problem
document, or where either is not what the case expects. What accepted commands say
that they stored is summed, to be held against the database.
"""

import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from time import sleep
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import msgspec

from services.http.blobs import PATH as PATH_OF_BLOBS
from services.http.commands import PATH as PATH_OF_COMMANDS
from services.http.service_tokens import PATH as PATH_OF_TOKENS
from services.problems import MEDIA_TYPE, PATH, PROBLEMS, slug
from tests.chaos.findings import Findings
from tests.fuzz.counting import Counts
from tests.fuzz.making import same_place


SECONDS: Final = 20.0
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
REFUSED: Final = range(400, 500)
LEAKS: Final = (b"Traceback", b'File "', b"asyncpg", b"postgresql://", b"SELECT ")
TYPES: Final = {f"{PATH}/{slug(kind)}": each for kind, each in PROBLEMS.items()}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What every problem document has."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    path: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What an outcome says that was stored."""

    status: str
    events: int


class Reply(NamedTuple):
    """An answer: its status (0: the connection was closed without one) and content."""

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str]


CLOSED: Final = Reply(0, "", b"", {})


class Wire:
    """A connection that is kept alive, with a token, and a count of everything."""

    def __init__(
        self, port: int, token: str, counts: Counts, findings: Findings, *, seed: int
    ) -> None:
        self.port = port
        self.token = token
        self.counts = counts
        self.findings = findings
        self._seed = UUID(int=seed)
        self._ids = 0
        self._connection: HTTPConnection | None = None

    def new_id(self) -> UUID:
        """Return an identifier that this campaign has not used."""
        self._ids += 1
        return uuid5(self._seed, str(self._ids))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(
        self,
        kind: str,
        method: str,
        target: str,
        headers: Mapping[str, str | bytes] | None = None,
        body: bytes | None = None,
        *,
        expect: Collection[int] | None = None,
        path: str | None = None,
    ) -> Reply:
        """Send a request as `kind`, and judge the answer.

        `expect` are the statuses that are right, `path` the one that a problem names.
        A header that is empty is not sent.
        """
        wanted = {
            "Authorization": f"Bearer {self.token}",
            **(headers or {}),
        }
        sent = {name: _header(value) for name, value in wanted.items() if value}
        reply = self._exchange(method, target, sent, body)
        told = f"{method} {target[:100]} {headers} {(body or b'')[:120]!r}"
        self.judge(kind, reply, told, expect=expect, path=path)
        self.account(method, target, reply)
        return reply

    def command(
        self,
        kind: str,
        body: bytes,
        headers: Mapping[str, str | bytes] | None = None,
        *,
        expect: Collection[int] | None = None,
        path: str | None = None,
    ) -> Reply:
        """Send one command under a new id unless `headers` name one."""
        given = {
            "Content-Type": JSON,
            "Idempotency-Key": str(self.new_id()),
            **(headers or {}),
        }
        return self.ask(
            kind, "POST", PATH_OF_COMMANDS, given, body, expect=expect, path=path
        )

    def raw(
        self,
        kind: str,
        *chunks: bytes,
        expect: Collection[int] | None = None,
        pause: float = 0.0,
    ) -> Reply:
        """Send bytes as they are, on a connection whose sending end is then closed.

        `pause` is the time between the pieces, in seconds.
        """
        try:
            reply = self._bytes(chunks, pause)
        except (OSError, HTTPException):
            reply = CLOSED
        told = f"{b''.join(chunks)[:200]!r}"
        self.judge(kind, reply, told, expect=expect)
        return reply

    def judge(
        self,
        kind: str,
        reply: Reply,
        told: str,
        *,
        expect: Collection[int] | None = None,
        path: str | None = None,
    ) -> None:
        """Count an answer and add what is wrong with it to the findings."""
        self.counts.cases[kind] += 1
        self.counts.statuses[_class(reply.status)] += 1
        told = f"{kind}: {told} -> {reply.status} {reply.body[:300]!r}"
        if expect is not None and reply.status not in expect:
            self.findings.add(f"{kind}: another status than expected", told)
        if reply.status >= 500:
            self.findings.add("server error", told)
        elif reply.status >= 400 and not told.startswith(f"{kind}: HEAD "):
            self._judge_problem(kind, reply, told, path)
        elif path is not None and reply.status:
            self.findings.add(f"{kind}: accepted", told)
        for leak in LEAKS:
            if reply.status >= 400 and leak in reply.body:
                self.findings.add("an answer tells of our inside", told)

    def account(self, method: str, target: str, reply: Reply) -> None:
        """Add up what an answer says that was stored."""
        path = urlsplit(target).path
        if (method, path, reply.status) == ("POST", PATH_OF_COMMANDS, 200):
            self._sum(reply)
        elif (method, path, reply.status) == ("POST", PATH_OF_BLOBS, 201):
            self.counts.blobs.add(msgspec.json.decode(reply.body)["sha256"])
        elif (method, path, reply.status) == ("POST", PATH_OF_TOKENS, 201):
            self.counts.commands += 1
            self.counts.events += 1

    def _judge_problem(
        self, kind: str, reply: Reply, told: str, path: str | None
    ) -> None:
        try:
            problem = msgspec.json.decode(reply.body, type=Problem)
        except msgspec.DecodeError:
            self.findings.add("a refusal is no problem document", told)
            return
        self.counts.problems[problem.code] += 1
        if reply.kind != MEDIA_TYPE:
            self.findings.add("a problem document of another media type", told)
        known = TYPES.get(problem.type)
        if known is None or {known.status, problem.status} != {reply.status}:
            self.findings.add("a problem document that contradicts itself", told)
        if path is not None and not same_place(problem.path, path):
            self.findings.add(f"{kind}: the problem is not at {path}", told)

    def _sum(self, reply: Reply) -> None:
        """Add up what outcomes say was stored; problems in a batch stored nothing."""
        match reply.kind:
            case _ if reply.kind == NDJSON:
                found = reply.body.splitlines()
            case _ if reply.body.startswith(b"["):
                found = [*map(bytes, msgspec.json.decode(reply.body, type=_RAWS))]
            case _:
                found = [reply.body]
        for each in found:
            try:
                outcome = msgspec.json.decode(each, type=Accepted)
            except msgspec.ValidationError:
                continue
            if outcome.status == "ok":
                self.counts.commands += 1
                self.counts.events += outcome.events

    def _exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, bytes],
        body: bytes | None,
    ) -> Reply:
        for last in (False, True):
            connection = self._connection or HTTPConnection(
                "127.0.0.1", self.port, timeout=SECONDS
            )
            self._connection = connection
            try:
                connection.request(method, target, body, headers)
                return _read(connection.getresponse())
            except (OSError, HTTPException):
                # A server may close what it refuses before all of it was sent.
                connection.close()
                self._connection = None
                if last:
                    return CLOSED
        return CLOSED

    def _bytes(self, chunks: Collection[bytes], pause: float) -> Reply:
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(BrokenPipeError, ConnectionResetError):
                for chunk in chunks:
                    connection.sendall(chunk)
                    sleep(pause)
                connection.shutdown(socket.SHUT_WR)
            response = HTTPResponse(connection)
            response.begin()
            return _read(response)


_RAWS: Final = list[msgspec.Raw]


def _read(response: HTTPResponse) -> Reply:
    headers = dict(response.getheaders())
    kind = headers.get("Content-Type", "").partition(";")[0]
    if kind == "text/event-stream":
        content = response.read1(65_536)
        response.close()
    else:
        content = response.read()
    return Reply(response.status, kind, content, headers)


def _class(status: int) -> str:
    return f"{status // 100}xx" if status else "closed"


def _header(value: str | bytes) -> bytes:
    """Return a header's bytes; a letter up to U+00FF is one byte."""
    if isinstance(value, bytes):
        return value
    wide = any(letter > "\xff" for letter in value)
    return value.encode("utf-8" if wide else "latin-1")
