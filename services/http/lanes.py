"""A way past the application for the one request that there are most of.

The parser is the same, and so is what is done about the request. What is spared is
what a framework does for requests of every kind, which is more than a command takes.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Protocol

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.http_parser import RawRequestMessage


class Lane(Protocol):
    """Answers requests whose body is here already."""

    def takes(self, message: RawRequestMessage) -> bool:
        """Say whether a request is of the kind that is answered here."""
        ...

    async def answer(
        self, message: RawRequestMessage, content: bytes, remote: str | None
    ) -> bytes:
        """Return the whole answer, as it goes over the wire."""
        ...


LANE: Final = web.AppKey("LANE", Lane)


def lines(headers: Mapping[str, str]) -> str:
    """Return headers as they go over the wire."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def success(body: bytes, version: int | None, *, told: str = "") -> bytes:
    """Return an answer in JSON, with the version of what it is about.

    `told` are lines of headers that every answer has.
    """
    tag = b"" if version is None else b'ETag: "%d"\r\n' % version
    same = _same(rfc822_formatted_time(), told)
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (same, tag, len(body), body)


@lru_cache(maxsize=8)
def _same(date: str, told: str) -> bytes:
    """Return the lines that all answers of a second have."""
    return (
        f"HTTP/1.1 200 OK\r\n"
        f"Content-Type: application/json\r\n"
        f"{told}"
        f"Date: {date}\r\n"
        f"Server: {SERVER_SOFTWARE}\r\n"
    ).encode()


def problem(response: web.Response, *, told: str = "") -> bytes:
    """Return an answer that was made for the application."""
    body = response.body if isinstance(response.body, bytes) else b""
    return (
        f"HTTP/1.1 {response.status} {response.reason}\r\n"
        f"{lines(response.headers)}"
        f"{told}"
        f"Content-Length: {len(body)}\r\n"
        f"Date: {rfc822_formatted_time()}\r\n"
        f"Server: {SERVER_SOFTWARE}\r\n\r\n"
    ).encode() + body
