"""GET /v1/{context}/{table}: pages of rows, one row, and an entity as it once was.

Who may see which row and column is decided by the policies of the table, in the
database. A state as of a moment is folded from the log, beside those policies; so it
takes an administrator where the table hides columns, and a row that the caller may see
from everyone else. Personal text of others in it is closed as it is in the log.

What people said is closed in tables too. Rows are read with it where there is a reason,
and whoever it is of is on record before the rows are answered.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from aiohttp import web
from yarl import URL

from events.errors import Forbidden, Malformed, Missing
from events.ids import SubjectId
from events.log import EventLog
from events.message import ERASED
from events.people import person_id
from projections.projection import Table
from services.decider import AnyDecider
from services.http import asking, cursors, formats, queries, values
from services.http.asking import Identify
from services.http.limits import Limits
from services.http.queries import SEAL, Query
from services.http.reading import Reader, Row
from services.http.readings import Readings, may_read_all, opened, reason_of
from services.http.waiting import Waiting
from services.identity import Identity
from services.state import fold


ADMINISTRATOR: Final = "admin"
ROW: Final = frozenset({"fields", "min_position", "as_of"})
REASON: Final = frozenset({"reason"})


class Tables:
    """The routes of the read tables."""

    def __init__(
        self,
        *,
        tables: Mapping[str, Table],
        entities: Mapping[str, AnyDecider],
        reader: Reader,
        readings: Readings,
        log: EventLog,
        waiting: Waiting,
        identify: Identify,
        secret: bytes,
        limits: Limits,
    ) -> None:
        self._tables = tables
        self._parameters = {
            name: parameters_of(table) for name, table in tables.items()
        }
        self._entities = entities
        self._reader = reader
        self._readings = readings
        self._log = log
        self._waiting = waiting
        self._identify = identify
        self._secret = secret
        self._limits = limits

    async def rows(self, request: web.Request) -> web.Response:
        """Answer a page of rows."""
        identity = self._identify(request)
        table = self._table(request)
        kind = asking.chosen(request, formats.OFFERED)
        parameters = asking.single(request, self._parameters[name_of(table)])
        reason = reason_of(parameters.get("reason"))
        query = queries.listing(
            table, parameters, secret=self._secret, limits=self._limits
        )
        await self._waiting.for_tables(parameters, table.schema)
        rows = await self._read(request, identity, table, query, reason)
        page = rows[: query.limit]
        following: URL | None = None
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if len(rows) > query.limit:
            ended = [values.as_text(page[-1][name]) for name in query.order]
            cursor = cursors.seal(self._secret, query.asked, ended)
            following = request.rel_url.update_query(cursor=cursor)
            headers["Link"] = f'<{following}>; rel="next"'
        if kind == formats.CSV:
            body = formats.as_csv(page, query.columns)
            headers["Content-Type"] = f"{kind}; charset=utf-8"
            headers["Content-Disposition"] = f'attachment; filename="{table.name}.csv"'
            return web.Response(body=body, headers=headers)
        headers["Content-Type"] = kind
        shown = [formats.plain(row, query.columns) for row in page]
        if kind == formats.NDJSON:
            return web.Response(body=formats.as_lines(shown), headers=headers)
        whole = {"rows": shown, "next": None if following is None else str(following)}
        return web.Response(body=formats.as_json(whole), headers=headers)

    async def row(self, request: web.Request) -> web.Response:
        """Answer one row, or with `as_of` the entity's state at that time."""
        identity = self._identify(request)
        table = self._table(request)
        asking.chosen(request, (formats.JSON,))
        key = asking.text(request.match_info["id"], "path.id")
        parameters = asking.single(
            request, ROW | REASON if "as_of" in request.query else ROW | why_of(table)
        )
        reason = reason_of(parameters.get("reason"))
        if "as_of" in parameters:
            found = await self._as_of(request, identity, table, key, parameters)
        else:
            query = queries.single(table, key, parameters)
            await self._waiting.for_tables(parameters, table.schema)
            rows = await self._read(request, identity, table, query, reason)
            if not rows:
                raise Missing
            found = formats.plain(rows[0], query.columns)
        return web.Response(
            body=formats.as_json(found),
            headers={"Content-Type": formats.JSON, "Cache-Control": "no-store"},
        )

    def _table(self, request: web.Request) -> Table:
        context, name = request.match_info["context"], request.match_info["table"]
        table = self._tables.get(f"{context}.{name}")
        if table is None:
            raise Missing("There is no such read table.")
        return table

    async def _read(
        self,
        request: web.Request,
        identity: Identity,
        table: Table,
        query: Query,
        reason: str | None,
    ) -> Sequence[Row]:
        """Return rows; what people said in them is opened with a reason, on record."""
        if reason is None or may_read_all(identity):
            return await self._reader.read(identity, query.sql, query.args)
        rows = await self._reader.read(opened(identity), query.sql, query.args)
        subjects = _others_in(rows[: query.limit], query, identity)
        if subjects:
            await self._readings.record(
                request,
                identity,
                reason=reason,
                source="page",
                table=name_of(table),
                subject_ids=subjects,
            )
        return rows

    async def _as_of(
        self,
        request: web.Request,
        identity: Identity,
        table: Table,
        key: str,
        parameters: Mapping[str, str],
    ) -> dict[str, object]:
        moment = parameters["as_of"]
        decider = self._entities.get(name_of(table))
        if decider is None:
            message = "The rows of this table are not entities with a stream each."
            raise Malformed(message, path="query.as_of")
        entity = asking.identifier(key, "path.id")
        await self._check_sight(identity, table, str(entity))
        if moment.isdecimal():
            position = await self._waiting.reached(moment, "query.as_of")
        else:
            position = await self._log.position_at(asking.moment(moment, "query.as_of"))
        stream_id = f"{decider.category}-{entity}"
        stream = await self._log.read_stream(stream_id, upto=position)
        if not stream.events or stream.org_id != identity.org_id:
            raise Missing
        reason = reason_of(parameters.get("reason"))
        events = await self._readings.shown(
            request, identity, stream.events, reason, "stream"
        )
        told = [recorded.event for recorded in events]
        return {
            "stream_id": stream_id,
            "version": events[-1].version,
            "position": position,
            "state": fold(decider, decider.initial, told),
        }

    async def _check_sight(self, identity: Identity, table: Table, key: str) -> None:
        if identity.holds(ADMINISTRATOR, table.schema):
            return
        if any(column.visible for column in queries.columns_of(table)):
            message = "This table hides columns; its past takes the role admin."
            raise Forbidden(message)
        query = queries.single(table, key, {"fields": table.shown_key[0]})
        if not await self._reader.read(identity, query.sql, query.args):
            raise Missing


