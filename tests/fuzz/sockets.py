"""Requests that are broken as HTTP: cut off, contradictory, slow, or no HTTP at all.

None of them holds a whole command, so none may store anything.
"""

from collections.abc import Iterator
from typing import Final

from tests.fuzz.tokens import COMMAND
from tests.fuzz.wire import REFUSED, Wire


CLOSED: Final = (0, *REFUSED)
HELLO: Final = bytes.fromhex("16030100a5010000a10303") + b"\0" * 150
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def campaign(wire: Wire) -> None:
    """Send every broken request once, and show that the API still answers."""
    for name, content in broken(wire):
        wire.raw(f"HTTP: {name}", content, expect=CLOSED)
    for size in (0, 1, len(COMMAND) - 1):
        cut = post(wire, f"Content-Length: {len(COMMAND)}") + COMMAND[:size]
        wire.raw("HTTP: cut off", cut, expect=CLOSED)
    for whole in (
        post(wire, "Content-Length: 2") + b"{}",
        chunked(wire, b"2\r\n{}\r\n0\r\n\r\n"),
    ):
        pieces = [whole[place : place + 8] for place in range(0, len(whole), 8)]
        wire.raw("HTTP: slow", *pieces, expect=(400,), pause=0.01)
    wire.ask("HTTP: a good request after all", "GET", "/v1/events", expect=(200,))


def broken(wire: Wire) -> Iterator[tuple[str, bytes]]:
    """Yield requests that are not HTTP as we read it, by name."""
    yield "TLS", HELLO
    yield "HTTP/2", PREFACE
    yield "HTTP/0.9", b"GET /v1/events\r\n"
    for version in (b"HTTP/9.9", b"HTTP/1.1.1", b"HTTP/", b"ICY/1.0", b"http/1.1"):
        yield "a version", b"GET /v1/events " + version + b"\r\nHost: x\r\n\r\n"
    for line in (
        b"GET", b"GET  ", b" GET / HTTP/1.1", b"GET /\0 HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"G\0T / HTTP/1.1", b"GET http:///x HTTP/1.1", b"GET ://x HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"CONNECT x:1 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET * HTTP/1.1",
        b"GET ? HTTP/1.1",
        b"GET http://[::1/ HTTP/1.1", b"GET http://x:99999/ HTTP/1.1", b"\0" * 100,
        b"GET /v1/testing/agents?%zz=%&%=1 HTTP/1.1",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
        b"GET /v1/events#\xe2\x80\xae HTTP/1.1", b"GET /%ff%fe?%ff=%00 HTTP/1.1",
        b"X" * 70_000,
    ):  # fmt: skip
        yield "a request line", line + b"\r\nHost: x\r\n\r\n"
    for header in (
        b"no colon", b": no name", b"a b: c", b"a\0b: c", b"a: b\0c", b"\xff: \xff",
        b"a: b\r c",
        b"a: b\r\n folded", b"Host: x\r\nHost: y", b"Host: \0", b"Content-Length: -1",
        b"Content-Length: 1e3", b"Content-Length: 99999999999999999999999",
        b"Content-Length: 1\r\nContent-Length: 2", b"Content-Length: 1, 2",
        b"Content-Length: +1", b"Content-Length: 0x1", b"Content-Length:",
        b"Transfer-Encoding: nonsense", b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: gzip, chunked", b"Expect: 100-nothing",
    ):  # fmt: skip
        yield "a header", post(wire, header.decode("latin-1")) + b"{}\r\n\r\n"
    for body in (
        b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n", b"ffffffffffffffffff\r\n{}",
        b"2;\0\r\n{}\r\n",
        b"2\r\n{}XX", b"2\n{}\n0\n\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"", b"2\r\n{",
        b"2\r\n{}\r\n",
        b"1;" + b"x" * 20_000 + b"\r\n{\r\n0\r\n\r\n", b"0\r\nX: y\0\r\n\r\n",
        b"1\r\n \r\n" * 2_000 + b"0\r\n\r\n",
    ):  # fmt: skip
        yield "chunks", chunked(wire, body)
    yield (
        "a request behind",
        (post(wire, "Content-Length: 2") + b"{}" + b"GET /\0 HTTP/1.1\r\n\r\n"),
    )
    yield "an endless header", post(wire, "X: " + "y" * 70_000)
    yield "many headers", post(wire, "\r\n".join(f"X-{n}: y" for n in range(20_000)))
    yield (
        "a WebSocket",
        (
            b"GET /v1/events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        ),
    )


def post(wire: Wire, header: str) -> bytes:
    """Return the head of a request with a command, with one more header."""
    return (
        "POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {wire.token}\r\nIdempotency-Key: {wire.new_id()}\r\n"
        f"{header}\r\n\r\n"
    ).encode("latin-1")


def chunked(wire: Wire, body: bytes) -> bytes:
    """Return a request whose body comes in chunks."""
    return post(wire, "Transfer-Encoding: chunked") + body
