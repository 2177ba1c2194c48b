"""The log of the caller's organisation: in pages, live, and stream by stream.

A feed is read from the log at the client's own pace and buffers one page, so a slow
client costs nothing but its connection. The cursor is a position of the whole log: a
client that comes back with the last id it saw misses nothing and sees nothing twice.

The log holds what read tables may hide from people, so it is for administrators, and
for services with the scope `events`. Administrators are given personal text of others
only with a reason, which is recorded before they are: it reads `[sealed]` to them
otherwise.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

import msgspec
from aiohttp import web

from events.catalogue import EVENTS, tag
from events.errors import Malformed, Missing
from events.log import EventLog
from events.message import Event, Recorded
from services.http import asking
from services.http.asking import Identify
from services.http.limits import Limits
from services.http.live import SSE, Live, Write
from services.http.reading import OPENED
from services.http.readings import (
    Readings,
    closed,
    may_read_all,
    reason_of,
)
from services.identity import Identity


JSON: Final = "application/json"
ROLES: Final = frozenset({"admin"})
HEADERS: Final = {"Content-Type": JSON, "Cache-Control": "no-store"}

_encode: Final = msgspec.json.Encoder().encode


class Feed:
    """The routes of events."""

    def __init__(
        self,
        *,
        log: EventLog,
        readings: Readings,
        identify: Identify,
        live: Live,
        limits: Limits,
    ) -> None:
        self._log = log
        self._readings = readings
        self._identify = identify
        self._live = live
        self._limits = limits

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Answer a page of events, or with Accept: text/event-stream the live feed."""
        identity = self._identify(request)
        asking.demand(identity, ROLES, OPENED)
        kind = asking.chosen(request, (JSON, SSE))
        known = frozenset({"after", "limit", "type", "reason"})
        parameters = asking.single(request, known)
        after = asking.integer(parameters.get("after", "0"), "query.after")
        types = _types(parameters.get("type"))
        reason = reason_of(parameters.get("reason"))
        if kind == SSE:
            return await self._follow(request, identity, after, types, reason)
        limit = _limit(parameters.get("limit"), self._limits)
        found: list[Recorded[Event]] = []
        scanned = 0
        more = True
        while more and len(found) < limit and scanned < self._limits.scanned_events:
            page = await self._log.read(after, self._limits.page_events)
            more = len(page) == self._limits.page_events
            for recorded in page:
                if len(found) == limit:
                    more = True
                    break
                scanned += 1
                after = recorded.position
                if _is_for(recorded, identity, types):
                    found.append(recorded)
        shown = await self._readings.shown(request, identity, found, reason, "page")
        headers = dict(HEADERS)
        if more:
            following = request.rel_url.update_query(after=str(after))
            headers["Link"] = f'<{following}>; rel="next"'
        return web.Response(
            body=_encode({"events": shown, "after": after, "more": more}),
            headers=headers,
        )

    async def stream(self, request: web.Request) -> web.Response:
        """Answer a stream's events in order."""
        identity = self._identify(request)
        asking.demand(identity, ROLES, OPENED)
        asking.chosen(request, (JSON,))
        stream_id = asking.text(request.match_info["id"], "path.id")
        parameters = asking.single(request, frozenset({"after", "limit", "reason"}))
        after = asking.integer(parameters.get("after", "0"), "query.after")
        limit = _limit(parameters.get("limit"), self._limits)
        reason = reason_of(parameters.get("reason"))
        stream = await self._log.read_stream(stream_id, after=after, limit=limit + 1)
        if stream.org_id != identity.org_id:
            raise Missing("There is no such stream.")
        headers = {**HEADERS, "ETag": f'"{stream.version}"'}
        page = stream.events[:limit]
        if len(stream.events) > limit:
            following = request.rel_url.update_query(after=str(page[-1].version))
            headers["Link"] = f'<{following}>; rel="next"'
        shown = await self._readings.shown(request, identity, page, reason, "stream")
        whole = {"stream_id": stream_id, "version": stream.version, "events": shown}
        return web.Response(body=_encode(whole), headers=headers)

    async def _follow(
        self,
        request: web.Request,
        identity: Identity,
        after: int,
        types: frozenset[str] | None,
        reason: str | None,
    ) -> web.StreamResponse:
        last = request.headers.get("Last-Event-ID")
        if last is not None:
            after = asking.integer(last, "headers.Last-Event-ID")
        async with self._live.counted(identity):
            if reason is not None and not may_read_all(identity):
                await self._readings.record(
                    request, identity, reason=reason, source="feed", first=after + 1
                )
            page = await self._log.read(after, self._limits.default_events)

            whole = reason is not None or may_read_all(identity)

            def shown(recorded: Recorded[Event]) -> Recorded[Event] | None:
                if not _is_for(recorded, identity, types):
                    return None
                return recorded if whole else closed(recorded, identity)

            async def feed(write: Write) -> None:
                await self._feed(write, after, page, shown)

            return await self._live.respond(request, feed)

    async def _feed(
        self,
        write: Write,
        after: int,
        page: Sequence[Recorded[Event]],
        shown: Callable[[Recorded[Event]], Recorded[Event] | None],
    ) -> None:
        told, silence = after, self._limits.heartbeat_seconds
        said_at = monotonic()
        while True:
            for recorded in page:
                after = recorded.position
                event = shown(recorded)
                if event is not None:
                    await write(_message(event))
                    told, said_at = after, monotonic()
            if monotonic() >= said_at + silence:
                passed = b"" if told == after else b"id: %d\n" % after
                await write(b": heartbeat\n%b\n" % passed)
                told, said_at = after, monotonic()
            if len(page) < self._limits.default_events:
                seconds = max(0.0, said_at + silence - monotonic())
                await self._log.wait(after, seconds=seconds)
            page = await self._log.read(after, self._limits.default_events)


def _message(recorded: Recorded[Event]) -> bytes:
    kind = tag(type(recorded.event)).encode()
    data = _encode(recorded)
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (recorded.position, kind, data)


def _is_for(
    recorded: Recorded[Event], identity: Identity, types: frozenset[str] | None
) -> bool:
    if recorded.org_id != identity.org_id:
        return False
    return types is None or tag(type(recorded.event)) in types


def _types(asked: str | None) -> frozenset[str] | None:
    if asked is None:
        return None
    types = frozenset(asked.split(","))
    for name in types:
        if name not in EVENTS:
            message = f"There is no event type {asking.printable(name)}."
            raise Malformed(message, path="query.type")
    return types


def _limit(asked: str | None, limits: Limits) -> int:
    if asked is None:
        return limits.default_events
    limit = asking.integer(asked, "query.limit", most=limits.page_events)
    if limit == 0:
        raise Malformed("A page has at least one event.", path="query.limit")
    return limit
