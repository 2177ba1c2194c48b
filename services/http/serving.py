"""Listening: the settings of the server that an application must not be served without.

The parser is the one in C, because the one in Python has let requests be smuggled. A
connection that sends no request is closed after a minute; bodies are never inflated.
What is not even HTTP is refused with a problem document too, and is no error of ours.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

import structlog
from aiohttp import http_parser, web

from events.errors import Malformed
from services.http import problems
from services.problems import Defect


KEEPALIVE_SECONDS: Final = 60.0
SHUTDOWN_SECONDS: Final = 10.0
BACKLOG: Final = 128

_log: Final = structlog.get_logger()


class NoFastParser(Exception):  # noqa: N818 - the name is the message
    """aiohttp was installed without its parser in C."""


class Connection(web.RequestHandler):
    """A connection whose last refusals are problem documents, as all others are."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what never reached the application, and close."""
        if request.writer.output_size > 0:
            message = "An answer was begun already; it cannot become another."
            raise ConnectionError(message) from exc
        if status < 500:  # noqa: PLR2004 - HTTP
            _log.warning("request_unreadable", reason=type(exc).__name__)
            failure = problems.response(
                Malformed("The request is not HTTP as we read it.")
            )
        else:
            if not isinstance(exc, ConnectionError):
                _log.error("connection_failed", status=status, exc_info=exc)
            failure = problems.response(Defect())
        failure.force_close()
        return failure

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; an expectation is refused before the application is asked."""
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = problems.response(Malformed("Only 100-continue can be expected."))
        return await super().finish_response(request, resp, start_time)


@asynccontextmanager
async def serving(
    app: web.Application, *, host: str, port: int, reuse_port: bool = False
) -> AsyncIterator[int]:
    """Serve an application; gives the port, which is chosen where 0 is asked for.

    Raises `OSError` where the port is taken. At the end, requests have ten seconds.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise NoFastParser
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    loop = asyncio.get_running_loop()
    connection = partial(
        Connection,
        cast("web.Server", runner.server),
        loop=loop,
        access_log=None,  # type: ignore[arg-type] # there is none
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_SECONDS,
    )
    try:
        listening = await loop.create_server(
            connection, host, port, backlog=BACKLOG, reuse_port=reuse_port or None
        )
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
    finally:
        await runner.cleanup()
