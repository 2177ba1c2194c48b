"""Migrations: once, in order, as the owner, and never changed after."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from infra.postgres import migrations
from infra.postgres.migrations import MigrationError, migrate, pending, revisions
from infra.postgres.roles import create_database
from tests.postgres_ladder import Database, addresses


@pytest.fixture
async def empty(database: Database) -> AsyncIterator[Database]:
    """A database that nothing was applied to, beside the migrated one."""
    connection = await asyncpg.connect(database.superuser)
    name = f"{await connection.fetchval('SELECT current_database()')}_empty"
    await create_database(database.superuser, name)
    yield addresses(database.superuser, name)
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


@pytest.mark.every_postgres
async def test_migrating_twice_changes_nothing(empty: Database) -> None:
    every = [path.name for path in revisions()]
    assert await pending(empty.owner) == every
    assert await migrate(empty.owner) == every
    assert await migrate(empty.owner) == []
    assert await pending(empty.owner) == []


async def test_migrating_at_the_same_time_happens_once(empty: Database) -> None:
    first, second = await asyncio.gather(migrate(empty.owner), migrate(empty.owner))
    assert sorted([first, second]) == [[], [path.name for path in revisions()]]


async def test_every_directory_of_sql_has_its_revision() -> None:
    modules = Path(migrations.__file__).parent.joinpath("versions").glob("r*.py")
    names = sorted(module.stem.removeprefix("r") for module in modules)
    assert names == [path.name for path in revisions()]


async def test_a_changed_file_is_named(database: Database) -> None:
    name = await _value(database.owner, "SELECT min(name) FROM migrations.files")
    await _value(
        database.owner,
        "UPDATE migrations.files SET sha256 = 'other' WHERE name = $1",
        name,
    )
    with pytest.raises(MigrationError, match=f"{name} differs"):
        await migrate(database.owner)


async def test_a_file_added_to_an_applied_revision_is_named(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(migrations.SQL, tmp_path / "sql")
    monkeypatch.setattr(migrations, "SQL", tmp_path / "sql")
    (tmp_path / "sql" / "0001_log" / "99_late.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match=r"0001_log/99_late\.sql differs"):
        await migrate(database.owner)


async def test_a_revision_that_fails_leaves_nothing_behind(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(migrations.SQL, tmp_path / "sql")
    monkeypatch.setattr(migrations, "SQL", tmp_path / "sql")
    broken = tmp_path / "sql" / "0003_keys" / "99_broken.sql"
    broken.write_text("CREATE TABLE keys.half (); SELECT 1 / 0")
    with pytest.raises(MigrationError, match=r"99_broken\.sql: division by zero"):
        await migrate(empty.owner)
    late = [path.name for path in revisions()][2:]
    assert await pending(empty.owner) == late
    assert await _value(empty.owner, "SELECT to_regnamespace('keys')") is None
    broken.unlink()
    assert await migrate(empty.owner) == late


async def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    await _value(database.owner, "UPDATE migrations.revision SET version_num = '9999'")
    assert await pending(database.owner) == []
    assert await migrate(database.owner) == []


async def test_what_a_superuser_migrates_is_the_owners(empty: Database) -> None:
    await migrate(empty.superuser)
    strangers = await _value(
        empty.superuser,
        """
        SELECT count(*)
        FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname IN ('es', 'keys', 'migrations')
          AND pg_get_userbyid(relowner) <> 'rehearsal_owner'
        """,
    )
    assert strangers == 0


async def test_a_login_that_cannot_become_the_owner_is_refused(
    database: Database,
) -> None:
    with pytest.raises(MigrationError, match="migrations run as rehearsal_owner"):
        await migrate(database.app)


async def _value(dsn: str, query: str, *arguments: object) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()
