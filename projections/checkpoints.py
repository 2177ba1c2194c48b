"""How far a feed has come: one row, moved by compare-and-set in the page's transaction.

A move names the position that it leaves and the fence of its lease; where either is
not so any more nothing moves, and the page is rolled back. The move is the first
statement of the transaction: it locks the row, so that a feeder that lost its lease
stops before it writes, and whoever holds the row knows that nothing is being fed.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from projections.sql import Pool, Sql


FIRST_POLL: Final = 0.002  # seconds
LAST_POLL: Final = 0.025


@dataclass(frozen=True)
class Feed:
    """What has a checkpoint: a group, or with its number a build of a projection."""

    projection: str
    build: int = 0

    def __str__(self) -> str:
        return f"{self.projection}#{self.build}" if self.build else self.projection


async def checkpoint(sql: Sql, group: str) -> int:
    """Return the position up to which a group's read tables show the log."""
    return await position_of(sql, Feed(group))


async def position_of(sql: Sql, feed: Feed) -> int:
    """Return a feed's position, 0 where it has none."""
    position = await sql.fetchval(
        """
        SELECT position
        FROM es.checkpoints
        WHERE projection = $1
          AND version = $2
        """,
        feed.projection,
        feed.build,
    )
    return position or 0


async def begin(sql: Sql, feed: Feed, position: int = 0) -> None:
    """Make a feed's checkpoint, if it has none."""
    await sql.execute(
        """
        INSERT INTO es.checkpoints (projection, version, position)
        VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        """,
        feed.projection,
        feed.build,
        position,
    )


async def end(sql: Sql, feed: Feed) -> None:
    """Delete a feed's checkpoint."""
    await sql.execute(
        "DELETE FROM es.checkpoints WHERE projection = $1 AND version = $2",
        feed.projection,
        feed.build,
    )


async def move(sql: Sql, feed: Feed, *, old: int, new: int, fence: int) -> int | None:
    """Move a feed's position and return its layout, or None where it was lost.

    The transaction does not wait for the disk: a crash takes its rows and its position
    together, and the page is fed again.
    """
    layout: int | None = await sql.fetchval(
        """
        UPDATE es.checkpoints
        SET position = $5
        WHERE projection = $1
          AND version = $2
          AND position = $3
          AND fence = $4
        RETURNING layout, set_config('synchronous_commit', 'off', true)
        """,
        feed.projection,
        feed.build,
        old,
        fence,
        new,
    )
    return layout


async def hold(sql: Sql, feed: Feed) -> int | None:
    """Stop a feed until the transaction ends, and return its position, if any."""
    position: int | None = await sql.fetchval(
        """
        SELECT position
        FROM es.checkpoints
        WHERE projection = $1
          AND version = $2
        FOR UPDATE
        """,
        feed.projection,
        feed.build,
    )
    return position


async def rearrange(sql: Sql, feed: Feed) -> None:
    """Tell a feed's feeder that what is fed has changed."""
    await sql.execute(
        """
        UPDATE es.checkpoints
        SET layout = layout + 1
        WHERE projection = $1
          AND version = $2
        """,
        feed.projection,
        feed.build,
    )


class Watch:
    """Waits for groups to reach positions; those who wait together share the polls."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._polls: dict[str, asyncio.Task[int]] = {}

    async def wait_for(self, group: str, position: int, seconds: float) -> int:
        """Return a group's position once it is at `position`, or after `seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        pause = FIRST_POLL
        while True:
            reached = await self._poll(group)
            left = deadline - loop.time()
            if reached >= position or left <= 0:
                return reached
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, LAST_POLL)

    async def _poll(self, group: str) -> int:
        poll = self._polls.get(group)
        if poll is None:
            poll = asyncio.ensure_future(self._ask(group))
            self._polls[group] = poll
            poll.add_done_callback(lambda done: self._end(group, done))
        return await asyncio.shield(poll)

    def _end(self, group: str, poll: asyncio.Task[int]) -> None:
        del self._polls[group]
        if not poll.cancelled():
            poll.exception()  # seen, even where nobody waits any more

    async def _ask(self, group: str) -> int:
        async with self._pool.acquire() as session:
            return await checkpoint(session, group)
