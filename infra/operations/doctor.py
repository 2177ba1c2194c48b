"""What an operator wants to know first: does everything answer, and how far is it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import asyncpg
import msgspec

from infra.postgres.migrations import pending
from infra.settings import SetupError
from projections.catalogue import GROUPS


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was looked at, and what was found; if bad, what to do."""

    what: str
    ok: bool
    found: str


LAG: Final = """
SELECT c.projection,
       (SELECT coalesce(max(f.last_position), 0) FROM es.flushes AS f) - c.position
           AS behind
FROM es.checkpoints AS c
ORDER BY 1
"""

PARKED: Final = """
SELECT count(*)
FROM es.parked
"""

SHOWN: Final = """
SELECT name, version, state
FROM es.projections
WHERE state IN ('live', 'stale')
ORDER BY 1
"""

OLDEST: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)
FROM pg_stat_activity
WHERE datname = current_database()
  AND pid <> pg_backend_pid()
  AND backend_type = 'client backend'
"""

BEHIND: Final = 10_000  # events
LONG: Final = 60.0  # seconds


async def examine(*, owner: str, app: str, keys: str) -> list[Finding]:
    """Look at the database as each of three roles, and say what was found."""
    findings = [
        await _look(f"{name} connects", partial(_connect, dsn))
        for name, dsn in (("owner", owner), ("app", app), ("keys", keys))
    ]
    if not all(finding.ok for finding in findings):
        return findings
    connection = await asyncpg.connect(owner)
    try:
        findings.append(await _look("migrations", lambda: _migrations(owner)))
        findings.append(await _look("projections", lambda: _projections(connection)))
        findings.append(await _look("read tables", lambda: _stale(connection)))
        findings.append(await _look("parked events", lambda: _parked(connection)))
        findings.append(await _look("transactions", lambda: _oldest(connection)))
    finally:
        await connection.close()
    return findings


async def _look(what: str, look: Callable[[], Awaitable[tuple[bool, str]]]) -> Finding:
    try:
        ok, found = await look()
    except (OSError, TimeoutError, asyncpg.PostgresError, SetupError) as error:
        return Finding(what=what, ok=False, found=str(error) or repr(error))
    return Finding(what=what, ok=ok, found=found)


async def _connect(dsn: str) -> tuple[bool, str]:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        version = await connection.fetchval("SHOW server_version")
        user = await connection.fetchval("SELECT current_user")
    finally:
        await connection.close()
    return True, f"as {user} to PostgreSQL {version}"


async def _migrations(owner: str) -> tuple[bool, str]:
    missing = await pending(owner)
    if missing:
        return False, f"{', '.join(missing)} missing; run `rehearsal migrate`"
    return True, "at the newest"


async def _projections(connection: asyncpg.Connection) -> tuple[bool, str]:
    rows = await connection.fetch(LAG)
    if not rows:
        return False, "none has run; run `rehearsal up` or `rehearsal project`"
    told = ", ".join(f"{row['projection']} {row['behind']} behind" for row in rows)
    return all(row["behind"] < BEHIND for row in rows), told


async def _stale(connection: asyncpg.Connection) -> tuple[bool, str]:
    declared = {
        each.name: each.table.version
        for group in GROUPS.values()
        for each in group.projections
    }
    names = [
        row["name"]
        for row in await connection.fetch(SHOWN)
        if row["state"] == "stale" or row["version"] < declared.get(row["name"], 0)
    ]
    if names:
        return False, (
            f"as an earlier version left them: {' '.join(names)}; run "
            "`rehearsal projections rebuild --switch` with these names"
        )
    return True, "of this version"


async def _parked(connection: asyncpg.Connection) -> tuple[bool, str]:
    count = await connection.fetchval(PARKED)
    if count:
        return False, f"{count}; see `rehearsal projections parked`"
    return True, "none"


async def _oldest(connection: asyncpg.Connection) -> tuple[bool, str]:
    seconds = float(await connection.fetchval(OLDEST))
    return seconds < LONG, f"the oldest is {seconds:.1f} s old"
