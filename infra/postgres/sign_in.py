"""Passwords, codes, sessions and rates in PostgreSQL, in the schema `sign_in`."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from infra.postgres.failures import AWAY, reaching_database
from infra.postgres.pool import Pool
from services.accounts.ports import EndedWhy, Handshake, Rate, Session


PRUNING_SECONDS: Final = 600.0
FOLLOWING_SECONDS: Final = 2.0
EVERY_GENERATION: Final = 2_147_483_647
REMEMBERED: Final = timedelta(minutes=15)  # longer than an access token lives

ADMIT: Final = "SELECT sign_in.admit_v1($1, $2, $3)"

TAKE: Final = "SELECT sign_in.admit_v2($1, $2, $3, $4)"

HASH: Final = "SELECT hash FROM sign_in.passwords WHERE user_id = $1"

KEEP_HASH: Final = """
INSERT INTO sign_in.passwords (user_id, org_id, hash)
VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE
SET hash = excluded.hash,
    set_at = excluded.set_at
"""

FORGET_HASH: Final = "DELETE FROM sign_in.passwords WHERE user_id = $1"

FORGET_SESSIONS: Final = """
UPDATE sign_in.sessions
SET ended_at = coalesce(ended_at, clock_timestamp()),
    ended_why = coalesce(ended_why, 'erased'),
    ip = NULL,
    agent = NULL
WHERE user_id = $1
"""

KEEP_CODE: Final = """
INSERT INTO sign_in.codes (org_id, address, digest, guesses_left, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5)
ON CONFLICT (org_id, address) DO UPDATE
SET digest = excluded.digest,
    guesses_left = excluded.guesses_left,
    expires_at = excluded.expires_at
"""

SPEND_CODE: Final = """
DELETE FROM sign_in.codes
WHERE org_id = $1
  AND address = $2
  AND digest = $3
  AND guesses_left > 0
  AND expires_at > clock_timestamp()
RETURNING true
"""

CHECK_CODE: Final = """
SELECT true
FROM sign_in.codes
WHERE org_id = $1
  AND address = $2
  AND digest = $3
  AND guesses_left > 0
  AND expires_at > clock_timestamp()
"""

WRONG_GUESS: Final = """
UPDATE sign_in.codes
SET guesses_left = guesses_left - 1
WHERE org_id = $1
  AND address = $2
  AND guesses_left > 0
