"""GET /v1/auth/me/export: all that is kept about the bearer, as lines of JSON.

First who it is about, then events of the log with their text opened, rows of the read
tables, sessions, and last a line of kind `end` that says how many there were: without
it the answer is not whole. Events are what the user did, what is sealed for them, also
where their address is on a list, and the stream of their account; what they did to the
personal text of others is not.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Protocol
from uuid import UUID

import msgspec
import structlog
from aiohttp import web

from events.errors import Failure
from events.log import EventLog
from events.roles import AREAS
from projections.projection import Table
from services.accounts.ports import Store
from services.http import asking, formats, queries
from services.http.asking import Identify
from services.http.auth import user_of
from services.http.limits import Limits
from services.http.snapshots import Snapshots
from services.http.turns import Turns
from services.identity import Identity


PATH: Final = "/v1/auth/me/export"
SPAN: Final = 50_000  # positions that are searched at once
PAGE: Final = 200
PERSONS: Final = frozenset({"user_id", "subject_id", "creator_user_id", "created_by"})

_log: Final = structlog.get_logger()


class Traces(Protocol):
    """Knows where in the log a person left a trace."""

    async def positions(
        self,
        org_id: str,
        user_id: UUID,
        subjects: Sequence[UUID],
        *,
        after: int,
        upto: int,
    ) -> list[int]:
        """Return the positions of a user's events with `after < position <= upto`.

        What is sealed for the `subjects` is theirs.
        """
        ...


class Subjects(Protocol):
    """Knows for whom text about a person is sealed."""

    async def subjects(self, org_id: str, user_id: UUID) -> list[UUID]:
        """Return the subjects; the user is the first."""
        ...


class OwnData:
    """The route of one's own data."""

    def __init__(
        self,
        *,
        log: EventLog,
        traces: Traces,
        people: Subjects,
        snapshots: Snapshots,
        tables: Mapping[str, Table],
        store: Store,
        identify: Identify,
        limits: Limits,
    ) -> None:
        self._log = log
        self._traces = traces
        self._people = people
        self._snapshots = snapshots
        self._queries = {
            name: query
            for name, table in tables.items()
            if (query := query_of(table)) is not None
        }
        self._tables = tables
        self._store = store
        self._identify = identify
        self._limits = limits
        self._turns = Turns(1)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream what is kept about the bearer."""
        identity = self._identify(request)
        user_id = user_of(identity)
        asking.chosen(request, (formats.NDJSON,))
        async with self._turns.turn():
            subjects = await self._people.subjects(identity.org_id, user_id)
            position = (await self._log.head()).position
            response = web.StreamResponse(
                headers={
                    "Content-Type": formats.NDJSON,
                    "Content-Disposition": f'attachment; filename="{user_id}.ndjson"',
                    "Cache-Control": "no-store",
                    "X-Content-Type-Options": "nosniff",
                }
            )
            await response.prepare(request)
            try:
                async for lines in self._lines(identity, subjects, position):
                    await asyncio.wait_for(
                        response.write(lines), self._limits.drop_seconds
                    )
            except (Failure, TimeoutError) as error:
                # What was sent cannot be taken back: the client has to see it end.
                _log.warning("export_broken", reason=str(error) or "too slow a client")
                if request.transport is not None:
                    request.transport.abort()
            return response

    async def _lines(
        self, identity: Identity, subjects: Sequence[UUID], position: int
    ) -> AsyncIterator[bytes]:
        user_id = subjects[0]
        about: dict[str, object] = {
            "kind": "about",
            "user_id": user_id,
            "org_id": identity.org_id,
            "position": position,
        }
        yield formats.as_lines([about])
        events = rows = 0
        async for line in self._events(identity.org_id, subjects, position):
            events += 1
            yield line
        async for line in self._rows(identity, subjects):
            rows += 1
            yield line
        sessions = [
            {"kind": "session", "session": msgspec.to_builtins(each)}
            for each in await self._store.sessions(user_id)
            if each.org_id == identity.org_id
        ]
        counts = {"events": events, "rows": rows, "sessions": len(sessions)}
        yield formats.as_lines([*sessions, {"kind": "end", **counts}])

    async def _events(
        self, org_id: str, subjects: Sequence[UUID], position: int
    ) -> AsyncIterator[bytes]:
        for after in range(0, position, SPAN):
            upto = min(after + SPAN, position)
            found = await self._traces.positions(
                org_id, subjects[0], subjects, after=after, upto=upto
            )
            for place in found:
                (recorded,) = await self._log.read(place - 1, 1)
                yield formats.as_lines([{"kind": "event", "event": recorded}])

    async def _rows(
        self, identity: Identity, subjects: Sequence[UUID]
    ) -> AsyncIterator[bytes]:
        # Of their own rows nobody is kept by a role that they lost meanwhile.
        who = [str(each) for each in subjects]
        areas = frozenset(f"{area}:viewer" for area in AREAS)
        reader = msgspec.structs.replace(identity, roles=identity.roles | areas)
        async with self._snapshots.snapshot(reader) as snapshot:
            for name, query in self._queries.items():
                columns = queries.columns_of(self._tables[name])
                async for page in snapshot.pages(query, [who], PAGE):
                    for row in page:
                        shown = formats.plain(row, columns)
                        line: dict[str, object] = {"kind": "row", "table": name}
                        yield formats.as_lines([line | {"row": shown}])


def query_of(table: Table) -> str | None:
    """Return the query of a table's rows about a person, if it has any."""
    names = [
        column.name
        for column in table.columns
        if column.name in PERSONS or (table.name, column.name) == ("users", "id")
    ]
    if not names:
        return None
    about = " OR ".join(f'"{name}"::text = ANY ($1::text[])' for name in names)
    order = ", ".join(f'"{name}"' for name in table.shown_key)
    return (
        f'SELECT * FROM "{table.schema}"."{table.name}" '  # noqa: S608 - declared names
        f"WHERE {about} ORDER BY {order}"
    )
