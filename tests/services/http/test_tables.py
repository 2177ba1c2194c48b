"""Read tables over HTTP: pages, filters, forms, policies, and the past."""

import csv
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import StringIO
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
import msgspec
import pytest

from events.errors import Unavailable
from infra.clock import new_id
from infra.postgres.pool import open_pool
from projections.builds import ensure
from projections.catalogue import GROUPS, TESTING
from projections.runner import GroupRunner
from services.http.limits import Limits
from services.http.reading import PoolReader
from tests.postgres_ladder import Database
from tests.services.http.world import (
    Answer,
    World,
    create_persona,
    is_problem,
    open_world,
)


pytestmark = pytest.mark.furnished
PERSONAS = "/v1/testing/simulation_personas"


@dataclass(kw_only=True)
class Tables:
    """An interface whose read tables are brought up to date when asked."""

    world: World
    runner: GroupRunner
    waited: list[tuple[str, int, float]]

    async def catch_up(self) -> int:
        head = await self.world.log.head()
        return await self.runner.catch_up(head.position)

    async def persona(self, org: str = "acme", **fields: object) -> str:
        command = create_persona(new_id(), **fields)
        answer = await self.world.send(command, headers=self.world.bearer(org=org))
        assert answer.status == 200, answer.body
        return str(command["persona_id"])

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.world.get(PERSONAS + path, **headers)

    async def names(self, query: str) -> list[str]:
        answer = await self.get(f"?{query}")
        assert answer.status == 200, answer.body
        return [row["name"] for row in answer.json["rows"]]


@pytest.fixture
async def tables(database: Database) -> AsyncIterator[Tables]:
    waited: list[tuple[str, int, float]] = []
    async with AsyncExitStack() as stack:
        app = await open_pool(
            database.app, min_size=1, max_size=4, application_name="tests"
        )
        await stack.enter_async_context(app)
        projector = await open_pool(
            database.projector, min_size=1, max_size=3, application_name="tests"
        )
        await stack.enter_async_context(projector)
        async with projector.acquire() as connection, connection.transaction():
            for group in GROUPS.values():
                await ensure(connection, group)

        async def caught_up(group: str, position: int, seconds: float) -> int:
            waited.append((group, position, seconds))
            head = await world.log.head()
            return await runner.catch_up(min(position, head.position))

        world = await stack.enter_async_context(
            open_world(
                reader=PoolReader(app),
                caught_up=caught_up,
                limits=Limits(page_rows=20, default_rows=5),
            )
        )
        runner = GroupRunner(TESTING, world.log, projector, owner=new_id())
        yield Tables(world=world, runner=runner, waited=waited)


@pytest.mark.every_postgres
async def test_a_producer_reads_its_own_write(tables: Tables) -> None:
    made = await tables.world.send(create_persona(tags={"team": "a"}))
    answer = await tables.get(f"?min_position={made.json['position']}")
    assert tables.waited == [("testing", made.json["position"], 5.0)]
    (row,) = answer.json["rows"]
    assert row["name"] == "Ada"
    assert row["tags"] == {"team": "a"}
    assert row["org_id"] == "acme"
    assert row["created_at"].endswith("Z")
    assert answer.json["next"] is None
    one = await tables.get(f"/{row['_id']}?fields=name,tags")
    assert one.json == {"name": "Ada", "tags": {"team": "a"}}


async def test_a_table_that_lags_says_how_far_it_is(world: World) -> None:
    made = await world.send(create_persona())
    answer = await world.get(f"{PERSONAS}?min_position={made.json['position']}")
    assert is_problem(answer, 503, "query.min_position")
    assert answer.json["reached"] == 0
    assert answer.json["code"] == "not-caught-up"


async def test_a_position_beyond_the_log_is_refused_at_once(tables: Tables) -> None:
    made = await tables.world.send(create_persona())
    answer = await tables.get(f"?min_position={made.json['position'] + 1}")
    assert is_problem(answer, 400, "query.min_position")
    assert tables.waited == []


