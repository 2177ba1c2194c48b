"""How far a run of a set is, now or as it goes on.

A message holds all that counts so far, and its id is the position of the event that
changed it. A client that comes back with the last id it saw gets every change after it,
once: the state at that position is made from the run's own stream, and from the trials'
starts, which the read tables count and the log corrects. Whoever may see the run's row
may see its progress.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from time import monotonic
from typing import Final

import msgspec
from aiohttp import web
from msgspec.structs import replace

from events.errors import Missing
from events.ids import SetRunId
from events.log import EventLog, stream_pages
from events.message import Event, Recorded
from events.testing.set_runs import TrialCounted, TrialsReopened
from events.testing.trials import TrialStarted
from services.http import asking, formats
from services.http.asking import Identify
from services.http.limits import Limits
from services.http.live import SSE, Live, Write
from services.http.reading import Reader
from services.http.waiting import Waiting
from services.identity import Identity
from services.testing import set_runs
from services.testing.progress import RunProgress, progress_after


GROUP: Final = "testing"

# One statement sees the rows and the checkpoint that was moved with them.
SEEN: Final = """
SELECT (
           SELECT count(*)
           FROM testing.trials AS t
           WHERE t.run_id = r._id
       ) AS begun,
       (
           SELECT c.position
           FROM es.checkpoints AS c
           WHERE c.projection = 'testing'
             AND c.version = 0
       ) AS position
FROM testing.simulation_unit_test_set_runs AS r
WHERE r._id = $1
"""

_encode: Final = msgspec.json.Encoder().encode


class ProgressRoute:
    """The route of a run's progress."""

    def __init__(
        self,
        *,
        reader: Reader,
        log: EventLog,
        waiting: Waiting,
        identify: Identify,
        live: Live,
        limits: Limits,
    ) -> None:
        self._reader = reader
        self._log = log
        self._waiting = waiting
        self._identify = identify
        self._live = live
        self._limits = limits

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer a run's progress, or with Accept: text/event-stream all that comes.

        That ends with the run; who comes back after its end is told so by a 204.
        """
        identity = self._identify(request)
        kind = asking.chosen(request, (formats.JSON, SSE))
        run_id = SetRunId(asking.identifier(request.match_info["id"], "path.id"))
        parameters = asking.single(request, frozenset({"min_position"}))
        last = request.headers.get("Last-Event-ID") if kind == SSE else None
        after: int | None = None
        if last is not None:
            after = await self._waiting.reached(last, "headers.Last-Event-ID")
        await self._waiting.for_tables(parameters, GROUP)
        if kind != SSE:
            _, progress = await self._at(identity, run_id, None)
            return web.Response(
                body=_encode(progress),
                headers={"Content-Type": formats.JSON, "Cache-Control": "no-store"},
            )
        async with self._live.counted(identity):
            position, progress = await self._at(identity, run_id, after)
            over = progress is not None and progress.ended
            if over and after is not None and not await self._goes_on(run_id, after):
                return web.Response(status=204)

            async def feed(write: Write) -> None:
                if after is None:
                    await write(_message(progress, position))
                if after is not None or not over:
                    await self._follow(write, run_id, progress, position)

            return await self._live.respond(request, feed)

    async def _at(
        self, identity: Identity, run_id: SetRunId, asked: int | None
    ) -> tuple[int, RunProgress | None]:
        """Return a run's progress at a position, the tables' own where none is asked.

        Raises `Missing` where the caller sees no such run.
        """
        rows = await self._reader.read(identity, SEEN, [str(run_id)])
        if not rows:
            raise Missing("There is no such run.")
        begun, shown = rows[0]["begun"], rows[0]["position"]
        position = shown if asked is None else asked
        low, high = sorted((shown, position))
        async with aclosing(self._pages(low, high)) as pages:
            async for page in pages:
                starts = sum(_begins(recorded, run_id) for recorded in page)
                begun += starts if position > shown else -starts
        progress: RunProgress | None = None
        ended = 0
        async for recorded in self._history(run_id, upto=position):
            progress = progress_after(progress, run_id, recorded)
            ended += isinstance(recorded.event, TrialCounted)
        if progress is None or progress.ended:
            return position, progress
        return position, replace(progress, running=begun - ended)

    async def _history(
        self, run_id: SetRunId, *, upto: int | None = None
    ) -> AsyncGenerator[Recorded[Event], None]:
        name = f"{set_runs.decider.category}-{run_id}"
        async for page in stream_pages(self._log, name, upto=upto):
            for recorded in page.events:
                yield recorded

    async def _goes_on(self, run_id: SetRunId, after: int) -> bool:
        """Say whether trials of a run that had ended were opened again."""
        last = 0
        async for each in self._history(run_id):
            if isinstance(each.event, TrialsReopened):
                last = each.position
        return last > after

    async def _follow(
        self,
        write: Write,
        run_id: SetRunId,
        progress: RunProgress | None,
        after: int,
    ) -> None:
        """Write every change of a run after a position, until it has ended."""
        told, silence = after, self._limits.heartbeat_seconds
        said_at = monotonic()
        while True:
            if monotonic() >= said_at + silence:
                passed = b"" if told == after else b"id: %d\n" % after
                await write(b": heartbeat\n%b\n" % passed)
                told, said_at = after, monotonic()
            page = await self._log.read(after, self._limits.page_events)
            for recorded in page:
                after = recorded.position
                changed = progress_after(progress, run_id, recorded)
                if changed is not None and changed is not progress:
                    progress, told = changed, after
                    await write(_message(progress, after))
                    said_at = monotonic()
                    if progress.ended:
                        return
            if len(page) < self._limits.page_events:
                seconds = max(0.0, said_at + silence - monotonic())
                await self._log.wait(after, seconds=seconds)

    async def _pages(
        self, after: int, upto: int
    ) -> AsyncGenerator[Sequence[Recorded[Event]], None]:
        while after < upto:
            limit = min(upto - after, self._limits.page_events)
            page = await self._log.read(after, limit)
            if not page:
                return
            yield page
            after = page[-1].position


def _begins(recorded: Recorded[Event], run_id: SetRunId) -> bool:
    event = recorded.event
    return isinstance(event, TrialStarted) and event.run_id == run_id


def _message(progress: RunProgress | None, position: int) -> bytes:
    data = _encode(progress)
    return b"id: %d\nevent: progress\ndata: %b\n\n" % (position, data)
