"""Listening: the settings of the server that an application must not be served without.

The parser is the one in C, because the one in Python has let requests be smuggled. A
connection that sends no request is closed after a minute; bodies are never inflated.
What is not even HTTP is refused with a problem document too, and is no error of ours.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

import structlog
from aiohttp import http_parser, web
from aiohttp.http import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import istr

from events.errors import Malformed
from services.http import problems
from services.http.browsers import HEADERS, TOLD
from services.http.lanes import LANE, Lane
from services.problems import Defect


KEEPALIVE_SECONDS: Final = 60.0
SHUTDOWN_SECONDS: Final = 10.0
BACKLOG: Final = 128
ANSWERING: Final = "answer of the lane"
EXPECT: Final = istr("Expect")

_log: Final = structlog.get_logger()


class NoFastParser(Exception):  # noqa: N818 - the name is the message
    """aiohttp was installed without its parser in C."""


class Connection(web.RequestHandler):
    """A connection whose last refusals are problem documents, as all others are.

    A request that has come as a whole while nothing else is in hand may be taken by
    the lane. Until it is answered the task that reads requests waits for a word that
    it is not given, and the connection counts as busy.
    """

    __slots__ = ("_lane", "_taken", "_told")

    def __init__(
        self,
        manager: web.Server,
        *,
        lane: Lane | None,
        told: Mapping[str, str],
        **given: Any,  # noqa: ANN401 - as the base takes them
    ) -> None:
        super().__init__(manager, **given)
        self._lane = lane
        self._told = told
        self._taken: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what came, and see to it unless something is in hand."""
        waiter = self._waiter
        if self._lane is None or waiter is None or waiter.done():
            super().data_received(data)
            return
        self._waiter = None
        super().data_received(data)
        self._waiter = waiter
        if self._messages:
            self._look(waiter)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - the base's
        """Read on if reading was paused, starting with what the parser holds back.

        The base does so whenever a body was read, and parses nothing for most of them.
        """
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def _look(self, waiter: asyncio.Future[None]) -> None:
        """Have what has come answered, by the lane or as any other."""
        lane, parser = self._lane, self._parser
        message, payload = self._messages[0]
        if (
            lane is None
            or parser is None
            or len(self._messages) > 1
            or not isinstance(message, RawRequestMessage)
            or not is_plain(message, payload)
            or not lane.takes(message)
        ):
            waiter.set_result(None)
            return
        self._messages.popleft()
        parser.message_consumed()
        self._waiter = None
        self._request_in_progress = True
        answering = lane.answer(message, payload.read_nowait(), self._remote())
        self._taken = asyncio.Task(
            self._send(answering, waiter), loop=self._loop, name=ANSWERING
        )

    async def _send(
        self, answering: Awaitable[bytes], waiter: asyncio.Future[None]
    ) -> None:
        """Send an answer of the lane's, and wait for requests again."""
        try:
            answer = await answering
            if self.transport is not None:
                self.transport.write(answer)
                if self.writing_paused:
                    await self._drain_helper()
        except ConnectionError:
            self.force_close()
        finally:
            self._taken = None
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
            if self._close or self._force_close or waiter.done():
                waiter.cancel()
                self.force_close()
            else:
                self._waiter = waiter
                self._stay()
                if self._messages:
                    self._look(waiter)

    def _remote(self) -> str | None:
        peer = self.peername
        return str(peer[0]) if isinstance(peer, tuple) else peer

    def _stay(self) -> None:
        """Close the connection if nothing comes for as long as it is kept alive."""
        due = self._loop.time() + self._keepalive_timeout
        self._next_keepalive_close_time = due
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(due, self._process_keepalive)

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
        failure.headers.update(self._told)
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


def is_plain(message: RawRequestMessage, payload: StreamReader) -> bool:
    """Say whether a request came as a whole and asks for nothing but its answer."""
    return (
        payload.is_eof()
        and payload.exception() is None
        and message.version == HttpVersion11
        and not message.should_close
        and not message.upgrade
        and EXPECT not in message.headers
    )


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
        lane=app.get(LANE),
        told=app.get(TOLD, HEADERS),
        loop=loop,
        access_log=None,
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
