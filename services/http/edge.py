"""The rim of every request: one log line, one count, and no failure without a document.

Connections are kept alive in one task, so what a request binds for the log is cleared
before the next one starts.
"""

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from events.errors import Failure, Malformed, Missing, TooLarge
from services.http import problems
from services.http.metrics import Metrics
from services.ports import Ids
from services.problems import PROBLEMS, Defect, MethodNotAllowed, kind_of, slug


_log: Final = structlog.get_logger()


def edge(*, metrics: Metrics, ids: Ids) -> Middleware:
    """Return the middleware that stands around every handler."""

    @web.middleware
    async def at_edge(
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        structlog.contextvars.clear_contextvars()
        started = perf_counter()
        level = logging.INFO
        told: dict[str, object] = {}
        response: web.StreamResponse
        try:
            response = await handler(request)
        except (Failure, web.HTTPException, web.RequestPayloadError) as error:
            failure = as_failure(error)
            instance = f"urn:uuid:{ids()}"
            level = PROBLEMS[kind_of(failure)].level
            told = {"problem": slug(type(failure)), "instance": instance}
            if failure.path is not None:
                told["path"] = failure.path
            if level >= logging.ERROR:
                told["reason"] = str(failure)
            response = problems.response(failure, instance=instance)
            if isinstance(error, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = error.headers["Allow"]
        except ConnectionError:
            _log.info("request_abandoned", method=request.method, path=request.path)
            raise
        except Exception as error:  # noqa: BLE001 - a defect must not end the connection unlogged
            instance = f"urn:uuid:{ids()}"
            level = logging.ERROR
            told = {"problem": "defect", "instance": instance, "exc_info": error}
            response = problems.response(Defect(), instance=instance)
        route = pattern(request)
        seconds = perf_counter() - started
        metrics.request(request.method, route, response.status, seconds)
        _log.log(
            level,
            "request_handled",
            method=request.method,
            route=route,
            status=response.status,
            ms=round(seconds * 1000, 2),
            **told,
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
