"""Serving: no connection is held for nothing, and no bad bytes are a server error."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from uuid import UUID

import msgspec
import pytest
from aiohttp import http_parser, web
from aiohttp.http_parser import RawRequestMessage
from structlog.testing import capture_logs

from services import log_context
from services.http import lanes
from services.http.app import make_admin_app
from services.http.lanes import LANE
from services.http.metrics import Metrics
from services.http.serving import NoFastParser, serving
from tests.services.http.world import World, create_persona


async def exchange(world: World, sent: bytes) -> bytes:
    port = int(world.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/docs?q=\xff HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\na",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_bad_bytes_are_no_server_error(sent: bytes, world: World) -> None:
    answer = await exchange(world, sent)
    status = int(answer.split(b" ", 2)[1]) if answer else 400
    assert 400 <= status < 500 or status == 200
    assert b"Traceback" not in answer
    assert status == 200 or not answer or b'"type":"/v1/problems/' in answer


async def test_a_chunked_body_that_breaks_off_stores_nothing(world: World) -> None:
    token = world.bearer()["Authorization"].encode()
    for chunks in (b'5\r\n{"typ', b"zz\r\n", b"5\r\n{}"):
        answer = await exchange(
            world,
            b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nAuthorization: "
            + token
            + b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            b"Idempotency-Key: 01970000-0000-7000-8000-000000000001\r\n\r\n" + chunks,
        )
        assert b" 500 " not in answer
    assert (await world.log.head()).position == 0


async def test_a_taken_port_is_an_error_of_the_system() -> None:
    def app() -> web.Application:
        return make_admin_app(checks={}, metrics=Metrics())

    async with serving(app(), host="127.0.0.1", port=0) as port:
        with pytest.raises(OSError, match="in use"):
            async with serving(app(), host="127.0.0.1", port=port):
                pass


async def test_the_parser_in_python_is_not_served_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy
    )
    with pytest.raises(NoFastParser):
        async with serving(web.Application(), host="127.0.0.1", port=0):
            pass


# The lane of commands: whatever goes past the application is answered alike


Answer = tuple[int, frozenset[tuple[str, str]], bytes]
UNLIKE: Final = {"date", "content-length"}  # the latter goes with the body


def request_of(
    world: World,
    body: object,
    *,
    number: int = 1,
    kind: str = "application/json",
    given: Mapping[str, str | None] | None = None,
) -> bytes:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers: dict[str, str | None] = {
        "Host": "x",
        "Authorization": world.bearer()["Authorization"],
        "Content-Type": kind,
        "Idempotency-Key": str(UUID(int=number)),
        "Content-Length": str(len(content)),
        **(given or {}),
    }
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    head = ["POST /v1/commands HTTP/1.1", *lines, "", ""]
    return "\r\n".join(head).encode() + content


async def answer_from(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    lines = [line.partition(": ") for line in head[1:] if line]
    headers = {name.lower(): value for name, _, value in lines}
    body = await reader.readexactly(int(headers["content-length"]))
    body = re.sub(rb'"instance":"[^"]*"', b"", body)
    told = frozenset(pair for pair in headers.items() if pair[0] not in UNLIKE)
    return int(head[0].split()[1]), told, body


@asynccontextmanager
async def talking(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


def port_of(world: World) -> int:
    return int(world.url.rpartition(":")[2])


@pytest.mark.parametrize(
    "body",
    [
        create_persona(UUID(int=7)),
        create_persona(UUID(int=7), name=""),
        b"[]",
        b'[{"command_id": 1}]',
        b"{",
        b"\xff",
    ],
)
async def test_past_the_application_a_command_is_answered_as_through_it(
    body: object, world: World
) -> None:
    async with talking(port_of(world)) as (reader, writer):
        writer.write(request_of(world, body))
        first = await answer_from(reader)
        answers = []
        for kind in ("application/json", "application/json; charset=utf-8"):
            writer.write(request_of(world, body, kind=kind))
            answers.append(await answer_from(reader))
    assert answers[0] == answers[1]
    assert first[:2] == answers[0][:2]


@pytest.mark.parametrize(
    "given",
    [
        {"Authorization": None},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": "bearer nonsense"},
        {"Idempotency-Key": None},
        {"Idempotency-Key": "seven"},
        {"Idempotency-Key": f'"{UUID(int=9)}"'},
        {"Idempotency-Key": UUID(int=9).urn},
        {"Idempotency-Key": None, "idempotency-key": str(UUID(int=9))},
        {"If-Match": '"0"'},
        {"If-Match": '"7"'},
        {"If-Match": "0"},
        {"If-Match": '"00"'},
        {"If-Match": '"0"', "Rehearsal-Expected-Version": "0"},
        {"Rehearsal-Expected-Version": "0"},
        {"Rehearsal-Expected-Version": "9223372036854775808"},
        {"Rehearsal-Correlation-Id": str(UUID(int=3))},
        {"Rehearsal-Causation-Id": "3"},
        {"Rehearsal-Occurred-At": "2020-01-02T00:00:00Z"},
        {"Rehearsal-On-Behalf-Of": "user:ada"},
        {"traceparent": "00-zz"},
        {"Content-Encoding": "gzip"},
    ],
)
async def test_past_the_application_headers_mean_what_they_mean_to_it(
    given: dict[str, str | None], world: World
) -> None:
    persona = create_persona(UUID(int=7))
    answers = []
    for kind in ("application/json", "application/json; charset=utf-8") * 2:
        async with talking(port_of(world)) as (reader, writer):
            writer.write(request_of(world, persona, kind=kind, given=given))
            answers.append(await answer_from(reader))
    assert answers[0][:2] == answers[1][:2]
    assert answers[2] == answers[3]


async def test_a_lines_ids_are_those_of_its_command(world: World) -> None:
    correlation = UUID(int=3)
    with capture_logs(processors=[log_context.merge]) as lines:
        async with talking(port_of(world)) as (reader, writer):
            for number, given in enumerate(
                ({}, {"Rehearsal-Correlation-Id": str(correlation)}), start=1
            ):
                persona = create_persona(UUID(int=number))
                writer.write(request_of(world, persona, number=number, given=given))
                await answer_from(reader)
    ids = [(line["command_id"], line["correlation_id"]) for line in lines]
    assert ids == [
        (str(UUID(int=1)), str(UUID(int=1))),
        (str(UUID(int=2)), str(correlation)),
    ]


async def test_an_id_that_is_no_text_is_no_server_error(world: World) -> None:
    request = request_of(world, create_persona(UUID(int=7)), number=8)
    async with talking(port_of(world)) as (reader, writer):
        writer.write(request.replace(str(UUID(int=8)).encode(), b"\xff"))
        status, _, body = await answer_from(reader)
    assert (status, b"headers.Idempotency-Key" in body) == (400, True)


async def test_commands_sent_at_once_are_answered_in_order(world: World) -> None:
    persona = create_persona(UUID(int=7))
    async with talking(port_of(world)) as (reader, writer):
        writer.write(
            b"".join(request_of(world, persona, number=n) for n in range(1, 20))
        )
        answers = [await answer_from(reader) for _ in range(1, 20)]
    asked = [msgspec.json.decode(body)["command_id"] for _, _, body in answers]
    assert asked == [str(UUID(int=n)) for n in range(1, 20)]


async def test_a_command_may_come_in_pieces_behind_another(world: World) -> None:
    persona = create_persona(UUID(int=7))
    one, other = (request_of(world, persona, number=n) for n in (1, 2))
    async with talking(port_of(world)) as (reader, writer):
        for piece in (one[:40], one[40:] + other[:90], other[90:-5], other[-5:]):
            writer.write(piece)
            await writer.drain()
        statuses = [(await answer_from(reader))[0] for _ in range(2)]
    assert statuses == [200, 200]


async def test_bodies_that_pause_reading_hold_up_nobody_behind_them(
    world: World,
) -> None:
    persona = create_persona(UUID(int=7))
    padded = msgspec.json.encode(persona) + b" " * 600_000
    bodies = [padded, msgspec.json.encode(persona), padded, padded]
    async with talking(port_of(world)) as (reader, writer):
        for number, body in enumerate(bodies, start=1):
            writer.write(request_of(world, body, number=number))
        answers = [await answer_from(reader) for _ in bodies]
    asked = [msgspec.json.decode(body)["command_id"] for _, _, body in answers]
    assert asked == [str(UUID(int=n)) for n in range(1, 5)]


class Slow:
    """A lane that answers when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    def takes(self, message: RawRequestMessage) -> bool:
        return message.path == "/slow"

    async def answer(
        self, _message: RawRequestMessage, content: bytes, _remote: str | None
    ) -> bytes:
        self.begun.set()
        await self.go_on.wait()
        return lanes.success(content, None)


SLOW: Final = b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


@asynccontextmanager
async def serving_slowly() -> AsyncIterator[tuple[Slow, int]]:
    slow, app = Slow(), web.Application()
    app[LANE] = slow
    async with serving(app, host="127.0.0.1", port=0) as port:
        yield slow, port


async def refusing(port: int) -> None:
    """Return once nobody listens on a port."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                return
            writer.close()


async def test_a_server_that_stops_answers_what_it_has_taken() -> None:
    async with AsyncExitStack() as stack:
        slow, port = await stack.enter_async_context(serving_slowly())
        async with talking(port) as (reader, writer):
            writer.write(SLOW)
            await slow.begun.wait()
            stopping = asyncio.create_task(stack.pop_all().aclose())
            await refusing(port)
            slow.go_on.set()
            assert (await answer_from(reader))[2] == b"hi"
            assert await reader.read() == b""
            await stopping


async def test_a_client_that_leaves_disturbs_nobody() -> None:
    async with serving_slowly() as (slow, port):
        async with talking(port) as (_, writer):
            writer.write(SLOW)
            await slow.begun.wait()
        async with talking(port) as (reader, writer):
            writer.write(SLOW)
            slow.go_on.set()
            assert (await answer_from(reader))[2] == b"hi"
