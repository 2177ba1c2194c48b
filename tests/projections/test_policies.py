from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from events.roles import ROLES
from events.testing.personas import PersonaCreated
from projections.projection import Group, Projection
from projections.sql import Sql
from tests.postgres_ladder import Database
from tests.projections.small import (
    GROUP,
    TALLIES,
    ListLog,
    created,
    feed,
    projector,
    tallies,
    versioned,
)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def fed(database: Database) -> Database:
    """Two organisations with one person each."""
    log = ListLog(created(1, "Ada"), versioned(1, 1, "young"))
    log.append(created(2, "Bo"), org_id="museum")
    async with projector(database) as pool:
        await feed(pool, log, GROUP)
    return database


async def identify(app: Sql, org_id: str, roles: str = "viewer") -> None:
    await app.execute(
        """
        SELECT
            set_config('rehearsal.org_id', $1, true),
            set_config('rehearsal.actor', 'user:mila', true),
            set_config('rehearsal.roles', $2, true)
        """,
        org_id,
        roles,
    )


async def register(database: Database, login: str, org_id: str, *roles: str) -> None:
    async with connected(database.owner) as owner:
        await owner.execute(
            "INSERT INTO access.logins VALUES ($1, $2, 'user:ana', $3)",
            login,
            org_id,
            list(roles),
        )


@pytest.mark.every_postgres
async def test_the_application_sees_the_organisation_that_it_named(
    fed: Database,
) -> None:
    async with connected(fed.app) as app, app.transaction():
        await identify(app, "museum")
        assert await app.fetchval(
            "SELECT string_agg(name, ',') FROM testing.people"
        ) == ("Bo")


async def test_without_an_identity_nothing_is_seen(fed: Database) -> None:
    async with connected(fed.app) as app:
        assert await app.fetch("SELECT * FROM testing.people") == []
        assert await app.fetchval("SELECT access.has_role('')") is False


async def test_an_identity_ends_with_its_transaction(fed: Database) -> None:
    async with connected(fed.app) as app:
        async with app.transaction():
            await identify(app, "museum", "admin")
        assert await app.fetch("SELECT * FROM testing.people") == []
        assert await app.fetchval("SELECT access.current_org()") is None
        assert await app.fetchval("SELECT access.current_actor_id()") is None


async def test_an_actor_is_known_with_and_without_its_kind(fed: Database) -> None:
    async with connected(fed.app) as app, app.transaction():
        await identify(app, "museum", "judge,admin")
        assert await app.fetchval("SELECT access.current_actor()") == "user:mila"
        assert await app.fetchval("SELECT access.current_actor_id()") == "mila"
        assert await app.fetchval("SELECT access.has_role('admin')") is True
        assert await app.fetchval("SELECT access.has_role('adm')") is False


@pytest.mark.parametrize(
    ("roles", "names"),
    [
        ("", []),
        ("platform", []),
        ("judge", []),
        ("crews:admin", []),
        ("testing:", []),
        ("testing:judge", []),
        ("testing:viewer", ["Ada"]),
        ("crews:admin,testing:tester", ["Ada"]),
        *((role, ["Ada"]) for role in ROLES),
    ],
)
async def test_rows_of_an_area_take_a_role_there_or_everywhere(
    fed: Database, roles: str, names: list[str]
) -> None:
    async with connected(fed.app) as app, app.transaction():
        await identify(app, "library", roles)
        found = await app.fetch("SELECT name FROM testing.people")
    assert [name for (name,) in found] == names


async def test_a_role_in_another_area_shows_no_hidden_column(fed: Database) -> None:
    async with connected(fed.app) as app:
        for roles, maker in (
            ("crews:admin,testing:user", None),
            ("testing:admin", "mila"),
        ):
            async with app.transaction():
                await identify(app, "library", roles)
                found = await app.fetchval("SELECT maker FROM testing.people")
            assert found == maker


