"""Which errors of the driver mean that the database is away, and which blame a value.

A statement that fails because the database is away may have been committed; one that
the server refuses for a value was rolled back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from events.errors import Unavailable


AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
)
REFUSED_VALUE: Final = (
    asyncpg.DataError,
    asyncpg.CheckViolationError,
    asyncpg.NotNullViolationError,
    asyncpg.ProgramLimitExceededError,
)


@contextmanager
def reaching_database() -> Iterator[None]:
    """Raise `Unavailable` for what says that the database is away."""
    try:
        yield
    except AWAY as error:
        raise Unavailable("The database is away.") from error