async def test_rows_of_another_organisation_are_not_there(tables: Tables) -> None:
    own = await tables.persona()
    foreign = await tables.persona(org="umbrella", name="Eve")
    await tables.catch_up()
    assert await tables.names("") == ["Ada"]
    assert await tables.names("org_id=umbrella") == []
    assert (await tables.get(f"/{own}")).status == 200
    assert is_problem(await tables.get(f"/{foreign}"), 404)
    assert is_problem(await tables.get(f"/{foreign}?as_of=1"), 404)


async def test_filters_by_every_operator(tables: Tables) -> None:
    for number, name in enumerate(["Ada", "Bea", "Cid_", "Dan%"]):
        external = None if number else "x-1"
        await tables.persona(name=name, tags={name: None}, external_id=external)
    await tables.catch_up()
    rows = (await tables.get("?sort=created_at")).json["rows"]
    times = [quote(row["created_at"]) for row in rows]
    for query, expected in {
        "name=Bea": "Bea",
        "name.eq=Bea": "Bea",
        "name.ne=Bea": "Ada Cid_ Dan%",
        "name.in=Ada,Dan%25,Zoe": "Ada Dan%",
        "name.gt=Bea": "Cid_ Dan%",
        "name.gte=Bea&name.lt=D": "Bea Cid_",
        "name.lte=Bea": "Ada Bea",
        "name.like=*a": "Ada Bea",
        "name.like=c*": "Cid_",
        "name.like=*_": "Cid_",
        "name.like=*%25": "Dan%",
        "tags.has=Bea": "Bea",
        "external_id=x-1": "Ada",
        "external_id.null=true": "Bea Cid_ Dan%",
        "external_id.null=false": "Ada",
        "is_deleted=true": "",
        "is_deleted=false": "Ada Bea Cid_ Dan%",
        "latest_version=1&name=Ada": "Ada",
        "latest_version.in=0,1&name=Ada": "Ada",
        f"created_at.gt={times[1]}": "Cid_ Dan%",
        f"created_at={times[1]}": "Bea",
        "name=Ada'--": "",
        "name=%22;DROP TABLE x": "",
    }.items():
        assert await tables.names(f"{query}&sort=created_at") == expected.split()


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("colour=red", "query"),
        ("name.similar=x", "query"),
        ("name.=x", "query"),
        ("tags=x", "query"),
        ("name=a&name=b", "query.name"),
        ("name=%00", "query.name"),
        ("latest_version=x", "query.latest_version"),
        ("latest_version=1e3", "query.latest_version"),
        ("latest_version=2147483648", "query.latest_version"),
        ("latest_version=" + "9" * 5_000, "query.latest_version"),
        ("latest_version.in=1,x", "query.latest_version.in"),
        ("name.in=" + "," * 100, "query.name.in"),
        ("created_at.gt=yesterday", "query.created_at.gt"),
        ("created_at=2026-01-01T00:00:00", "query.created_at"),
        ("created_at=0001-01-01T00:00:00%2B14:00", "query.created_at"),
        ("is_deleted=maybe", "query.is_deleted"),
        ("external_id.null=1", "query.external_id.null"),
        ("sort=name", "query.sort"),
        ("sort=", "query.sort"),
        ("sort=--created_at", "query.sort"),
        ("fields=name,colour", "query.fields"),
        ("limit=0", "query.limit"),
        ("limit=201", "query.limit"),
        ("limit=-1", "query.limit"),
        ("limit=%D9%A3", "query.limit"),
        ("cursor=", "query.cursor"),
        ("cursor=AAAA", "query.cursor"),
        ("cursor=%F0%9F%92%A9", "query.cursor"),
        ("min_position=x", "query.min_position"),
        ("min_position=99999999999999999999", "query.min_position"),
    ],
)
async def test_a_bad_query_is_named(query: str, path: str, world: World) -> None:
    answer = await world.get(f"{PERSONAS}?{query}")
    assert is_problem(answer, 400, path)


