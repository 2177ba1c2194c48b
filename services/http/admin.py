"""The port for operators: alive, ready and why not, and numbers for Prometheus.

It answers to whoever reaches it, so it listens where only operators do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from events.errors import Failure
from services.http.metrics import Metrics
from services.http.reading import translating


CHECK_SECONDS: Final = 1.0


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one check found; `detail` is for people, `value` for machines."""

    ok: bool
    detail: str
    value: float | None = None


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """How far the read tables of a group are behind the log."""

    events: int
    seconds: float


Check = Callable[[], Awaitable[Health]]
Lags = Callable[[], Awaitable[Mapping[str, Lag]]]


class Admin:
    """The routes of the port for operators."""

    def __init__(
        self, *, checks: Mapping[str, Check], metrics: Metrics, lags: Lags | None
    ) -> None:
        self._checks = checks
        self._metrics = metrics
        self._lags = lags

    async def livez(self, _request: web.Request) -> web.Response:
        """Say that the process answers; asks nothing of anyone."""
        return web.Response(body=b'{"ok":true}', headers=_HEADERS)

    async def readyz(self, _request: web.Request) -> web.Response:
        """Say whether requests can be served, and of each need whether it is met."""
        found = await asyncio.gather(*map(_checked, self._checks.values()))
        ready = all(health.ok for health in found)
        body = {"ok": ready, "checks": dict(zip(self._checks, found, strict=True))}
        return web.Response(
            status=200 if ready else 503,
            body=msgspec.json.encode(body),
            headers=_HEADERS,
        )

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer all numbers; the lag is asked for now, and left out if it is slow."""
        if self._lags is not None:
            self._metrics.lag = {}
            with suppress(Failure), translating():
                found = await asyncio.wait_for(self._lags(), CHECK_SECONDS)
                self._metrics.lag = {
                    group: (lag.events, lag.seconds) for group, lag in found.items()
                }
        return web.Response(
            body=generate_latest(self._metrics.registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )


_HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


async def _checked(check: Check) -> Health:
    try:
        with translating():
            return await asyncio.wait_for(check(), CHECK_SECONDS)
    except Failure as failure:
        late = isinstance(failure.__cause__, TimeoutError)
        return Health(
            ok=False,
            detail=f"no answer within {CHECK_SECONDS:g} s" if late else str(failure),
        )
