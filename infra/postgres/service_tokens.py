"""The tokens of services in PostgreSQL, and how every process comes to know them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog

from events.errors import Unavailable
from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool
from services.accounts.service_tokens import Kept, Known


FOLLOWING_SECONDS: Final = 1.5
OVERLAP: Final = timedelta(seconds=30)  # longer than a commit takes
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)

KEEP: Final = """
WITH past AS (
    DELETE FROM sign_in.service_tokens
    WHERE least(expires_at, revoked_at) < clock_timestamp() - interval '7 days'
)
INSERT INTO sign_in.service_tokens (
    token_id, org_id, service, roles, scopes, digest, expires_at
)
SELECT $1, $2, $3, $4, $5, $6, $7
WHERE $8 > (
    SELECT count(*)
    FROM sign_in.service_tokens
    WHERE org_id = $2
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
)
"""

REVOKE: Final = """
UPDATE sign_in.service_tokens
SET revoked_at = clock_timestamp(),
    changed_at = clock_timestamp()
WHERE token_id = $1
  AND org_id = $2
  AND revoked_at IS NULL
"""

CHANGED: Final = """
SELECT token_id, org_id, service, roles, scopes, digest, expires_at, revoked_at,
       changed_at
FROM sign_in.service_tokens
WHERE changed_at > $1
  AND expires_at > clock_timestamp()
"""

_log: Final = structlog.get_logger()


class PostgresTokenStore:
    """Keeps tokens, and lets this process know of what it does itself at once."""

    def __init__(self, pool: Pool, known: Known) -> None:
        self._pool = pool
        self._known = known

    async def keep(self, kept: Kept, *, most: int) -> bool:
        """Keep a new token, unless its organisation has so many that are good."""
        with reaching_database():
            status = await self._pool.execute(
                KEEP,
                kept.token_id,
                kept.org_id,
                kept.service,
                sorted(kept.roles),
                sorted(kept.scopes),
                kept.digest,
                kept.expires_at,
                most,
            )
        if status != "INSERT 0 1":
            return False
        self._known.learn(kept)
        return True

    async def revoke(self, org_id: str, token_id: UUID) -> None:
        """Believe a token of an organisation no more."""
        with reaching_database():
            status = await self._pool.execute(REVOKE, token_id, org_id)
        if status == "UPDATE 1":
            self._known.forget(token_id)


async def learn_service_tokens(
    pool: Pool, known: Known, after: datetime = BEGINNING
) -> datetime:
    """Learn what changed since a moment, and return up to when that is."""
    with reaching_database():
        rows = await pool.fetch(CHANGED, after - OVERLAP)
    for row in rows:
        known.learn(msgspec.convert(dict(row), Kept))
    return max((row["changed_at"] for row in rows), default=after)


async def follow_service_tokens(
    pool: Pool, known: Known, after: datetime = BEGINNING
) -> None:
    """Learn, for ever, which tokens other processes issue and revoke, in 2 seconds."""
    while True:
        await asyncio.sleep(FOLLOWING_SECONDS)
        try:
            after = await learn_service_tokens(pool, known, after)
        except Unavailable as error:
            _log.warning("service_tokens_unknown", error=str(error))