async def test_pages_hold_every_row_once_in_order(tables: Tables) -> None:
    for number in range(13):
        await tables.persona(name=f"P{number}")
    await tables.catch_up()
    for sort in ("_id", "-_id", "created_at", "-created_at"):
        whole = (await tables.get(f"?sort={sort}&limit=20")).json["rows"]
        assert len({row["_id"] for row in whole}) == 13
        pages = await paged(tables, f"?sort={sort}&fields=name,_id")
        assert list(map(len, pages)) == [5, 5, 3]
        assert [row for page in pages for row in page] == [
            {"name": row["name"], "_id": row["_id"]} for row in whole
        ]


async def paged(tables: Tables, query: str) -> list[list[Any]]:
    pages: list[list[Any]] = []
    path: str | None = PERSONAS + query
    while path is not None:
        answer = await tables.world.get(path)
        pages.append(answer.json["rows"])
        path = answer.json["next"]
        link = None if path is None else f'<{path}>; rel="next"'
        assert answer.headers.get("Link") == link
    return pages


async def test_a_cursor_goes_on_with_its_own_query_only(tables: Tables) -> None:
    for number in range(6):
        await tables.persona(name=f"P{number}")
    await tables.catch_up()
    following = (await tables.get("?role=customer")).json["next"]
    assert (await tables.world.get(following)).status == 200
    cursor = following.partition("cursor=")[2]
    for query in ("role=other", "sort=-_id&role=customer", "role.ne=customer"):
        answer = await tables.get(f"?{query}&cursor={cursor}")
        assert is_problem(answer, 400, "query.cursor")
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    answer = await tables.get(f"?role=customer&cursor={changed}")
    assert is_problem(answer, 400, "query.cursor")


async def test_rows_come_as_lines_and_as_csv(tables: Tables) -> None:
    for name in ("=1+1", "@x", "a,b", 'say "hi"', "\tx"):
        await tables.persona(name=name)
    await tables.catch_up()
    lines = await tables.get("?fields=name,tags", Accept="application/x-ndjson")
    assert [msgspec.json.decode(line)["name"] for line in lines.body.splitlines()] == [
        "=1+1",
        "@x",
        "a,b",
        'say "hi"',
        "\tx",
    ]
    sheet = await tables.get(
        "?fields=name,tags,deleted_at,is_deleted", Accept="text/csv;q=1, */*;q=0.1"
    )
    assert sheet.headers["Content-Type"].startswith("text/csv")
    assert list(csv.reader(StringIO(sheet.body.decode(), newline=""))) == [
        ["name", "tags", "deleted_at", "is_deleted"],
        ["'=1+1", "{}", "", "false"],
        ["'@x", "{}", "", "false"],
        ["a,b", "{}", "", "false"],
        ['say "hi"', "{}", "", "false"],
        ["'\tx", "{}", "", "false"],
    ]
    assert is_problem(await tables.get("", Accept="image/png"), 406)


async def test_an_entity_is_seen_as_it_was(tables: Tables) -> None:
    persona_id = new_id()
    made = await tables.world.send(create_persona(persona_id))
    gone = await tables.world.send(
        {"type": "testing.DeletePersona", "persona_id": str(persona_id)}
    )
    await tables.catch_up()
    before = await tables.get(f"/{persona_id}?as_of={made.json['position']}")
    after = await tables.get(f"/{persona_id}?as_of={gone.json['position']}")
    at = quote(gone.json["recorded_at"])
    then = await tables.get(f"/{persona_id}?as_of={at}")
    assert before.json["stream_id"] == f"testing.persona-{persona_id}"
    assert before.json["version"] < after.json["version"]
    assert before.json["state"] != after.json["state"]
    assert then.json["state"] == after.json["state"]
    assert is_problem(await tables.get(f"/{persona_id}?as_of=0"), 404)
    early = await tables.get(f"/{persona_id}?as_of=2020-01-01T00:00:00Z")
    assert is_problem(early, 404)


