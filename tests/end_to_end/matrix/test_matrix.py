"""Who sees what and who may do what, over every route and in SQL.

Every cell is a request of somebody with some role. Its status and rows are worked out
by the oracle from what the policies declare, and nothing of another organisation may be
in any answer.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import product
from typing import Any, Final

import asyncpg
import msgspec
import pytest

from infra.operations.querying import query
from projections.catalogue import TABLES
from projections.ddl import qualified, tables_schema, view_name
from services.dashboard.web import COOKIE
from tests.conftest import RUNGS
from tests.end_to_end.matrix.commands import attempts, wrong_with
from tests.end_to_end.matrix.in_sql import LOGIN, bare_leaks, identify, leaks
from tests.end_to_end.matrix.oracle import Asker
from tests.end_to_end.matrix.routes import (
    READS,
    SSE,
    Cell,
    cells_of,
    check_rows,
)
from tests.end_to_end.matrix.stage import (
    EVERY_ROLE,
    FOREIGNER,
    OF_AREAS,
    OWNER,
    PEOPLE,
    PLAIN,
    STRANGER,
    Person,
    Stage,
    foreign_marks,
    open_stage,
)
from tests.end_to_end.matrix.tricks import (
    REFUSED,
    TRICKS,
    secrets_of_others,
    told_by,
)
from tests.end_to_end.matrix.worlds import UUIDS
from tests.end_to_end.stack import ORG, OTHER_ORG
from tests.postgres_ladder import Servers


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


SIGNING_IN: Final = {
    "/v1/auth/codes",
    "/v1/auth/register",
    "/v1/auth/sign-in",
    "/v1/auth/refresh",
    "/v1/auth/oidc/{provider}/start",
    "/v1/auth/oidc/{provider}/finish",
}
"""What is asked for by those who have no token yet."""

Record = Callable[[str, object], None]

HELD_BY_ANOTHER: Final = {"experiments.simulation_config"}
"""Its view joins another view, which stays under its own policies."""


@pytest.fixture(scope="module")
async def stage(
    request: pytest.FixtureRequest,
    servers: Servers,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    rung = request.config.stash[RUNGS][0]
    folder = tmp_path_factory.mktemp("stage")
    async with (
        servers.database(rung, durable=False, furnished=True) as database,
        open_stage(database, folder) as opened,
    ):
        yield opened


def everybody() -> Iterator[Asker]:
    """Yield everybody with every role, but for roles of an area where they add nothing.

    Roles of areas are tried over HTTP by an owner of each organisation, and in SQL by
    everybody.
    """
    for person, roles in product(PEOPLE, PLAIN):
        yield person.asker(roles)
    for person, roles in product((OWNER, FOREIGNER), OF_AREAS):
        yield person.asker(roles)


async def test_every_table_holds_rows_of_both_organisations(stage: Stage) -> None:
    for name, rows in stage.rows.items():
        assert {row["org_id"] for row in rows} == {ORG, OTHER_ORG}, name


async def test_every_route_that_reads_is_in_the_matrix(stage: Stage) -> None:
    paths = {path for method, path in stage.routes if method == "GET"}
    assert paths == {path for path in READS if "?" not in path}


async def test_without_a_token_nothing_is_answered(stage: Stage) -> None:
    owner = OWNER.asker(frozenset({"admin"}))
    forged = stage.token(owner)[:-4] + "AAAA"
    for cell in cells_of(stage, owner):
        for token in (None, "nonsense", forged):
            headers = {"Accept": cell.accept}
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
                headers["Cookie"] = f"{COOKIE}={token}"
            async with stage.http.get(
                stage.url + cell.path, headers=headers, allow_redirects=False
            ) as answer:
                assert answer.status == (303 if cell.page else 401), cell


async def test_every_request_that_changes_something_takes_a_token(
    stage: Stage,
) -> None:
    for method, path in stage.routes:
        if method in {"GET", "HEAD"} or path in SIGNING_IN:
            continue
        async with stage.http.request(
            method,
            stage.url + re.sub(r"\{\w+\}", str(OWNER.world.evaluation), path),
            data=b"{}",
            headers={"Content-Type": "application/json"},
            allow_redirects=False,
        ) as answer:
            assert answer.status == (403 if path.startswith("/playgrounds") else 401)


async def test_every_route_answers_what_the_policies_say(
    stage: Stage, record_property: Record
) -> None:
    record_property("cells", await read_all(stage, stage.url, everybody()))


async def test_policies_of_rows_alone_show_nobody_more(
    stage: Stage, record_property: Record
) -> None:
    some = (frozenset(), *map(frozenset, ({"admin"}, {"user"}, {"tester"})))
    askers = [person.asker(roles) for person, roles in product(PEOPLE, some)]
    record_property("cells", await read_all(stage, stage.open_url, askers))


@pytest.mark.parametrize("person", [OWNER, FOREIGNER])
@pytest.mark.parametrize(
    ("grant", "scopes"),
    [
        (("testing", "viewer"), {"events"}),
        (("playgrounds", "admin"), {"blobs"}),
        (("access", "admin"), {"import"}),
    ],
)
async def test_a_service_is_shown_what_its_token_was_given(
    stage: Stage, person: Person, grant: tuple[str, str], scopes: set[str]
) -> None:
    administrator = stage.token(person.asker(frozenset({"access:admin"})))
    service = f"{grant[0]}-loader"
    async with stage.http.post(
        f"{stage.url}/v1/auth/service-tokens",
        json={
            "service": service,
            "grants": [dict(zip(("area", "role"), grant, strict=True))],
            "scopes": sorted(scopes),
            "days": 1,
        },
        headers={"Authorization": f"Bearer {administrator}"},
    ) as answer:
        assert answer.status == 201, await answer.text()
        issued = await answer.json()
    asker = Asker(
        org=person.world.org,
        actor=f"service:{service}",
        roles=frozenset({":".join(grant)}),
        scopes=frozenset(scopes),
    )
    stage.tokens[asker] = issued["token"]
    assert await read_all(stage, stage.url, [asker])


async def read_all(stage: Stage, url: str, askers: Iterable[Asker]) -> int:
    """Ask every route as everybody, and return how many cells that were."""
    at_once = asyncio.Semaphore(3)

    async def read(asker: Asker) -> int:
        cells = 0
        async with at_once:
            for cell in cells_of(stage, asker):
                await ask(stage, url, asker, cell)
                cells += 1
        return cells

    return sum(await asyncio.gather(*map(read, askers)))


async def ask(stage: Stage, url: str, asker: Asker, cell: Cell) -> None:
    """Ask, and hold the answer against what it should be."""
    token = stage.token(asker)
    headers = {"Accept": cell.accept}
    if cell.page:
        headers["Cookie"] = f"{COOKIE}={token}"
    else:
        headers["Authorization"] = f"Bearer {token}"
    rows: list[Any] = []
    path: str | None = cell.path
    while path is not None:
        async with stage.http.get(
            url + path, headers=headers, allow_redirects=False
        ) as answer:
            assert answer.status == cell.status, (answer.status, cell)
            if cell.silent and answer.content_type == SSE:
                return
            sse = answer.content_type == SSE
            body = await (answer.content.readany() if sse else answer.read())
        assert not foreign_marks(asker.org) & set(UUIDS.findall(body)), cell
        path = None
        if cell.table is not None:
            page = msgspec.json.decode(body)
            rows += page["rows"]
            path = page["next"]
    if cell.table is not None:
        check_rows(stage, cell.table, asker, rows)


async def test_a_command_is_for_whom_the_permissions_say(
    stage: Stage, record_property: Record
) -> None:
    askers = list(everybody())
    record_property("cells", await command_all(stage, stage.url, askers, guarded=True))


async def test_without_a_guard_nothing_of_others_is_changed(
    stage: Stage, record_property: Record
) -> None:
    askers = [person.asker(roles) for person, roles in product(PEOPLE, PLAIN)]
    record_property(
        "cells", await command_all(stage, stage.open_url, askers, guarded=False)
    )
    crossed = await stage.superuser.fetch(
        "SELECT stream_id FROM es.events GROUP BY 1 HAVING count(DISTINCT org_id) > 1"
    )
    assert crossed == []


async def command_all(
    stage: Stage, url: str, askers: Iterable[Asker], *, guarded: bool
) -> int:
    """Ask for everything as everybody, and return how many cells that were."""
    cells = 0
    wrong: list[str] = []
    for asker in askers:
        tried = list(attempts(asker, guarded=guarded))
        async with stage.http.post(
            f"{url}/v1/commands",
            data=msgspec.json.encode([each.envelope for each in tried]),
            headers={
                "Authorization": f"Bearer {stage.token(asker)}",
                "Content-Type": "application/json",
            },
        ) as answer:
            verdicts = msgspec.json.decode(await answer.read())
        wrong += [
            found
            for attempt, verdict in zip(tried, verdicts, strict=True)
            if (found := wrong_with(attempt, verdict)) is not None
        ]
        cells += len(tried)
    assert not wrong, wrong[:10]
    return cells


async def test_everybody_sees_the_same_in_sql(
    stage: Stage, record_property: Record
) -> None:
    cells, found = 0, []
    async with connected(stage.urls.app) as app:
        for person, roles in product(PEOPLE, EVERY_ROLE):
            asker = person.asker(roles)
            async with app.transaction():
                await identify(app, asker)
                for name in TABLES:
                    found += await leaks(app, stage, asker, name)
                    cells += 1
    assert not found
    record_property("cells", cells)


async def test_a_login_of_ones_own_sees_the_same(
    stage: Stage, record_property: Record
) -> None:
    cells, found = 0, []
    async with connected(stage.urls.reader) as reader:
        for person, roles in product(PEOPLE, (*PLAIN, *OF_AREAS)):
            asker = replace(person.asker(roles), email=stage.proved_email(person))
            await stage.superuser.execute(
                LOGIN, asker.org, asker.actor, sorted(asker.roles)
            )
            for name in TABLES if roles in PLAIN else own_area(roles):
                found += await leaks(reader, stage, asker, name)
                cells += 1
    assert not found
    record_property("cells", cells)


def own_area(roles: frozenset[str]) -> Iterator[str]:
    """Yield the tables of the areas that roles are of."""
    areas = {role.partition(":")[0] for role in roles}
    return (name for name in TABLES if name.partition(".")[0] in areas)


@pytest.mark.parametrize("org", [ORG, OTHER_ORG])
async def test_an_operator_sees_one_organisation(stage: Stage, org: str) -> None:
    operator = Asker(org=org, actor="user:operator", roles=frozenset({"admin"}))
    for name, table in TABLES.items():
        found = await query(
            owner=stage.urls.owner,
            reader=stage.urls.reader,
            schema=table.schema,
            statement=f"SELECT * FROM {table.name}",  # noqa: S608 - names of the catalogue
            org_id=org,
        )
        check_rows(stage, name, operator, found.rows)
        assert not foreign_marks(org) & set(UUIDS.findall(repr(found).encode()))


@pytest.mark.parametrize("name", TABLES)
async def test_without_one_of_its_policies_a_table_leaks(
    stage: Stage, name: str
) -> None:
    table = TABLES[name]
    physical = qualified(table, stage.physical[name])
    broken = [
        f"ALTER TABLE {physical} DISABLE ROW LEVEL SECURITY",
        f"ALTER POLICY visible ON {physical} USING (true)",
    ]
    if name not in HELD_BY_ANOTHER:
        broken.append(f"ALTER VIEW {view_name(table)} RESET (security_invoker)")
    if not table.everyone:
        broken.append(f"DROP POLICY area ON {physical}")
    for statement in broken:
        transaction = stage.superuser.transaction()
        await transaction.start()
        try:
            await stage.superuser.execute(statement)
            await stage.superuser.execute(
                f"GRANT USAGE ON SCHEMA {tables_schema(table)} TO rehearsal_app"
            )
            await stage.superuser.execute("SET SESSION AUTHORIZATION rehearsal_app")
            found: list[str] = []
            for person, roles in product(PEOPLE, PLAIN):
                asker = person.asker(roles)
                await identify(stage.superuser, asker)
                found += await leaks(stage.superuser, stage, asker, name)
                found += await bare_leaks(stage.superuser, stage, asker, name)
                if found:
                    break
        finally:
            await transaction.rollback()
            await stage.superuser.execute("RESET SESSION AUTHORIZATION")
        assert found, statement


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
async def test_no_trick_in_sql_shows_what_is_hidden(stage: Stage, trick: str) -> None:
    asker = replace(STRANGER.asker(frozenset({"playgrounds:user"})), email=None)
    await stage.superuser.execute(LOGIN, asker.org, asker.actor, sorted(asker.roles))
    theirs = secrets_of_others(stage, asker)
    for dsn in (stage.urls.reader, stage.urls.app):
        async with connected(dsn) as connection:
            told = await told_by(connection, trick, asker)
        assert not [each for each in theirs if each in told], told


async def test_no_reader_reaches_the_log_or_becomes_another(stage: Stage) -> None:
    async with connected(stage.urls.reader) as reader:
        await reader.execute("SET default_transaction_read_only = off")
        for statement in REFUSED:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)


async def test_what_runs_with_rights_of_its_owner_is_known(stage: Stage) -> None:
    """The reader may run nothing but what says who is asking; all pin their names."""
    found = await stage.superuser.fetch(
        """
        SELECT
            p.oid::regprocedure::text AS name,
            has_function_privilege('rehearsal_reader', p.oid, 'EXECUTE') AS reader,
            coalesce(array_to_string(p.proconfig, ';'), '') AS settings
        FROM pg_proc AS p
        JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE p.prosecdef
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        """
    )
    assert {row["name"] for row in found if row["reader"]} == {
        "access.login()",
        "access.login_email()",
    }
    assert [row["name"] for row in found if "search_path" not in row["settings"]] == []


async def test_readers_reach_tables_through_views_that_run_as_they_do(
    stage: Stage,
) -> None:
    found = await stage.superuser.fetch(
        """
        SELECT c.oid::regclass::text AS name, c.relkind::text AS kind,
            c.relrowsecurity AS guarded, coalesce(c.reloptions::text, '') AS options
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND has_table_privilege('rehearsal_reader', c.oid, 'SELECT')
        """
    )
    views = {row["name"] for row in found if row["kind"] == "v"}
    assert views >= set(TABLES)
    for row in found:
        match row["kind"]:
            case "v":
                assert "security_invoker=true" in row["options"], row["name"]
            case kind:
                assert kind in {"r", "p"}, row["name"]
                assert row["guarded"], row["name"]