"""

BEGIN: Final = """
INSERT INTO sign_in.sessions (
    session_id, org_id, user_id, method, generation, ip, agent,
    created_at, used_at, expires_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

SESSION: Final = "SELECT * FROM sign_in.sessions WHERE session_id = $1"

SESSIONS: Final = """
SELECT *
FROM sign_in.sessions
WHERE user_id = $1
  AND ended_at IS NULL
  AND expires_at > clock_timestamp()
ORDER BY created_at DESC, session_id
"""

RENEW: Final = """
UPDATE sign_in.sessions
SET generation = generation + 1,
    used_at = clock_timestamp()
WHERE session_id = $1
  AND generation = $2
  AND ended_at IS NULL
  AND expires_at > clock_timestamp()
  AND used_at > clock_timestamp() - $3::interval
RETURNING *
"""

END: Final = """
UPDATE sign_in.sessions
SET ended_at = clock_timestamp(),
    ended_why = $2
WHERE session_id = $1
  AND ended_at IS NULL
"""

END_ALL: Final = """
UPDATE sign_in.sessions
SET ended_at = clock_timestamp(),
    ended_why = $2
WHERE user_id = $1
  AND ended_at IS NULL
  AND session_id IS DISTINCT FROM $3
  AND ($4::timestamptz IS NULL OR created_at <= $4)
RETURNING session_id
"""

OUTDATE: Final = """
UPDATE sign_in.sessions
SET outdated_generation = generation,
    outdated_at = clock_timestamp()
WHERE user_id = $1
  AND ended_at IS NULL
RETURNING session_id, generation
"""

ENDED: Final = """
SELECT session_id, 2147483647 AS generation
FROM sign_in.sessions
WHERE ended_at > clock_timestamp() - $1::interval
UNION ALL
SELECT session_id, outdated_generation
FROM sign_in.sessions
WHERE outdated_at > clock_timestamp() - $1::interval
  AND ended_at IS NULL
"""

KEEP_HANDSHAKE: Final = """
INSERT INTO sign_in.handshakes (digest, org_id, provider, redirect_uri, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5)
"""

TAKE_HANDSHAKE: Final = """
DELETE FROM sign_in.handshakes
WHERE digest = $1
RETURNING org_id, provider, redirect_uri, expires_at > clock_timestamp() AS good
"""

PRUNE: Final = "SELECT sign_in.prune_v2()"

_log: Final = structlog.get_logger()


class PostgresCounter:
    """Counts what callers send, over all processes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(
        self, key: str, cost: int, *, burst: int, period: timedelta
    ) -> timedelta | None:
        """Take so much of a key's rate; return how long to wait where it is spent."""
        with reaching_database():
            wait: timedelta | None = await self._pool.fetchval(
                TAKE, key, cost, burst, period
            )
        return wait


class PostgresStore:
    """Keeps what signing in needs.

    `ended` comes to hold the sessions that ended or were outdated lately, each with
    the last generation whose access tokens are believed no more.
    """

    def __init__(self, pool: Pool, ended: dict[UUID, int]) -> None:
        self._pool = pool
        self._ended = ended

    async def admit(self, key: str, rate: Rate) -> timedelta | None:
        """Count a request; return how long to wait where its key is past the rate."""
        wait: timedelta | None = await self._value(ADMIT, key, rate.burst, rate.period)
        return wait

    async def password(self, user_id: UUID) -> str | None:
        """Return the hash of a user's password."""
        hashed: str | None = await self._value(HASH, user_id)
        return hashed

    async def keep_password(self, org_id: str, user_id: UUID, hashed: str) -> None:
        """Keep the hash of a user's password, instead of any other."""
        await self._value(KEEP_HASH, user_id, org_id, hashed)

    async def forget_user(self, user_id: UUID) -> None:
        """Forget the password and the sessions of a user."""
        await self._value(FORGET_HASH, user_id)
        await self._value(FORGET_SESSIONS, user_id)

    async def keep_code(
        self, org_id: str, address: str, digest: bytes, *, seconds: int, guesses: int
    ) -> None:
        """Keep the digest of the code for an address, instead of any other."""
        lifetime = timedelta(seconds=seconds)
        await self._value(KEEP_CODE, org_id, address, digest, guesses, lifetime)

    async def guess_code(
        self, org_id: str, address: str, digest: bytes, *, spend: bool
    ) -> bool:
        """Say whether a code is the one that was sent; a wrong guess is counted."""
        statement = SPEND_CODE if spend else CHECK_CODE
        if await self._value(statement, org_id, address, digest):
            return True
        await self._value(WRONG_GUESS, org_id, address)
        return False

    async def keep_handshake(
        self, digest: bytes, handshake: Handshake, *, seconds: int
    ) -> None:
        """Keep a sign-in that began, by the digest of its state."""
        await self._value(
            KEEP_HANDSHAKE,
            digest,
            handshake.org_id,
            handshake.provider,
            handshake.redirect_uri,
            timedelta(seconds=seconds),
        )

    async def take_handshake(self, digest: bytes) -> Handshake | None:
        """Return a sign-in that began not long ago, once."""
        with reaching_database():
            row = await self._pool.fetchrow(TAKE_HANDSHAKE, digest)
        if row is None or not row["good"]:
            return None
        return Handshake(
            org_id=row["org_id"],
            provider=row["provider"],
            redirect_uri=row["redirect_uri"],
        )

    async def begin(self, session: Session) -> None:
        """Keep a new session."""
        await self._value(
            BEGIN,
            session.session_id,
            session.org_id,
            session.user_id,
            session.method,
            session.generation,
            session.ip,
            session.agent,
            session.created_at,
            session.used_at,
            session.expires_at,
        )

    async def session(self, session_id: UUID) -> Session | None:
        """Return a session, ended or not."""
        rows = await self._rows(SESSION, session_id)
        return rows[0] if rows else None

    async def sessions(self, user_id: UUID) -> list[Session]:
        """Return the sessions of a user that have not ended, the newest first."""
        return await self._rows(SESSIONS, user_id)

    async def renew(
        self, session_id: UUID, generation: int, *, idle: timedelta
    ) -> Session | None:
        """Make the next generation of a session, if this is the one that is good."""
        rows = await self._rows(RENEW, session_id, generation, idle)
        return rows[0] if rows else None

    async def end(self, session_id: UUID, why: EndedWhy) -> bool:
        """End a session; return whether it had not ended before."""
        with reaching_database():
            status = await self._pool.execute(END, session_id, why)
        self._ended[session_id] = EVERY_GENERATION
        return status == "UPDATE 1"

    async def end_all(
        self,
        user_id: UUID,
        why: EndedWhy,
        *,
        but: UUID | None = None,
        until: datetime | None = None,
    ) -> list[UUID]:
        """End the sessions of a user that began until a moment, and return which."""
        with reaching_database():
            rows = await self._pool.fetch(END_ALL, user_id, why, but, until)
        ended = [row["session_id"] for row in rows]
        self._ended.update(dict.fromkeys(ended, EVERY_GENERATION))
        return ended

    async def outdate(self, user_id: UUID) -> None:
        """Have the access tokens of a user believed no more; sessions go on."""
        with reaching_database():
            rows = await self._pool.fetch(OUTDATE, user_id)
        _note(self._ended, {row["session_id"]: row["generation"] for row in rows})

    async def _value(self, statement: str, *args: object) -> Any:  # noqa: ANN401 - the statement's
        with reaching_database():
            return await self._pool.fetchval(statement, *args)

    async def _rows(self, statement: str, *args: object) -> list[Session]:
        with reaching_database():
            rows: list[asyncpg.Record] = await self._pool.fetch(statement, *args)
        return [_session(dict(row)) for row in rows]


async def follow_ended(pool: Pool, ended: dict[UUID, int]) -> None:
    """Learn, for ever, what other processes ended or outdated, within two seconds."""
    known: set[UUID] = set()
    while True:
        try:
            rows = await pool.fetch(ENDED, REMEMBERED)
        except AWAY as error:
            _log.warning("ended_sessions_unknown", error=str(error))
        else:
            found = {row["session_id"]: row["generation"] for row in rows}
            # What this process ended meanwhile is in neither.
            for gone in known - found.keys():
                ended.pop(gone, None)
            _note(ended, found)
            known = set(found)
        await asyncio.sleep(FOLLOWING_SECONDS)


async def keep_sign_in_pruned(pool: Pool) -> None:
    """Forget what has no effect any more, every ten minutes, for ever."""
    while True:
        await asyncio.sleep(PRUNING_SECONDS)
        try:
            pruned = await pool.fetchval(PRUNE)
        except AWAY as error:
            _log.warning("sign_in_not_pruned", error=str(error))
        else:
            if pruned:
                _log.info("sign_in_pruned", count=pruned)


def _note(ended: dict[UUID, int], found: Mapping[UUID, int]) -> None:
    """Take over what ended or was outdated; nothing is believed again."""
    for session_id, generation in found.items():
        ended[session_id] = max(generation, ended.get(session_id, 0))


def _session(row: Mapping[str, Any]) -> Session:
    return msgspec.convert(row, Session)
