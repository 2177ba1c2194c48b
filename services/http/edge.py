"""The rim of every request: one log line, one count, and no failure without a document.

Connections are kept alive in one task, so what a request binds for the log is cleared
before the next one starts.
"""

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from events.errors import Failure, Malformed, Missing, TooLarge
from services import log_context
from services.http import problems
from services.http.metrics import Metrics
from services.ports import Ids
from services.problems import PROBLEMS, Defect, MethodNotAllowed, kind_of, slug


Told = dict[str, object]


class Edge:
    """What is done about every request, whichever way it is answered."""

    def __init__(self, *, metrics: Metrics, ids: Ids) -> None:
        self._metrics = metrics
        self._ids = ids
        self._log = structlog.get_logger().bind()

    def refusal(
        self, error: Exception, *, method: str, path: str
    ) -> tuple[web.Response, int, Told]:
        """Return the answer to a request that failed, its level, and what to log.

        A connection that broke is raised again: there is nobody to answer.
        """
        instance = f"urn:uuid:{self._ids()}"
        match error:
            case ConnectionError():
                self._log.info("request_abandoned", method=method, path=path)
                raise error
            case Failure() | web.HTTPException() | web.RequestPayloadError():
                failure = as_failure(error)
                level = PROBLEMS[kind_of(failure)].level
                told: Told = {
                    "problem": slug(type(failure)),
                    "instance": instance,
                }
                if failure.path is not None:
                    told["path"] = failure.path
                if level >= logging.ERROR:
                    told["reason"] = str(failure)
                response = problems.response(failure, instance=instance)
                if isinstance(error, web.HTTPMethodNotAllowed):
                    response.headers["Allow"] = error.headers["Allow"]
                return response, level, told
            case _:
                told = {"problem": "defect", "instance": instance, "exc_info": error}
                return (
                    problems.response(Defect(), instance=instance),
                    logging.ERROR,
                    told,
                )

    def note(
        self,
        method: str,
        route: str,
        status: int,
        *,
        started: float,
        level: int = logging.INFO,
        told: Told | None = None,
    ) -> None:
        """Count a request and log its line; `started` is of `perf_counter`."""
        seconds = perf_counter() - started
        self._metrics.request(method, route, status, seconds)
        ms = int(seconds * 100_000 + 0.5) / 100
        log = self._log.bind(**told) if told else self._log
        log.log(
            level, "request_handled", method=method, route=route, status=status, ms=ms
        )

    def middleware(self) -> Middleware:
        """Return what stands around every handler of an application."""

        @web.middleware
        async def at_edge(
            request: web.Request,
            handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        ) -> web.StreamResponse:
            log_context.clear()
            started = perf_counter()
            level, told = logging.INFO, None
            response: web.StreamResponse
            try:
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 - a defect must not end the connection unlogged
                response, level, told = self.refusal(
                    error, method=request.method, path=request.path
                )
            self.note(
                request.method,
                pattern(request),
                response.status,
                started=started,
                level=level,
                told=told,
            )
            return response

        return at_edge


def as_failure(error: Exception) -> Failure:
    """Return aiohttp's own exceptions as failures of ours."""
    match error:
        case Failure():
            return error
        case web.HTTPNotFound():
            return Missing("There is no such resource.")
        case web.HTTPMethodNotAllowed(method=method):
            return MethodNotAllowed(f"There is no {method} here.")
        case web.HTTPRequestEntityTooLarge():
            return TooLarge("The body is past the limit.")
        case web.HTTPException(status=status) if status >= 500:  # noqa: PLR2004 - HTTP
            return Defect()
        case _:
            return Malformed("The request is not HTTP as we read it.")


def pattern(request: web.Request) -> str:
    """Return the route's pattern, never the path, of which there are too many."""
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical
