"""Reads that ask for nonsense: filters, orders, pages, times, keys and addresses."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final
from urllib.parse import quote, urlencode

from projections.projection import Table
from services.http import queries, values
from tests.fuzz.making import IDS
from tests.fuzz.wire import REFUSED, Wire


ANY: Final = (200, *REFUSED)
NASTY: Final = (
    "", " ", "\0", "a\0b", "\ud800", "%", "*", "**", "\\", "'", '"', "--", ";", ",",
    ",,",
    "' OR 1=1 --", "1; DROP TABLE es.events", "$1", "{}", "[]", "null", "true", "0",
    "-1",
    "1e400", "NaN", "Infinity", "1" + "0" * 30, "9" * 400, "-9223372036854775809",
    "9223372036854775807", "32768", "٣", "0x10", "1_000", "+1", " 1", "1.5",
    "2026-05-01",
    "2026-05-01T12:00:00", "2026-05-01T12:00:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "infinity", "now",
    "00000000-0000-0000-0000-000000000000", "{00000000000000000000000000000000}",
    "urn:uuid:00000000000000000000000000000000", "../../etc/passwd", "<script>",
    "é" * 100,
    "x" * 3_000, ",".join("x" * 150), "\u202e", "\U0010ffff", "\ufeff", "a\r\nX: y",
    "\t",
)  # fmt: skip
CURSORS: Final = (
    "", "x", "====", "A" * 5_000, "bm9uc2Vuc2U", "é", "AAAAAAAAAAAAAAAAAAAAAFtd", "\0",
)  # fmt: skip
HEADERS: Final = (
    ("Accept", "text/html", (406,)),
    ("Accept", "", (200,)),
    ("Accept", ";;;q=", ANY),
    ("Accept", "*/*;q=0", (406,)),
    ("Accept", ",".join(["a/b;q=0.1"] * 500), (406,)),
    ("Accept", "\xff", (406,)),
    ("Range", "bytes=0-1", ANY),
    ("If-None-Match", "*", ANY),
    ("If-Modified-Since", "never", ANY),
    ("X-Forwarded-For", "\xff, ::::", ANY),
    ("X-HTTP-Method-Override", "DELETE", ANY),
    ("traceparent", "00-zz", ANY),
    ("Cookie", "a=" + "b" * 4_000, ANY),
    ("Expect", "200-maybe", (417, *REFUSED)),
    ("Upgrade", "websocket", ANY),
    ("Host", "evil.example", ANY),
    ("Content-Length", "nonsense", REFUSED),
)


def campaign(wire: Wire, tables: Sequence[Table], *, requests: int, start: int) -> None:
    """Send the fixed list, and about so many requests with parameters by chance."""
    for table in tables:
        fixed(wire, table)
    feed(wire)
    chance = Random(start)  # noqa: S311 - to be repeated
    for _ in range(requests):
        by_chance(wire, chance, chance.choice(tables))


def fixed(wire: Wire, table: Table) -> None:
    """Ask a table for what it refuses, whatever it holds."""
    for name, value, path in refused(table):
        query = encoded([(name, value)])
        wire.ask(
            f"query: {name.partition('.')[2] or name}",
            "GET",
            f"{address(table)}?{query}",
            expect=(400,),
            path=path,
        )
    wire.ask(
        "query: a parameter twice",
        "GET",
        f"{address(table)}?limit=1&limit=2",
        expect=(400,),
        path="query.limit",
    )
    for name, header, statuses in HEADERS:
        wire.ask(
            f"header: {name}", "GET", address(table), {name: header}, expect=statuses
        )
    for moment in NASTY:
        wire.ask(
            "query: as_of",
            "GET",
            f"{address(table)}/{IDS[0]}?{encoded([('as_of', moment)])}",
            expect=(200, 400, 404) if moment.isdecimal() else (400, 404),
        )
    for key in NASTY:
        target = f"{address(table)}/{quote(key, safe='', errors='surrogatepass')}"
        wire.ask("path: a key", "GET", target, expect=(*REFUSED,) if key else ANY)


def refused(table: Table) -> Iterator[tuple[str, str, str | None]]:
    """Yield parameters that a table refuses, with the path of the problem."""
    for cursor in CURSORS:
        yield "cursor", cursor, "query.cursor"
    for value in ("nothing", "", "-", "--id", "id; DROP TABLE x", "\u202e"):
        yield "sort", value, "query.sort"
        yield "fields", value, "query.fields"
    for value in ("0", "-1", "201", "1e2", "", "all", "1" + "0" * 30, "٣"):
        yield "limit", value, "query.limit"
    for value in ("-1", "1.5", "", "head", "1" + "0" * 30, "9223372036854775807"):
        yield "min_position", value, "query.min_position"
    for name in (
        "nothing",
        "sort[]",
        "__class__",
        "org_id;",
        "id.regex",
        "limit.eq",
        "\u202e",
    ):
        yield name, "1", "query"
    for column in queries.columns_of(table):
        kind = values.kind_of(column)
        yield f"{column.name}.null", "maybe", f"query.{column.name}.null"
        for operator in kind.operators:
            name = f"{column.name}.{operator}"
            yield name, "a\0b", f"query.{name}"
            if (
                kind.schema.get("type") in {"integer", "number", "boolean"}
                or "format" in kind.schema
            ):
                yield name, "no value of this", f"query.{name}"


def by_chance(wire: Wire, chance: Random, table: Table) -> None:
    """Ask a table with parameters and values that were drawn."""
    known = sorted(queries.RESERVED - {"min_position"})
    known += [
        f"{column.name}.{operator}"
        for column in queries.columns_of(table)
        for operator in queries.operators_of(column)
    ]
    pairs = [
        (chance.choice(known), chance.choice((*NASTY, *IDS, *queries.sortable(table))))
        for _ in range(chance.randint(1, 4))
    ]
    accept = chance.choice(("application/json", "text/csv", "application/x-ndjson"))
    wire.ask(
        "query: by chance",
        "GET",
        f"{address(table)}?{encoded(pairs)}",
        {"Accept": accept},
        expect=ANY,
    )


def feed(wire: Wire) -> None:
    """Ask the feed to begin nowhere, in pages and live."""
    live = {"Accept": "text/event-stream"}
    for value in NASTY:
        if value in {"0", "32768", "9223372036854775807"}:
            continue
        for name in ("after", "limit", "type"):
            query = encoded([(name, value)])
            for route in ("/v1/events", "/v1/streams/testing.persona-1"):
                wire.ask(f"feed: {name}", "GET", f"{route}?{query}", expect=(400, 404))
        told = value.strip(" \t")
        if told.isprintable() and told.isascii() and told not in {"", "1"}:
            wire.ask(
                "feed: Last-Event-ID",
                "GET",
                "/v1/events",
                {**live, "Last-Event-ID": told},
                expect=(400,),
                path="headers.Last-Event-ID",
            )
        stream = quote(value, safe="", errors="surrogatepass")
        wire.ask("feed: a stream", "GET", f"/v1/streams/{stream}", expect=REFUSED)
        wire.ask("path: a blob", "GET", f"/v1/blobs/{stream}", expect=REFUSED)
        wire.ask("path: a problem", "GET", f"/v1/problems/{stream}", expect=REFUSED)


def address(table: Table) -> str:
    """Return the path of a table."""
    return f"/v1/{table.schema}/{table.name}"


def encoded(pairs: list[tuple[str, str]]) -> str:
    """Return parameters as a query, whatever they hold."""
    return urlencode(pairs, errors="surrogatepass")