async def test_a_table_for_everyone_takes_no_role(database: Database) -> None:
    table = replace(TALLIES, everyone=True)
    tallied = Projection(table=table, events=(PersonaCreated,), project=tallies)
    log = ListLog(created(1, "Ada"))
    async with projector(database) as pool:
        await feed(pool, log, Group(name="testing", projections=(tallied,)))
    async with connected(database.app) as app, app.transaction():
        await identify(app, "library", "")
        assert await app.fetchval("SELECT created FROM testing.tallies") == 1


async def test_a_direct_login_sees_what_it_stands_for(fed: Database) -> None:
    await register(fed, "rehearsal_reader", "library", "testing:viewer")
    async with connected(fed.reader) as reader:
        assert await reader.fetchval("SELECT name FROM testing.people") == "Ada"
        assert await reader.fetchval("SELECT access.current_actor_id()") == "ana"


async def test_a_direct_login_cannot_set_its_identity(fed: Database) -> None:
    await register(fed, "rehearsal_reader", "library", "testing:viewer")
    async with connected(fed.reader) as reader, reader.transaction():
        await identify(reader, "museum", "admin")
        assert await reader.fetchval("SELECT name FROM testing.people") == "Ada"
        assert await reader.fetchval("SELECT access.has_role('admin')") is False


async def test_a_login_that_stands_for_nobody_sees_nothing(fed: Database) -> None:
    async with connected(fed.reader) as reader:
        assert await reader.fetch("SELECT * FROM testing.people") == []


@pytest.mark.parametrize("table", ["access.logins", "testing_tables.people__v1"])
async def test_readers_cannot_name_what_is_behind_the_views(
    fed: Database, table: str
) -> None:
    for dsn in (fed.reader, fed.app):
        async with connected(dsn) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {table}")  # noqa: S608 - our own names


async def test_readers_cannot_write(fed: Database) -> None:
    async with connected(fed.app) as app, app.transaction():
        await identify(app, "museum", "admin")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("UPDATE testing.people SET name = 'Eve'")


async def test_a_column_is_shown_to_those_who_may_see_it(fed: Database) -> None:
    async with connected(fed.app) as app:
        async with app.transaction():
            await identify(app, "library")
            assert await app.fetchval("SELECT maker FROM testing.people") is None
        async with app.transaction():
            await identify(app, "library", "admin")
            assert await app.fetchval("SELECT maker FROM testing.people") == "mila"


async def test_a_view_over_views_is_under_the_policies_of_each(fed: Database) -> None:
    await register(fed, "rehearsal_reader", "library", "testing:viewer")
    async with connected(fed.reader) as reader:
        rows = await reader.fetch("SELECT text, name FROM testing.sayings")
        assert [tuple(row) for row in rows] == [("young", "Ada")]


async def test_who_is_asking_is_looked_up_once_for_a_query(fed: Database) -> None:
    async with connected(fed.app) as app:
        lines = await app.fetch("EXPLAIN (VERBOSE) SELECT * FROM testing.people")
    plan = "\n".join(line for (line,) in lines)
    assert "InitPlan" in plan
    assert "access." not in "".join(
        line for line in plan.splitlines() if "Filter" in line or "Cond" in line
    )


async def test_views_run_with_the_rights_of_who_asks(fed: Database) -> None:
    async with connected(fed.superuser) as superuser:
        options = await superuser.fetch(
            "SELECT reloptions FROM pg_class"
            " WHERE relnamespace = 'testing'::regnamespace AND relkind = 'v'"
        )
        unguarded = await superuser.fetchval(
            "SELECT count(*) FROM pg_class"
            " WHERE relnamespace = 'testing_tables'::regnamespace"
            " AND relkind = 'r' AND NOT relrowsecurity"
        )
    assert len(options) == len(GROUP.projections)
    assert all("security_invoker=true" in option for (option,) in options)
    assert unguarded == 0


async def test_an_index_waits_for_its_extension(fed: Database) -> None:
    async with connected(fed.superuser) as superuser:
        definitions = await superuser.fetchval(
            "SELECT string_agg(indexdef, ';') FROM pg_indexes"
            " WHERE tablename = 'people__v1'"
        )
        trigrams = await superuser.fetchval(
            "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'"
        )
    assert "(org_id, name)" in definitions
    assert definitions.count("USING gin") == 1 + trigrams
