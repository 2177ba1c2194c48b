"""Personal text of others: closed until somebody says why, and then on record.

It reads `[sealed]` to people. With a reason it is opened, and who read whose text, and
why, is in the log before the answer leaves, once a day for the same text and reason;
that takes who may administer accounts.
Services that were given the scope `events` read without a reason.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import web

from events.access.readings import Source
from events.errors import Malformed
from events.ids import SubjectId
from events.message import Command, Event, Meta, Recorded
from services.access.readings import UNNAMED, RecordReading, of_the_day
from services.commanding import Caller, Surroundings, meta_of
from services.http import asking
from services.http.limits import Limits
from services.http.reading import OPENED
from services.identity import Identity
from services.outcome import Outcome
from services.personal import REASON_LENGTH, of_another, sealed
from services.ports import Clock, Ids


Handle = Callable[[Command, Meta], Awaitable[Outcome]]


class Readings:
    """Opens personal text, on record."""

    def __init__(
        self, *, handle: Handle, limits: Limits, clock: Clock, ids: Ids
    ) -> None:
        self._handle = handle
        self._limits = limits
        self._clock = clock
        self._ids = ids

    async def shown(
        self,
        request: web.Request,
        identity: Identity,
        events: Sequence[Recorded[Event]],
        reason: str | None,
        source: Source,
    ) -> Sequence[Recorded[Event]]:
        """Return events as the caller may see them; what is opened is recorded."""
        if may_read_all(identity):
            return events
        if reason is None:
            return [closed(recorded, identity) for recorded in events]
        found = [of_another(recorded, identity.actor) for recorded in events]
        subjects = [SubjectId(each) for each in dict.fromkeys(found) if each]
        if subjects:
            await self.record(
                request,
                identity,
                reason=reason,
                source=source,
                stream_id=events[0].stream_id if source == "stream" else None,
                first=events[0].position,
                last=events[-1].position,
                subject_ids=subjects,
            )
        return events

    async def record(
        self,
        request: web.Request,
        identity: Identity,
        *,
        reason: str,
        source: Source,
        stream_id: str | None = None,
        table: str | None = None,
        first: int | None = None,
        last: int | None = None,
        subject_ids: Sequence[SubjectId] = (),
    ) -> None:
        """Record that the caller is given personal text, or raise `Forbidden`."""
        caller = Caller(
            identity=identity,
            headers=asking.trace(request.headers),
            ip=asking.address(request, self._limits),
        )
        reading = RecordReading(
            reading_id=UNNAMED,
            reason=reason,
            source=source,
            stream_id=stream_id,
            table=table,
            first=first,
            last=last,
            subject_ids=list(subject_ids),
        )
        given = Surroundings(command_id=self._ids())
        meta = meta_of(caller, given, self._clock)
        await self._handle(of_the_day(reading, meta), meta)


def closed(recorded: Recorded[Event], identity: Identity) -> Recorded[Event]:
    """Return an event without personal text of others than who reads it."""
    if of_another(recorded, identity.actor) is None:
        return recorded
    return msgspec.structs.replace(recorded, event=sealed(recorded.event))


def may_read_all(identity: Identity) -> bool:
    """Say whether a caller was given the log whole, by a scope that names it."""
    return OPENED in identity.scopes


def opened(identity: Identity) -> Identity:
    """Return a caller to whom text of others is open for one query."""
    return msgspec.structs.replace(identity, scopes=identity.scopes | {OPENED})


def reason_of(asked: str | None) -> str | None:
    """Return why somebody reads, if they say so."""
    if asked is None:
        return None
    reason = asked.strip()
    if not 0 < len(reason) <= REASON_LENGTH:
        message = f"A reason has 1 to {REASON_LENGTH} characters."
        raise Malformed(message, path="query.reason")
    return reason
