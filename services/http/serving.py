"""Listening: the settings of the server that an application must not be served without.

The parser is the one in C, because the one in Python has let requests be smuggled. A
connection that sends no request is closed after a minute; bodies are never inflated.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import http_parser, web


KEEPALIVE_SECONDS: Final = 60.0
SHUTDOWN_SECONDS: Final = 10.0


class NoFastParser(Exception):  # noqa: N818 - the name is the message
    """aiohttp was installed without its parser in C."""


@asynccontextmanager
async def serving(
    app: web.Application, *, host: str, port: int, reuse_port: bool = False
) -> AsyncIterator[int]:
    """Serve an application; gives the port, which is chosen where 0 is asked for.

    Raises `OSError` where the port is taken. At the end, requests have ten seconds.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise NoFastParser
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, reuse_port=reuse_port or None)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
