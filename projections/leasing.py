"""Leases: who may feed, until when, and with which fence.

A lease is a row that its owner renews at a third of its time on a connection of its
own. Who takes over gets a higher fence and puts it on the checkpoint in the same
transaction, so what a former owner still tries is refused there, whatever its clock
says.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from events.errors import Missing
from projections.checkpoints import Feed
from projections.parking import is_transient
from projections.sql import Pool, Sql


TTL: Final = timedelta(seconds=9)

log = structlog.get_logger()


class LeaseLostError(Exception):
    """Another process has taken over, or the position is not what it was."""


@dataclass
class Lease:
    """The right to move a feed, and where it stands."""

    fence: int
    position: int
    lost: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def leased(
    pool: Pool, feed: Feed, *, owner: UUID, ttl: timedelta = TTL
) -> AsyncIterator[Lease | None]:
    """Hold a feed's lease, or yield None while another owner does."""
    async with pool.acquire() as session, session.transaction():
        lease = await _take(session, feed, owner=owner, ttl=ttl)
    if lease is None:
        yield None
        return
    renewing = asyncio.create_task(_keep(pool, feed, lease, owner=owner, ttl=ttl))
    try:
        yield lease
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await _give_back(pool, feed, lease, owner=owner)


async def _take(sql: Sql, feed: Feed, *, owner: UUID, ttl: timedelta) -> Lease | None:
    fence = await sql.fetchval(
        """
        INSERT INTO es.leases AS held (resource, owner, fence, expires_at)
        VALUES ($1, $2, 1, clock_timestamp() + $3::interval)
        ON CONFLICT (resource) DO UPDATE
        SET owner = excluded.owner,
            fence = held.fence + 1,
            expires_at = excluded.expires_at
        WHERE held.expires_at <= clock_timestamp()
           OR held.owner = excluded.owner
        RETURNING fence
        """,
        str(feed),
        owner,
        ttl,
    )
    if fence is None:
        return None
    position = await sql.fetchval(
        """
        UPDATE es.checkpoints
        SET fence = $3
        WHERE projection = $1
          AND version = $2
        RETURNING position
        """,
        feed.projection,
        feed.build,
        fence,
    )
    if position is None:
        message = f"{feed} has no checkpoint"
        raise Missing(message)
    return Lease(fence=fence, position=position)


async def _keep(
    pool: Pool, feed: Feed, lease: Lease, *, owner: UUID, ttl: timedelta
) -> None:
    while not lease.lost.is_set():
        await asyncio.sleep(ttl.total_seconds() / 3)
        try:
            async with pool.acquire() as session:
                renewed = await _extend(session, feed, lease, owner=owner, ttl=ttl)
        except Exception as error:
            if not is_transient(error):
                lease.lost.set()
                raise
            log.warning("lease_not_renewed", feed=str(feed), error=str(error))
            continue
        if not renewed:
            lease.lost.set()


async def _extend(
    sql: Sql, feed: Feed, lease: Lease, *, owner: UUID, ttl: timedelta
) -> bool:
    status = await sql.execute(
        """
        UPDATE es.leases
        SET expires_at = clock_timestamp() + $4::interval
        WHERE resource = $1
          AND owner = $2
          AND fence = $3
        """,
        str(feed),
        owner,
        lease.fence,
        ttl,
    )
    return status == "UPDATE 1"


async def _give_back(pool: Pool, feed: Feed, lease: Lease, *, owner: UUID) -> None:
    try:
        async with pool.acquire() as session:
            await _extend(session, feed, lease, owner=owner, ttl=timedelta())
    except Exception as error:
        if not is_transient(error):
            raise
        log.warning("lease_not_returned", feed=str(feed), error=str(error))
