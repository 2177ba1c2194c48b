"""The client that producers import: commands, rows, and the feed of events.

A command keeps its id through every retry, so it takes effect once, however often its
answer is lost. The same failures are raised here as on the server.
"""

import asyncio
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote
from uuid import UUID

import aiohttp
import msgspec
from yarl import URL

from events.catalogue import tag
from events.errors import Failure, TooMany, Unavailable
from events.message import Command, Event, Recorded
from services.client import answers
from services.client.retrying import pauses
from services.experiments.analysis.recording import MEDIA, ImageKind
from services.experiments.analysis.results import Analysis, Contrasts, Report
from services.experiments.watching import StepMetrics
from services.outcome import Outcome
from services.ports import Ids
from services.testing.progress import RunProgress


PATIENCE: Final = 30.0
ANSWER_SECONDS: Final = 30.0
CALCULATED_SECONDS: Final = 600.0
SILENCE_SECONDS: Final = 45.0
BATCH: Final = 500
JSON: Final = "application/json"

Token = str | Callable[[], str]

_encode: Final = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A command with what surrounds it; `command_id` makes sending it twice safe."""

    command: Command
    command_id: UUID
    expected_version: int | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    occurred_at: datetime | None = None
    on_behalf_of: str | None = None


def random_id() -> UUID:
    """Return a new identifier, all of it random."""
    return UUID(bytes=secrets.token_bytes(16), version=4)


class Client:
    """Talks to one server; to be used in an `async with`.

    `token` is a bearer token, or what returns one for each request. `patience` is for
    how many seconds a request is retried while the server is away.
    """

    def __init__(
        self,
        base_url: str,
        token: Token,
        *,
        patience: float = PATIENCE,
        ids: Ids = random_id,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._base = URL(base_url)
        self._token = token
        self._patience = patience
        self._ids = ids
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

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
        headers = {
            "Content-Type": JSON,
            "Idempotency-Key": str(command_id or self._ids()),
        }
        if expected_version is not None:
            headers["If-Match"] = f'"{expected_version}"'
        if correlation_id is not None:
            headers["Rehearsal-Correlation-Id"] = str(correlation_id)
        if causation_id is not None:
            headers["Rehearsal-Causation-Id"] = str(causation_id)
        if occurred_at is not None:
            headers["Rehearsal-Occurred-At"] = occurred_at.isoformat()
        if on_behalf_of is not None:
            headers["Rehearsal-On-Behalf-Of"] = on_behalf_of
        body = await self._ask(
            "POST", self._url("/v1/commands"), headers=headers, body=_encode(command)
        )
        return answers.outcome(body)

    async def send_many(self, requests: Sequence[Request]) -> list[Outcome | Failure]:
        """Send commands in order, 500 at a time; return a verdict for each.

        Raises the failure of a batch that was not answered; those before it happened,
        and sending all again changes nothing.
        """
        found: list[Outcome | Failure] = []
        for start in range(0, len(requests), BATCH):
            body = await self._ask(
                "POST",
                self._url("/v1/commands"),
                headers={"Content-Type": JSON},
                body=_encode(requests[start : start + BATCH]),
            )
            found += answers.verdicts(body)
        return found

    async def rows(
        self,
        table: str,
        where: Mapping[str, object] | None = None,
        *,
        sort: str | None = None,
        fields: Sequence[str] = (),
        min_position: int | None = None,
        page: int = 200,
        reason: str | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the rows of a table such as `testing.trials`, page after page.

        `where` holds parameters of the query grammar, as in `{"name.like": "A*"}`. With
        a `reason`, which is recorded, what others said is shown in tables that hold it.
        """
        query = {name: _text(value) for name, value in (where or {}).items()}
        query["limit"] = str(page)
        if sort is not None:
            query["sort"] = sort
        if fields:
            query["fields"] = ",".join(fields)
        if min_position is not None:
            query["min_position"] = str(min_position)
        if reason is not None:
            query["reason"] = reason
        url: URL | None = self._url(_path(table)).with_query(query)
        while url is not None:
            body = await self._ask("GET", url)
            found = msgspec.json.decode(body)
            for row in found["rows"]:
                yield row
            following = found["next"]
            url = None if following is None else self._base.join(URL(following))

    async def row(
        self,
        table: str,
        key: object,
        *,
        fields: Sequence[str] = (),
        min_position: int | None = None,
        as_of: int | datetime | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """Return one row, or as of a position or time the entity's state then.

        Personal text of others is opened as by `rows`. Raises `Missing` where there is
        no row that the caller may see.
        """
        query: dict[str, str] = {}
        if fields:
            query["fields"] = ",".join(fields)
        if min_position is not None:
            query["min_position"] = str(min_position)
        if as_of is not None:
            query["as_of"] = _text(as_of)
        if reason is not None:
            query["reason"] = reason
        path = f"{_path(table)}/{quote(str(key), safe=',')}"
        body = await self._ask("GET", self._url(path).with_query(query))
        found: dict[str, Any] = msgspec.json.decode(body)
        return found

    async def analysis(
        self,
        simulation: int,
        *,
        least_severity: float = 0.0,
        min_position: int | None = None,
    ) -> Analysis:
        """Return what the recorded rows of a simulation say, by its number."""
        body = await self._calculated(
            f"/v1/experiments/simulations/{simulation}/analysis",
            {"least_severity": f"{least_severity:.6g}"},
            min_position,
        )
        return answers.analysis(body)

    async def comparison(
        self, experiment: UUID, *, min_position: int | None = None
    ) -> Contrasts:
        """Return how the conditions of an experiment differ over its runs."""
        body = await self._calculated(
            f"/v1/experiments/experiments/{experiment}/comparison", {}, min_position
        )
        return answers.contrasts(body)

    async def report(
        self, key: int | UUID, *, min_position: int | None = None
    ) -> Report:
        """Return the table of a report, and which charts there are.

        `key` is a simulation's number, or the id of an experiment. Raises `Refused`
        where nothing is recorded yet.
        """
        path = f"{_population(key)}/report"
        return answers.report(await self._calculated(path, {}, min_position))

    async def report_page(
        self,
        key: int | UUID,
        *,
        step: int | None = None,
        min_position: int | None = None,
    ) -> str:
        """Return a report as a page that needs no network, its map of a step."""
        body = await self._calculated(
            f"{_population(key)}/report", _of_step(step), min_position, "text/html"
        )
        return body.decode()

    async def chart(
        self,
        key: int | UUID,
        name: str,
        *,
        image: ImageKind = "png",
        step: int | None = None,
        min_position: int | None = None,
    ) -> bytes:
        """Return a chart of a report; `Missing` where its rows were not captured."""
        path = f"{_population(key)}/charts/{quote(name, safe='')}"
        return await self._calculated(path, _of_step(step), min_position, MEDIA[image])

    async def _calculated(
        self,
        path: str,
        query: Mapping[str, str],
        min_position: int | None,
        accept: str = JSON,
    ) -> bytes:
        """Return what takes a calculation, however long that may take."""
        waits = {} if min_position is None else {"min_position": str(min_position)}
        return await self._ask(
            "GET",
            self._url(path).with_query({**query, **waits}),
            headers={"Accept": accept},
            seconds=CALCULATED_SECONDS,
        )

    async def put_blob(self, content: bytes, *, media_type: str) -> str:
        """Keep a large body and return its sha256 in hex."""
        body = await self._ask(
            "POST",
            self._url("/v1/blobs"),
            headers={"Content-Type": media_type},
            body=content,
        )
        return str(msgspec.json.decode(body)["sha256"])

    async def blob(self, sha256: str) -> bytes:
        """Return the body of an address, or raise `Missing`."""
        return await self._ask("GET", self._url(f"/v1/blobs/{quote(sha256)}"))

    async def events(
        self, after: int = 0, *, types: Sequence[type[Event]] = ()
    ) -> AsyncGenerator[Recorded[Event], None]:
        """Yield the organisation's events above a position, and go on for ever.

        A broken connection is taken up again where it broke. Raises the failure where
        the server says no, and `Unavailable` once it was away for `patience` seconds.
        """
        query = {"type": ",".join(map(tag, types))} if types else {}
        url = self._url("/v1/events").with_query(after=str(after), **query)
        async with aclosing(self._messages(url)) as messages:
            async for _, data in messages:
                yield answers.recorded(data)

    async def progress(
        self, run_id: UUID, *, min_position: int | None = None
    ) -> AsyncGenerator[RunProgress, None]:
        """Yield how far a run of a set is, now and at every change, until it has ended.

        Fails as `events` does; `min_position` waits for a run that was just started.
        """
        path = f"/v1/testing/simulation_unit_test_set_runs/{run_id}/progress"
        url = self._url(path)
        if min_position is not None:
            url = url.with_query(min_position=str(min_position))
        async with aclosing(self._messages(url)) as messages:
            async for _, data in messages:
                progress = answers.progress(data)
                yield progress
                if progress.ended:
                    return

    async def step_metrics(
        self,
        key: int | UUID,
        *,
        every_step: bool = False,
        rate: int | None = None,
        min_position: int | None = None,
    ) -> AsyncGenerator[StepMetrics, None]:
        """Yield a simulation's steps, all that were made and those to come, to the end.

        `key` is a simulation's number, or the id of an experiment, whose simulations
        are told together. Steps come condensed into windows, in at most `rate` (20)
        messages a second; `every_step` yields each by itself. None is missed and none
        comes twice, however often the connection breaks. Fails as `events` does.
        """
        query: dict[str, str] = {"every_step": "true"} if every_step else {}
        if rate is not None:
            query["rate"] = str(rate)
        if min_position is not None:
            query["min_position"] = str(min_position)
        url = self._url(f"{_population(key)}/steps").with_query(query)
        async with aclosing(self._messages(url)) as messages:
            async for kind, data in messages:
                if kind == b"end":
                    return
                for step in answers.steps(data):
                    yield step

    async def _messages(self, url: URL) -> AsyncGenerator[tuple[bytes, bytes], None]:
        """Yield the kinds and data of a live feed, taken up again where it breaks."""
        waits = pauses()
        away_since: float | None = None
        last: bytes | None = None
        while True:
            try:
                async with aclosing(self._connected(url, last)) as messages:
                    async for cursor, kind, data in messages:
                        waits, away_since = pauses(), None
                        last = cursor
                        if data:
                            yield kind, data
            except (Unavailable, TooMany, aiohttp.ClientError, TimeoutError) as error:
                away_since = away_since or monotonic()
                if monotonic() - away_since > self._patience:
                    raise _away(error) from error
            await self._sleep(next(waits))

    async def _connected(
        self, url: URL, last: bytes | None
    ) -> AsyncGenerator[tuple[bytes | None, bytes, bytes], None]:
        """Yield the id, the kind and the data of each message of one connection."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=ANSWER_SECONDS, sock_read=SILENCE_SECONDS
        )
        resumed = {} if last is None else {"Last-Event-ID": last.decode()}
        async with self._opened.get(
            url,
            headers={**self._bearer(), "Accept": "text/event-stream", **resumed},
            timeout=timeout,
        ) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP
                raise answers.failure(response.status, await response.read())
            cursor, kind, data = last, b"", b""
            async for line in _lines(response.content):
                name, _, value = line.partition(b": ")
                if name == b"id":
                    cursor = value
                elif name == b"event":
                    kind = value
                elif name == b"data":
                    data = value
                elif not line:
                    if kind == b"problem":
                        raise answers.problem(data)
                    yield cursor, kind, data
                    kind, data = b"", b""

    async def _ask(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> bytes:
        """Return the body of an answer; ask again while that makes sense."""
        patient_until = monotonic() + self._patience
        for pause in pauses():
            try:
                return await self._ask_once(method, url, headers or {}, body, seconds)
            except (Unavailable, TooMany, aiohttp.ClientError, TimeoutError) as error:
                wait = error.retry_after if isinstance(error, TooMany) else pause
                if monotonic() + wait > patient_until:
                    raise _away(error) from error
                await self._sleep(wait)
        raise AssertionError

    async def _ask_once(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
    ) -> bytes:
        async with self._opened.request(
            method,
            url,
            headers={**self._bearer(), **headers},
            data=body,
            timeout=aiohttp.ClientTimeout(total=seconds),
        ) as response:
            content = await response.read()
            if response.status < 300:  # noqa: PLR2004 - HTTP
                return content
            raise answers.failure(
                response.status,
                content,
                retry_after=float(response.headers.get("Retry-After", "1")),
            )

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            message = "The client is used in an `async with`."
            raise RuntimeError(message)
        return self._session

    def _url(self, path: str) -> URL:
        return self._base.join(URL(path, encoded=True))

    def _bearer(self) -> dict[str, str]:
        token = self._token if isinstance(self._token, str) else self._token()
        return {"Authorization": f"Bearer {token}"}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length, without their ends."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _population(key: int | UUID) -> str:
    """Return the path of a simulation, by its number, or of an experiment."""
    table = "simulations" if isinstance(key, int) else "experiments"
    return f"/v1/experiments/{table}/{key}"


def _of_step(step: int | None) -> dict[str, str]:
    return {} if step is None else {"step": str(step)}


def _path(table: str) -> str:
    context, _, name = table.partition(".")
    return f"/v1/{quote(context)}/{quote(name)}"


def _text(value: object) -> str:
    """Return a value as the query grammar writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case list() | tuple():
            return ",".join(map(_text, value))
        case _:
            return str(value)


def _away(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    return Unavailable(f"The server is away: {error or type(error).__name__}.")
