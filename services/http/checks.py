"""What an API process needs in order to be ready, as checks for `/readyz`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import asyncpg

from events.log import EventLog
from services.http.admin import Check, Health, Lag, Lags
from services.ports import Clock


MOST_LAG_SECONDS: Final = 60.0


def database(pool: "asyncpg.Pool[asyncpg.Record]") -> Check:
    """Return the check that a connection can be had and answers."""

    async def check() -> Health:
        async with pool.acquire() as connection:
            await connection.fetchval("SELECT 1")
        return Health(ok=True, detail="reachable")

    return check


def migrations(pending: Callable[[], Awaitable[Iterable[str]]]) -> Check:
    """Return the check that the schema is the one that this release was made for."""

    async def check() -> Health:
        missing = list(await pending())
        if missing:
            return Health(ok=False, detail=f"not applied: {', '.join(missing)}")
        return Health(ok=True, detail="at head")

    return check


def projections(lags: Lags, *, most_seconds: float = MOST_LAG_SECONDS) -> Check:
    """Return the check that no group of read tables is far behind the log."""

    async def check() -> Health:
        found = await lags()
        late = max((lag.seconds for lag in found.values()), default=0.0)
        behind = [name for name, lag in found.items() if lag.seconds > most_seconds]
        detail = f"behind: {', '.join(behind)}" if behind else "up to date"
        return Health(ok=not behind, detail=detail, value=round(late, 3))

    return check


def measured(
    *,
    log: EventLog,
    groups: Iterable[str],
    reached: Callable[[str], Awaitable[int]],
    clock: Clock,
) -> Lags:
    """Return what measures groups against the log; `reached` gives their positions."""
    names = tuple(groups)

    async def lags() -> Mapping[str, Lag]:
        head = await log.head()
        found: dict[str, Lag] = {}
        for name in names:
            position = await reached(name)
            unseen = await log.read(position, 1) if position < head.position else ()
            age = (clock() - unseen[0].recorded_at).total_seconds() if unseen else 0.0
            found[name] = Lag(
                events=max(0, head.position - position), seconds=max(0.0, age)
            )
        return found

    return lags
