"""Serving: no connection is held for nothing, and no bad bytes are a server error."""

import asyncio

import pytest
from aiohttp import http_parser, web

from services.http.app import make_admin_app
from services.http.metrics import Metrics
from services.http.serving import NoFastParser, serving
from tests.services.http.world import World


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