def name_of(table: Table) -> str:
    """Return the name that a table has in the catalogue."""
    return f"{table.schema}.{table.name}"


def parameters_of(table: Table) -> frozenset[str]:
    """Return the parameters that a page of a table can be asked with."""
    filters = {
        f"{column.name}.{operator}"
        for column in queries.columns_of(table)
        for operator in queries.operators_of(column)
    }
    names = {
        column.name
        for column in queries.columns_of(table)
        if "eq" in queries.operators_of(column)
    }
    return queries.RESERVED | filters | names | why_of(table)


def why_of(table: Table) -> frozenset[str]:
    """Return the parameter of a reason, for a table that holds what people said."""
    return REASON if any(column.personal for column in table.columns) else frozenset()


def _others_in(
    rows: Sequence[Row], query: Query, identity: Identity
) -> list[SubjectId]:
    """Return of whom there is text in rows, but for who reads them."""
    personal = [column.name for column in query.columns if column.personal]
    own = person_id(identity.org_id, identity.actor.partition(":")[2])
    found: dict[UUID, None] = {}
    for row in rows if personal else ():
        seal = row[SEAL]
        if seal and any(row[name] not in {None, ERASED} for name in personal):
            found[UUID(seal.rpartition("/")[2])] = None
    return [SubjectId(each) for each in found if each != own]
