"""The log of the caller's organisation: in pages, live, and stream by stream.

A feed is read from the log at the client's own pace and buffers one page, so a slow
client costs nothing but its connection. The cursor is a position of the whole log: a
client that comes back with the last id it saw misses nothing and sees nothing twice.

The log holds what read tables may hide from people, so it is for administrators, and
for services with the scope `events`. Administrators are given personal text of others
only with a reason, which is recorded before they are: it reads `[sealed]` to them
otherwise.
"""

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final

import msgspec
from aiohttp import web

from events.access.readings import Source
from events.catalogue import EVENTS, tag
from events.errors import Malformed, Missing
from events.ids import SubjectId
from events.log import EventLog
from events.message import Command, Event, Meta, Recorded
from services.access.readings import RecordReading
from services.commanding import Caller, Surroundings, meta_of
from services.handling import Outcome
from services.http import asking
from services.http.asking import Identify
from services.http.limits import Limits
from services.http.live import SSE, Live, Write
from services.identity import Identity
from services.personal import REASON_LENGTH, of_another, sealed
from services.ports import Clock, Ids


JSON: Final = "application/json"
ROLES: Final = frozenset({"admin"})
SCOPE: Final = "events"
HEADERS: Final = {"Content-Type": JSON, "Cache-Control": "no-store"}

Handle = Callable[[Command, Meta], Awaitable[Outcome]]

_encode: Final = msgspec.json.Encoder().encode


class Feed:
    """The routes of events."""

    def __init__(
        self,
        *,
        log: EventLog,
        handle: Handle,
        identify: Identify,
        live: Live,
        limits: Limits,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._log = log
        self._handle = handle
        self._clock = clock
        self._ids = ids
        self._identify = identify
        self._live = live
        self._limits = limits

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Answer a page of events, or with Accept: text/event-stream the live feed."""
        identity = self._identify(request)
        asking.demand(identity, ROLES, SCOPE)
        kind = asking.chosen(request, (JSON, SSE))
        known = frozenset({"after", "limit", "type", "reason"})
        parameters = asking.single(request, known)
        after = asking.integer(parameters.get("after", "0"), "query.after")
        types = _types(parameters.get("type"))
        reason = _reason(parameters.get("reason"))
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
        shown = await self._shown(request, identity, found, reason, "page")
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
        asking.demand(identity, ROLES, SCOPE)
        asking.chosen(request, (JSON,))
        stream_id = asking.text(request.match_info["id"], "path.id")
        parameters = asking.single(request, frozenset({"after", "limit", "reason"}))
        after = asking.integer(parameters.get("after", "0"), "query.after")
        limit = _limit(parameters.get("limit"), self._limits)
        reason = _reason(parameters.get("reason"))
        stream = await self._log.read_stream(stream_id, after=after)
        if stream.org_id != identity.org_id:
            raise Missing("There is no such stream.")
        headers = {**HEADERS, "ETag": f'"{stream.version}"'}
        page = stream.events[:limit]
        if len(stream.events) > limit:
            following = request.rel_url.update_query(after=str(page[-1].version))
            headers["Link"] = f'<{following}>; rel="next"'
        shown = await self._shown(request, identity, page, reason, "stream")
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
            if reason is not None and not _may_read_all(identity):
                begun = RecordReading(
                    reading_id=self._ids(),
                    reason=reason,
                    source="feed",
                    first=after + 1,
                )
                await self._record(request, identity, begun)
            page = await self._log.read(after, self._limits.default_events)

            whole = reason is not None or _may_read_all(identity)

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

    async def _shown(
        self,
        request: web.Request,
        identity: Identity,
        events: Sequence[Recorded[Event]],
        reason: str | None,
        source: Source,
    ) -> Sequence[Recorded[Event]]:
        """Return events as the caller may see them; what is opened is recorded."""
        if _may_read_all(identity):
            return events
        if reason is None:
            return [closed(recorded, identity) for recorded in events]
        found = [of_another(recorded, identity.actor) for recorded in events]
        subjects = [SubjectId(each) for each in dict.fromkeys(found) if each]
        if subjects:
            reading = RecordReading(
                reading_id=self._ids(),
                reason=reason,
                source=source,
                stream_id=events[0].stream_id if source == "stream" else None,
                first=events[0].position,
                last=events[-1].position,
                subject_ids=subjects,
            )
            await self._record(request, identity, reading)
        return events

    async def _record(
        self, request: web.Request, identity: Identity, reading: RecordReading
    ) -> None:
        caller = Caller(
            identity=identity,
            headers=asking.trace(request.headers),
            ip=asking.address(request, self._limits),
        )
        given = Surroundings(command_id=self._ids())
        await self._handle(reading, meta_of(caller, given, self._clock))


def closed(recorded: Recorded[Event], identity: Identity) -> Recorded[Event]:
    """Return an event without personal text of others than who reads it."""
    if of_another(recorded, identity.actor) is None:
        return recorded
    return msgspec.structs.replace(recorded, event=sealed(recorded.event))


def _may_read_all(identity: Identity) -> bool:
    """Say whether a caller was given the log whole, by a scope that names it."""
    return SCOPE in identity.scopes


def _reason(asked: str | None) -> str | None:
    if asked is None:
        return None
    reason = asked.strip()
    if not 0 < len(reason) <= REASON_LENGTH:
        message = f"A reason has 1 to {REASON_LENGTH} characters."
        raise Malformed(message, path="query.reason")
    return reason


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
