"""Connections that stay open: counted per actor, written at the client's own pace.

One that takes nothing for long is closed; shutting down ends them all, and clients come
back to another process. Each is as good as its token: before anything is written, who
asked is looked at again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from aiohttp import web

from events.errors import Failure, TooMany
from services.http.asking import Identify
from services.http.limits import Limits
from services.http.metrics import Metrics
from services.identity import Identity


SSE: Final = "text/event-stream"
HEADERS: Final = {
    "Content-Type": SSE,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}

Write = Callable[[bytes], Awaitable[None]]

_log: Final = structlog.get_logger()


class Live:
    """The open connections of a process."""

    def __init__(self, *, metrics: Metrics, limits: Limits, identify: Identify) -> None:
        self._metrics = metrics
        self._identify = identify
        self._limits = limits
        self._open: Counter[tuple[str, str]] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def counted(self, identity: Identity) -> AsyncIterator[None]:
        """Count a connection of an actor while inside, or raise `TooMany`."""
        key = identity.org_id, identity.actor
        if self._open[key] >= self._limits.feeds_per_actor:
            message = f"An actor has at most {self._limits.feeds_per_actor} feeds."
            raise TooMany(message, retry_after=self._limits.heartbeat_seconds)
        self._open[key] += 1
        self._metrics.feeds += 1
        try:
            yield
        finally:
            self._metrics.feeds -= 1
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    async def respond(
        self, request: web.Request, feed: Callable[[Write], Awaitable[None]]
    ) -> web.StreamResponse:
        """Answer with what `feed` writes, until it returns or either side leaves."""
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)

        async def write(chunk: bytes) -> None:
            self._identify(request)
            await asyncio.wait_for(response.write(chunk), self._limits.drop_seconds)

        feeding = asyncio.ensure_future(feed(write))
        self._tasks.add(feeding)
        try:
            await feeding
        except (Failure, ConnectionError) as error:
            _log.info("feed_ended", reason=str(error))
        except TimeoutError:
            _log.info("feed_ended", reason="the client is too slow")
            if request.transport is not None:
                request.transport.abort()
        except asyncio.CancelledError:
            feeding.cancel()
        finally:
            self._tasks.discard(feeding)
        return response

    async def close(self, _app: web.Application) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
