"""The embedded PostgreSQL: one owner, joined by others, back after every death."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from infra.embedded import (
    Addresses,
    StackRunningError,
    embedded_postgres,
    running_stack,
)
from infra.postgres.migrations import migrate, pending
from infra.settings import SetupError


OWNER_PROCESS = """
import asyncio, sys
from pathlib import Path
from infra.embedded import embedded_postgres
from infra.logs import configure_logs

async def main():
    async with embedded_postgres(Path(sys.argv[1])):
        print("up", flush=True)
        await asyncio.Event().wait()

configure_logs()
asyncio.run(main())
"""


@pytest.fixture(scope="session")
async def used() -> AsyncIterator[Path]:
    """A data directory that was used and stopped; to be copied, not to be used."""
    with _folder() as folder:
        async with embedded_postgres(folder / "data") as addresses:
            await migrate(addresses.owner)
        yield folder / "data"


@pytest.fixture
def data_dir(used: Path) -> Iterator[Path]:
    with _folder() as folder:
        # `cp` keeps the owner, which the server insists on.
        subprocess.run(["cp", "-a", used, folder / "data"], check=True)  # noqa: S603, S607 - fixed words
        yield folder / "data"


class _folder:  # noqa: N801 - used as a function
    """A folder that the server's user may enter, gone after."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="rehearsal-"))
        self._path.chmod(0o711)
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path)


async def test_each_role_connects_as_itself_and_none_as_superuser(
    data_dir: Path,
) -> None:
    async with embedded_postgres(data_dir) as addresses:
        for role in ("owner", "app", "projector", "reader", "keys"):
            connection = await asyncpg.connect(getattr(addresses, role))
            row = await connection.fetchrow(
                "SELECT rolname, rolsuper OR rolbypassrls AS unsafe "
                "FROM pg_roles WHERE rolname = current_user"
            )
            await connection.close()
            assert row is not None
            assert tuple(row) == (f"rehearsal_{role}", False)


async def test_a_wrong_password_is_refused(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as addresses:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(addresses.app, password="guessed")  # noqa: S106 - wrong on purpose


async def test_commits_are_flushed(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as addresses:
        assert await _value(addresses.app, "SHOW fsync") == "on"
        assert await _value(addresses.app, "SHOW synchronous_commit") == "on"


async def test_what_was_written_is_there_after_a_restart(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as addresses:
        await _value(addresses.owner, "CREATE TABLE kept AS SELECT 7 AS number")
    async with embedded_postgres(data_dir) as addresses:
        assert await _value(addresses.owner, "SELECT number FROM kept") == 7
        assert await pending(addresses.owner) == []


async def test_a_second_start_joins_the_first(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as first:
        async with embedded_postgres(data_dir) as second:
            assert second == first
            assert running_stack(data_dir) == first
        assert await _value(first.app, "SELECT 1") == 1
    assert running_stack(data_dir) is None


async def test_a_second_owner_is_refused(data_dir: Path) -> None:
    async with embedded_postgres(data_dir):
        with pytest.raises(StackRunningError, match="choose another --data-dir"):
            await _start(data_dir, join=False)


async def test_a_killed_server_comes_back_at_the_same_address(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as addresses:
        await _value(addresses.owner, "CREATE TABLE kept AS SELECT 7 AS number")
        os.kill(_server_pid(data_dir), signal.SIGKILL)
        assert await _patiently(addresses.owner, "SELECT number FROM kept") == 7


async def test_a_killed_owner_leaves_no_server_and_nothing_in_the_way(
    data_dir: Path,
) -> None:
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER_PROCESS, str(data_dir)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"up\n"
    joined = running_stack(data_dir)
    assert joined is not None
    await _value(joined.owner, "CREATE TABLE kept AS SELECT 7 AS number")
    owner.kill()
    await owner.wait()
    async with embedded_postgres(data_dir, join=False) as addresses:
        assert await _value(addresses.owner, "SELECT number FROM kept") == 7


async def test_a_pid_file_of_another_program_is_no_obstacle(data_dir: Path) -> None:
    (data_dir / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    async with embedded_postgres(data_dir) as addresses:
        assert await _value(addresses.app, "SELECT 1") == 1


async def test_a_path_too_long_for_a_socket_is_no_obstacle(data_dir: Path) -> None:
    long = data_dir.with_name("d" * 120)
    data_dir.rename(long)  # noqa: ASYNC240 - nothing else runs
    async with embedded_postgres(long) as addresses:
        assert await _value(addresses.app, "SELECT 1") == 1


async def test_a_folder_that_the_servers_user_may_not_enter_is_no_obstacle() -> None:
    with _folder() as folder:
        folder.chmod(0o700)
        async with embedded_postgres(folder / "data") as addresses:
            assert await _value(addresses.app, "SELECT 1") == 1
        assert folder.stat().st_mode & 0o777 == 0o700
        link = folder / "data" / "postgres"
        if link.is_symlink():
            shutil.rmtree(link.readlink().parent)


async def test_lost_passwords_are_named(data_dir: Path) -> None:
    (data_dir / "secrets.json").unlink()
    with pytest.raises(SetupError, match=r"secrets\.json cannot be read"):
        await _start(data_dir)


async def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"file.* cannot be used: Not a directory"):
        await _start(tmp_path / "file")


async def test_data_of_a_version_that_is_not_bundled_are_named(data_dir: Path) -> None:
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(SetupError, match="PostgreSQL 12, which is not bundled"):
        await _start(data_dir)


async def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    (data_dir / "postgres" / "postgresql.conf").write_text("work_mem = 'much'\n")
    with pytest.raises(SetupError, match=r"did not start: .*postgres\.log"):
        await _start(data_dir)
    assert running_stack(data_dir) is None


async def test_addresses_show_no_password(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as addresses:
        assert "://" not in f"{addresses}{addresses!r}"


def test_no_stack_runs_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert running_stack(tmp_path / "nowhere") is None


async def _start(data_dir: Path, *, join: bool = True) -> Addresses:
    async with embedded_postgres(data_dir, join=join) as addresses:
        return addresses


async def _value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _patiently(dsn: str, query: str) -> object:
    async with asyncio.timeout(30):
        while True:
            try:
                return await _value(dsn, query)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.02)


def _server_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
