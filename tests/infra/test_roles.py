"""The roles: made once, bound by row-level security, alone in their database."""

import asyncpg
import pytest

from infra.embedded.installation import bundled
from infra.postgres.pool import NoDatabaseError, open_pool
from infra.postgres.roles import (
    APP,
    ROLES,
    UnsafeRoleError,
    create_database,
    ensure_roles,
    refuse_superuser,
)
from tests.postgres_ladder import ROLE_PASSWORD, Database, temporary_server


async def test_making_roles_and_a_database_twice_changes_nothing(
    database: Database,
) -> None:
    await ensure_roles(database.superuser, dict.fromkeys(ROLES, ROLE_PASSWORD))
    connection = await asyncpg.connect(database.app)
    name = await connection.fetchval("SELECT current_database()")
    await connection.close()
    await create_database(database.superuser, name)


async def test_passwords_are_kept_as_scram_verifiers(database: Database) -> None:
    connection = await asyncpg.connect(database.superuser)
    rows = await connection.fetch(
        "SELECT rolpassword FROM pg_authid WHERE rolname = ANY ($1)", list(ROLES)
    )
    await connection.close()
    assert len(rows) == len(ROLES)
    assert all(row["rolpassword"].startswith("SCRAM-SHA-256$4096:") for row in rows)


async def test_a_role_of_our_names_that_is_a_superuser_is_refused() -> None:
    # Roles belong to a whole server, and others may use the one of the ladder.
    async with temporary_server(bundled(), options={}) as (superuser, _):
        await ensure_roles(superuser, dict.fromkeys(ROLES, ROLE_PASSWORD))
        connection = await asyncpg.connect(superuser)
        await connection.execute(f"ALTER ROLE {APP} BYPASSRLS")
        await connection.close()
        with pytest.raises(UnsafeRoleError, match=f"ALTER ROLE {APP} NOSUPERUSER"):
            await ensure_roles(superuser, {})


async def test_serving_as_superuser_is_refused(database: Database) -> None:
    with pytest.raises(UnsafeRoleError, match="bypasses row-level security"):
        await _pool(database.superuser)


async def test_a_superuser_who_plays_another_role_is_refused(
    database: Database,
) -> None:
    connection = await asyncpg.connect(database.superuser)
    try:
        await connection.execute(f"SET ROLE {APP}")
        with pytest.raises(UnsafeRoleError):
            await refuse_superuser(connection)
    finally:
        await connection.close()


async def test_a_login_that_bypasses_row_security_is_refused(
    database: Database,
) -> None:
    connection = await asyncpg.connect(database.superuser)
    try:
        async with connection.transaction():
            await connection.execute("CREATE ROLE rehearsal_bypassing BYPASSRLS")
            await connection.execute("SET SESSION AUTHORIZATION rehearsal_bypassing")
            with pytest.raises(UnsafeRoleError, match="rehearsal_bypassing"):
                await refuse_superuser(connection)
            await connection.execute("RESET SESSION AUTHORIZATION")
            await connection.execute("DROP ROLE rehearsal_bypassing")
    finally:
        await connection.close()


async def test_a_stranger_may_not_enter_the_database(database: Database) -> None:
    connection = await asyncpg.connect(database.superuser)
    allowed = await connection.fetchval(
        "SELECT count(*) FROM pg_database, aclexplode(datacl) AS entry "
        "WHERE datname = current_database() AND entry.grantee = 0"
    )
    await connection.close()
    assert allowed == 0


async def test_the_reader_cannot_write(database: Database) -> None:
    connection = await asyncpg.connect(database.reader)
    try:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("CREATE TABLE mine ()")
    finally:
        await connection.close()


async def test_a_released_connection_is_rolled_back_and_kept(
    database: Database,
) -> None:
    pool = await _pool(database.projector)
    async with pool.acquire() as connection:
        first = await connection.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.execute("SELECT 1 / 0")
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") == first
        assert await connection.fetchval("SHOW jit") == "off"
        assert await connection.fetchval("SHOW statement_timeout") == "30s"
    await pool.close()


async def test_no_database_is_one_line_without_the_password() -> None:
    with pytest.raises(NoDatabaseError) as refused:
        await _pool("postgresql://someone:secret@127.0.0.1:1/nothing")
    assert "someone:***@127.0.0.1:1" in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_wrong_password_is_one_line(database: Database) -> None:
    wrong = database.app.replace(ROLE_PASSWORD, "guessed")
    with pytest.raises(NoDatabaseError, match="password authentication failed"):
        await _pool(wrong)


async def _pool(dsn: str) -> "asyncpg.Pool[asyncpg.Record]":
    return await open_pool(dsn, min_size=1, max_size=1, application_name="tests")
