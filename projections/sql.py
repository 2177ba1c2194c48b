"""The part of a database connection that projections are given."""

from collections.abc import AsyncIterable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol


Isolation = Literal[
    "read_uncommitted", "read_committed", "repeatable_read", "serializable"
]


class Sql(Protocol):
    """A connection inside a transaction; an asyncpg connection satisfies it."""

    async def execute(self, query: str, *args: Any) -> str:  # noqa: ANN401 - as asyncpg
        """Run a statement and return its status."""
        ...

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:  # noqa: ANN401
        """Run a query and return its rows."""
        ...

    async def fetchrow(self, query: str, *args: Any) -> Any:  # noqa: ANN401
        """Run a query and return its first row, if any."""
        ...

    async def fetchval(self, query: str, *args: Any) -> Any:  # noqa: ANN401
        """Run a query and return the first column of its first row."""
        ...

    async def copy_records_to_table(
        self,
        table_name: str,
        *,
        records: Iterable[Sequence[Any]],
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
    ) -> str:
        """Copy rows into a table in binary form."""
        ...

    async def copy_to_table(
        self,
        table_name: str,
        *,
        source: AsyncIterable[bytes],
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        format: Literal["binary"],  # noqa: A002 - as asyncpg
    ) -> str:
        """Copy bytes into a table that are rows in a format already."""
        ...


class Session(Sql, Protocol):
    """A connection outside a transaction; a pooled one of asyncpg satisfies it."""

    def transaction(
        self,
        *,
        isolation: Isolation | None = None,
        readonly: bool = False,
    ) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction, or a savepoint inside one, for an `async with`."""
        ...


class Pool(Protocol):
    """Lends connections; a pool of asyncpg satisfies it."""

    def acquire(self) -> AbstractAsyncContextManager[Session]:
        """Lend a connection for an `async with`."""
        ...
