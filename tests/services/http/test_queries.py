"""The query grammar against PostgreSQL: every type, and pages through NULL."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import asyncpg
import pytest

from events.errors import Malformed
from projections.projection import Column, Index, Table
from services.http import cursors, formats, queries, values
from services.http.limits import Limits
from tests.postgres_ladder import Database


SECRET: Final = b"secret"
LIMITS: Final = Limits(page_rows=50, default_rows=3)
TABLE: Final = Table(
    schema="odd",
    name='na"med',
    version=1,
    note="Every type",
    columns=(
        Column(name="org_id", type="text", nullable=False),
        Column(name="part", type="integer", nullable=False),
        Column(name="id", type="uuid", nullable=False),
        Column(name="score", type="numeric(20, 3)"),
        Column(name="weight", type="double precision"),
        Column(name="big", type="bigint", nullable=False),
        Column(name="day", type="date"),
        Column(name="marks", type="text[]"),
        Column(name="facts", type="jsonb"),
        Column(name="span", type="interval"),
    ),
    key=("part", "id"),
    rows="true",
    indexes=(
        Index(columns=("org_id", "score")),
        Index(columns=("weight",)),
        Index(columns=("big",)),
        Index(columns=("marks",), method="gin"),
        Index(columns=("day",), where="day IS NOT NULL"),
    ),
)
SCORES: Final = (None, "1.500", "1.500", None, "-2.000", "7.000", "1.500", None)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(database.superuser)
    columns = ", ".join(f"{column.name} {column.type}" for column in TABLE.columns)
    await opened.execute(f'CREATE SCHEMA odd; CREATE TABLE odd."na""med" ({columns})')
    await opened.execute(
        """
        INSERT INTO odd."na""med"
        SELECT
            'acme', n % 2, ('00000000-0000-0000-0000-00000000000' || n)::uuid,
            score, CASE WHEN score IS NULL THEN NULL ELSE n / 4.0 END,
            9007199254740993 + n, '2026-05-01'::date + n::integer,
            ARRAY['m' || n, '=x'], jsonb_build_object('n', n), n * interval '1 hour'
        FROM unnest($1::text[]::numeric[]) WITH ORDINALITY AS given (score, n)
        """,
        SCORES,
    )
    yield opened
    await opened.close()


async def fetch(connection: Any, parameters: dict[str, str]) -> Sequence[Any]:  # noqa: ANN401 - asyncpg
    query = queries.listing(TABLE, parameters, secret=SECRET, limits=LIMITS)
    rows: Sequence[Any] = await connection.fetch(query.sql, *query.args)
    return rows


async def paged(connection: Any, parameters: dict[str, str]) -> list[str]:  # noqa: ANN401 - asyncpg
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        query = queries.listing(
            TABLE, {**parameters, **cursor}, secret=SECRET, limits=LIMITS
        )
        rows = await connection.fetch(query.sql, *query.args)
        found += [str(row["id"])[-1] for row in rows[: query.limit]]
        if len(rows) <= query.limit:
            return found
        ended = [values.as_text(rows[query.limit - 1][name]) for name in query.order]
        cursor = {"cursor": cursors.seal(SECRET, query.asked, ended)}


def test_rows_are_sorted_by_what_an_index_orders() -> None:
    assert queries.sortable(TABLE) == ("part", "score", "weight", "big")


@pytest.mark.every_postgres
async def test_pages_are_the_whole_order(connection: asyncpg.Connection) -> None:
    for column in queries.sortable(TABLE):
        for sort in (column, f"-{column}"):
            whole = await fetch(connection, {"sort": sort, "limit": "50"})
            assert len(whole) == len(SCORES)
            for limit in ("1", "2", "3"):
                found = await paged(connection, {"sort": sort, "limit": limit})
                assert found == [str(row["id"])[-1] for row in whole], sort


async def test_every_type_is_asked_for(connection: asyncpg.Connection) -> None:
    for name, value, expected in (
        ("part", "1", "1357"),
        ("id", "00000000-0000-0000-0000-000000000003", "3"),
        ("score", "1.5", "237"),
        ("score.lt", "0", "5"),
        ("score.null", "true", "148"),
        ("weight.gte", "1.75", "7"),
        ("weight.in", "0.5,0.75", "23"),
        ("big.lte", "9007199254740994", "1"),
        ("big.in", "9007199254740994,9007199254740995", "12"),
        ("day.gt", "2026-05-07", "78"),
        ("marks.has", "m4", "4"),
        ("facts.has", "n", "12345678"),
        ("facts.has", "x", ""),
        ("span.null", "false", "12345678"),
    ):
        rows = await fetch(connection, {name: value, "limit": "50"})
        assert "".join(sorted(str(row["id"])[-1] for row in rows)) == expected, name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("part", "2147483648"),
        ("part", "-2147483649"),
        ("part", "0x1"),
        ("part", "1_0"),
        ("part", "\u0663"),
        ("id", "x"),
        ("score", "NaN"),
        ("score", "1e400000"),
        ("score", "9" * 200),
        ("score", "one"),
        ("weight", "inf"),
        ("weight", "1e400"),
        ("big", "9223372036854775808"),
        ("day", "2026-02-30"),
        ("day", "2026-05-01T00:00:00Z"),
        ("marks", "x"),
        ("facts", "{}"),
        ("span", "1 hour"),
        ("span.gt", "1 hour"),
        ("part.like", "1*"),
        ("facts.in", "a"),
        ("sort", "span"),
        ("sort", "day"),
        ("sort", "org_id"),
    ],
)
def test_a_value_beyond_its_type_is_malformed(name: str, value: str) -> None:
    with pytest.raises(Malformed) as caught:
        queries.listing(TABLE, {name: value}, secret=SECRET, limits=LIMITS)
    assert caught.value.path is not None


async def test_rows_are_shown_as_json_and_csv(connection: asyncpg.Connection) -> None:
    fields = "big,score,marks,facts,span,day"
    query = queries.listing(
        TABLE,
        {"fields": fields, "sort": "big", "limit": "2"},
        secret=SECRET,
        limits=LIMITS,
    )
    first, second, _ = await connection.fetch(query.sql, *query.args)
    shown = formats.as_json(formats.plain(second, query.columns))
    assert shown == (
        b'{"big":9007199254740995,"score":1.500,"marks":["m2","=x"],'
        b'"facts":{"n": 2},"span":"02:00:00","day":"2026-05-03"}'
    )
    sheet = formats.as_csv([first, second], query.columns)
    assert sheet.decode().splitlines() == [
        fields,
        '9007199254740994,,"[""m1"",""=x""]","{""n"": 1}",01:00:00,2026-05-02',
        '9007199254740995,1.500,"[""m2"",""=x""]","{""n"": 2}",02:00:00,2026-05-03',
    ]


def test_a_cursor_of_another_secret_is_refused() -> None:
    sealed = cursors.seal(b"other", "asked", ["1"])
    assert cursors.unseal(b"other", "asked", sealed) == ["1"]
    for cursor in (sealed, sealed[:-3], sealed + "AAAA", "", "=", "\u0663"):
        with pytest.raises(Malformed):
            cursors.unseal(SECRET, "asked", cursor)
    with pytest.raises(Malformed, match="another query"):
        cursors.unseal(b"other", "else", sealed)


@pytest.mark.parametrize(
    "value", [None, True, 7, -(2**63), 0.1, 1e300, "a,b", "", "\u00e9"]
)
def test_a_value_is_read_as_it_was_written(value: object) -> None:
    text = values.as_text(value)
    kinds = {bool: "boolean", int: "bigint", float: "double precision", str: "text"}
    if text is not None:
        assert values.KINDS[kinds[type(value)]].read(text, "x") == value
