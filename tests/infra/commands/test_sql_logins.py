"""A person's own login in PostgreSQL sees what that person sees, and no more."""

import asyncio
from typing import Any, Final

import asyncpg
import pytest

from infra.embedded.installation import bundled
from tests.infra.commands.commands import create
from tests.infra.commands.process import Answer, Up, rehearsal


ORG: Final = "straight"
EMAIL: Final = "ines@straight.example"
NAMES: Final = "SELECT name FROM testing.simulation_personas ORDER BY name"


async def ask(up: Up, *words: object, org: str = ORG, content: bytes = b"") -> Answer:
    """Ask as an operator of an organisation."""
    return await rehearsal(
        *(*words, "--data-dir", up.data_dir, "--json", "--org", org), content=content
    )


async def read(url: str, statement: str, *, claimed: str | None = None) -> list[Any]:
    """Return the first column of what a login is shown, whatever it claims to be."""
    connection = await asyncpg.connect(url)
    try:
        if claimed is not None:
            await connection.execute(claimed)
        return [row[0] for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_a_login_stands_for_a_person_until_it_is_taken(up: Up) -> None:
    assert (await ask(up, "organisations", "create", "Straight")).code == 0
    invited = await ask(
        *(up, "users", "invite", EMAIL, "--username", "ines", "--full-name", "Ines")
    )
    assert invited.code == 0, invited
    assert (await ask(up, "send", "-", content=create("Ours"))).code == 0
    assert (
        await ask(up, "send", "-", org="astray", content=create("Theirs"))
    ).code == 0

    given = await ask(up, "sql-logins", "give", "ines_reads", EMAIL)
    assert given.code == 0, given
    url = given.json["url"]
    assert await read(url, NAMES) == []
    assert await read(url, "SELECT email FROM access.users") == [EMAIL]

    assert (await ask(up, "users", "grant", EMAIL, "testing", "admin")).code == 0
    assert await read(url, NAMES) == ["Ours"]
    assert (await ask(up, "users", "revoke", EMAIL, "testing", "admin")).code == 0
    assert await read(url, NAMES) == []

    for refused in (
        *("DELETE FROM access.users", "SELECT * FROM es.events"),
        *("SELECT * FROM access.logins", "SET SESSION AUTHORIZATION rehearsal_app"),
        *("SET ROLE rehearsal_owner", "SET ROLE rehearsal_app"),
        *("SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_xact_lock(1, 2)"),
        *("SELECT n_live_tup FROM pg_stat_all_tables", "TABLE pg_statio_all_tables"),
        *("TABLE pg_stat_activity", "SELECT pg_table_size('access.users'::regclass)"),
    ):
        with pytest.raises(asyncpg.PostgresError):
            await read(url, refused)
    claimed = "SET rehearsal.org_id = 'straight'; SET rehearsal.roles = 'admin'"
    assert await read(url, NAMES, claimed=claimed) == []

    system = await ask(up, "sql-logins", "give", "rehearsal_reader", EMAIL)
    assert (system.code, system.json["problem"]) == (1, "Malformed")
    again = await ask(up, "sql-logins", "give", "ines_reads", EMAIL)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await read(url, "SELECT 1")
    url = again.json["url"]

    assert (await ask(up, "users", "deactivate", EMAIL, "--reason", "Away")).code == 0
    assert await read(url, "SELECT email FROM access.users") == []
    away = await ask(up, "sql-logins", "give", "ines_too", EMAIL)
    assert (away.code, away.json["problem"]) == (1, "Deactivated")
    assert (await ask(up, "users", "reactivate", EMAIL)).code == 0
    assert await read(url, "SELECT email FROM access.users") == [EMAIL]

    staying = await asyncpg.connect(url)
    taken = await ask(up, "sql-logins", "take", "ines_reads", "--reason", "Left")
    assert taken.code == 0, taken
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await staying.fetch(NAMES)
    with pytest.raises(asyncpg.PostgresError):
        await read(url, "SELECT 1")
    (row,) = (await ask(up, "sql-logins", "list")).json["sql_logins"]
    assert (row["login"], row["taken_at"] is None) == ("ines_reads", False)


async def test_a_login_is_told_what_its_views_are_but_not_how_large_tables_are(
    up: Up,
) -> None:
    email = "otto@straight.example"
    invited = await ask(
        *(up, "users", "invite", email, "--username", "otto", "--full-name", "Otto")
    )
    assert invited.code == 0, invited
    given = await ask(up, "sql-logins", "give", "otto_reads", email)
    assert given.code == 0, given
    for command, told in (
        (r"\d access.users", "full_name"),
        (r"\dv testing.*", "simulation_personas"),
        (r"\d+ testing.trials", "View definition:"),
        (r"\dn", "playgrounds"),
        ("EXPLAIN SELECT * FROM access.users", "Scan"),
    ):
        code, out, err = await psql(given.json["url"], command)
        assert (code, err) == (0, "")
        assert told in out
    code, _, err = await psql(given.json["url"], r"\dv+ testing.*")
    assert "permission denied for function pg_table_size" in err


async def psql(url: str, command: str) -> tuple[int | None, str, str]:
    """Return what PostgreSQL's own client says to somebody, and its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(str(bundled().programs / "psql"), "--no-psqlrc", url, "--command", command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
