"""Pools of connections to PostgreSQL, for roles that row-level security binds.

A connection is not reset between uses beyond a rollback, which saves a third of the
cost of a short use: whoever sets anything does so for a transaction only. A LISTEN
needs a connection of its own.
"""

from typing import TYPE_CHECKING, Any

import asyncpg

from infra.postgres.roles import refuse_superuser
from infra.settings import SetupError, redacted


if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool

CONNECT_SECONDS = 10.0


class NoDatabaseError(SetupError):
    """There is no database at the address, or it does not let us in."""


async def open_pool(
    dsn: str,
    *,
    min_size: int,
    max_size: int,
    application_name: str,
    statement_seconds: float = 30.0,
    statement_cache_size: int = 256,
) -> Pool:
    """Open a pool and return it with `min_size` connections made.

    Behind a pooler older than PgBouncer 1.21 in transaction mode,
    `statement_cache_size` has to be 0. Raises `NoDatabaseError`, or `UnsafeRoleError`
    for a role that bypasses row-level security.
    """
    milliseconds = str(round(statement_seconds * 1000))
    pool = asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_SECONDS,
        # The server cancels first; this is for a server that is gone.
        command_timeout=statement_seconds + 5.0,
        statement_cache_size=statement_cache_size,
        reset=_keep,
        server_settings={
            "application_name": application_name,
            "jit": "off",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "client_connection_check_interval": "5s",
            "tcp_keepalives_idle": "30",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
        },
    )
    try:
        await pool
        async with pool.acquire() as connection:
            await refuse_superuser(connection)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        pool.terminate()
        message = f"no database at {redacted(dsn)}: {error or 'no answer in time'}"
        raise NoDatabaseError(message) from error
    except BaseException:
        pool.terminate()
        raise
    return pool


async def _keep(_connection: Any) -> None:  # noqa: ANN401 - pooled
    """Leave the session as it is; the driver has rolled back already."""
