"""The steps of a run or of all runs of an experiment, live, to their end.

Who comes back with the last id that it saw misses no step and sees none twice, however
it asks: condensed or step by step. Whoever may see the run's row may see its steps.
"""

import re
from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import web

from events.errors import Failure, Malformed
from events.ids import ExperimentId
from services.experiments.watching import Cursor, Steps, Watched
from services.http import asking
from services.http.asking import Identify
from services.http.live import SSE, Live, Write
from services.http.step_feed import GROUP, RATE, StepFeed, Told
from services.http.waiting import Waiting
from services.identity import Identity
from services.problems import document


END: Final = "end"
LAST_ID: Final = r"^(\d{1,19}(-\d{1,9})?|end)$"
PARAMETERS: Final = frozenset({"every_step", "rate", "min_position"})

_LAST: Final = re.compile(r"(\d{1,19})(?:-(\d{1,9}))?", re.ASCII)
_encode: Final = msgspec.json.Encoder().encode


class StepRoutes:
    """The routes of live steps."""

    def __init__(
        self, *, feed: StepFeed, waiting: Waiting, identify: Identify, live: Live
    ) -> None:
        self._feed = feed
        self._waiting = waiting
        self._identify = identify
        self._live = live

    async def simulation(self, request: web.Request) -> web.StreamResponse:
        """Answer the steps of a simulation as they come."""
        identity, rate = await self._asked(request)
        number = asking.integer(request.match_info["id"], "path.id")
        return await self._answer(
            request, identity, await self._feed.run(identity, number), rate
        )

    async def experiment(self, request: web.Request) -> web.StreamResponse:
        """Answer the steps of all simulations of an experiment as they come."""
        identity, rate = await self._asked(request)
        key = ExperimentId(asking.identifier(request.match_info["id"], "path.id"))
        return await self._answer(
            request, identity, await self._feed.experiment(identity, key), rate
        )

    async def _asked(self, request: web.Request) -> tuple[Identity, int | None]:
        identity = self._identify(request)
        asking.chosen(request, (SSE,))
        parameters = asking.single(request, PARAMETERS)
        rate = rate_of(parameters.get("rate"), parameters.get("every_step"))
        await self._waiting.for_tables(parameters, GROUP)
        return identity, rate

    async def _answer(
        self,
        request: web.Request,
        identity: Identity,
        watched: Watched,
        rate: int | None,
    ) -> web.StreamResponse:
        last = request.headers.get("Last-Event-ID")
        if last == END:
            if watched.ended(watched.since):
                return web.Response(status=204)
            raise Malformed("This has not ended.", path="headers.Last-Event-ID")
        cursor = None if last is None else await self._cursor(last)

        async def feed(write: Write) -> None:
            following = self._feed.follow(identity, watched, cursor, rate=rate)
            try:
                async with aclosing(following):
                    async for told in following:
                        await write(message(told))
            except Failure as failure:
                problem = _encode(document(failure))
                await write(b"event: problem\ndata: %b\n\n" % problem)

        async with self._live.counted(identity):
            return await self._live.respond(request, feed)

    async def _cursor(self, last: str) -> Cursor:
        found = _LAST.fullmatch(last)
        if found is None:
            message = "This is no id of a message, such as 1234 or 1234-500."
            raise Malformed(message, path="headers.Last-Event-ID")
        position, step = found.groups()
        reached = await self._waiting.reached(position, "headers.Last-Event-ID")
        return Cursor(reached, None if step is None else int(step))


def rate_of(rate: str | None, every_step: str | None) -> int | None:
    """Return the greatest rate of messages, None for every step."""
    if every_step not in {None, "true", "false"}:
        raise Malformed("This is true or false.", path="query.every_step")
    if every_step == "true":
        if rate is not None:
            message = "Every step is told as fast as it is taken, at no rate."
            raise Malformed(message, path="query.rate")
        return None
    found = RATE if rate is None else asking.integer(rate, "query.rate", most=RATE)
    if not found:
        raise Malformed("There is at least one message a second.", path="query.rate")
    return found


def message(told: Told) -> bytes:
    """Return what is told as a message of the feed."""
    cursor, found = told
    passed = b"" if cursor is None else b"id: %b\n" % str(cursor).encode()
    if found is None:
        return b": heartbeat\n%b\n" % passed
    if isinstance(found, Steps):
        return b"%bevent: steps\ndata: %b\n\n" % (passed, _encode(found))
    return b"id: %b\nevent: end\ndata: %b\n\n" % (END.encode(), _encode(found))