async def test_who_cannot_see_a_row_cannot_see_its_past(tables: Tables) -> None:
    persona_id = await tables.persona()
    path = f"{PERSONAS}/{persona_id}?as_of=1"
    user = tables.world.bearer(roles=["user"])
    hidden = await tables.world.request("GET", path, headers=user)
    assert is_problem(hidden, 404)
    await tables.catch_up()
    assert (await tables.world.request("GET", path, headers=user)).status == 200
    elsewhere = tables.world.bearer(roles=["crews:admin"])
    for hidden_path in (path, f"{PERSONAS}/{persona_id}"):
        hidden = await tables.world.request("GET", hidden_path, headers=elsewhere)
        assert is_problem(hidden, 404)


async def test_the_past_is_asked_is_asked_for_by_position_or_time(world: World) -> None:
    for query in ("as_of=x", "as_of=", "as_of=2026-01-01", "as_of=%D9%A3"):
        answer = await world.get(f"{PERSONAS}/{new_id()}?{query}")
        assert is_problem(answer, 400, "query.as_of")
    answer = await world.get(f"{PERSONAS}/nobody?as_of=1")
    assert is_problem(answer, 400, "path.id")
    answer = await world.get("/v1/testing/trial_entries/x,1?as_of=1")
    assert is_problem(answer, 400, "query.as_of")


async def test_a_position_that_is_yet_to_come_has_no_past(tables: Tables) -> None:
    persona_id = await tables.persona()
    await tables.catch_up()
    answer = await tables.get(f"/{persona_id}?as_of={10**15}")
    assert is_problem(answer, 400, "query.as_of")


async def test_a_key_of_several_columns_is_joined_by_commas(tables: Tables) -> None:
    path = f"/v1/testing/trial_entries/{UUID(int=1)}"
    assert is_problem(await tables.world.get(path), 400, "path.id")
    assert is_problem(await tables.world.get(f"{path},x"), 400, "path.id")
    assert is_problem(await tables.world.get(f"{path},1"), 404)


async def test_unknown_tables_are_missing(world: World) -> None:
    for path in ("/v1/testing/secrets", "/v1/pg_catalog/pg_class", "/v1/x/y/z"):
        assert is_problem(await world.get(path), 404)


async def test_a_database_that_is_away_is_unavailable(world: World) -> None:
    answer = await world.get(PERSONAS)
    assert is_problem(answer, 503)
    assert b"db.internal" not in answer.body


async def test_an_identity_ends_with_its_read(
    tables: Tables, database: Database
) -> None:
    await tables.persona()
    await tables.catch_up()
    pool = await open_pool(
        database.app, min_size=1, max_size=1, application_name="tests"
    )
    async with pool:
        reader = PoolReader(pool)
        identity = tables.world.identity()
        query = "SELECT name FROM testing.simulation_personas"
        assert len(await reader.read(identity, query, ())) == 1
        async with pool.acquire() as connection:
            assert await connection.fetch(query) == []


async def test_a_table_that_an_upgrade_left_behind_is_told_as_such(
    tables: Tables, database: Database
) -> None:
    connection = await asyncpg.connect(database.superuser)
    try:
        await connection.execute(
            "ALTER VIEW testing.simulation_personas RENAME COLUMN name TO called"
        )
    finally:
        await connection.close()
    assert is_problem(await tables.world.get(PERSONAS), 503)
    pool = await open_pool(
        database.app, min_size=1, max_size=1, application_name="tests"
    )
    async with pool:
        query = "SELECT name FROM testing.simulation_personas"
        with pytest.raises(Unavailable, match="not of this version"):
            await PoolReader(pool).read(tables.world.identity(), query, ())


async def test_every_table_answers_a_page(tables: Tables) -> None:
    for name in tables.world.tables:
        answer = await tables.world.get(f"/v1/{name.replace('.', '/')}?limit=1")
        assert answer.status == 200, answer.body


async def test_a_broken_connection_is_unavailable(
    tables: Tables, database: Database
) -> None:
    connection = await asyncpg.connect(database.superuser)
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = 'rehearsal_app' AND datname = current_database()"
    )
    statuses = {(await tables.get("")).status for _ in range(5)}
    await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    await connection.close()
    assert statuses == {503}
    assert (await tables.get("")).status == 200
