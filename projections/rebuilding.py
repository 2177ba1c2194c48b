"""Rebuilds a read table beside the one that is shown, and switches when told to.

A rebuild makes a new table, fills it from the first event under a checkpoint of its
own, puts the indexes on, and runs it up to where its group is; it is then `ready`. A
rebuild that was broken off goes on where it stopped, unless the code has changed.

To compare and to switch, the group is held for as long as the new build needs to reach
its position. A switch is one transaction: the group is held, both stand at the same
position, the view shows the new build with everything that depends on it, and the group
feeds both from its next page on. The former build is kept, so the same switch leads
back; `drop` ends that.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from events.errors import Missing, Refused, Unavailable
from projections import builds, ddl, parking
from projections.builds import FED, Build, State, code_hash
from projections.checkpoints import (
    Feed,
    checkpoint,
    end,
    hold,
    rearrange,
)
from projections.digest import Difference, compare
from projections.leasing import TTL
from projections.projection import Group, Projection
from projections.runner import PAGE, Feeder, Runner, Source, Targets
from projections.sql import Pool, Session, Sql
from projections.writing import Target


LOCK_TIMEOUT: Final = "2s"
LOCK_NOT_AVAILABLE: Final = "55P03"
TRIES: Final = 5
BETWEEN_TRIES: Final = 1.0  # seconds

Progress = Callable[[int, int], None]

log = structlog.get_logger()


def build_feeder(group: Group, projection: Projection, build: Build) -> Feeder:
    """Return the feeder of a build that its group does not feed."""

    async def load(_sql: Sql, _position: int) -> Targets:
        return {build.name: [Target(projection.table, build.physical)]}

    return Feeder(build.own_feed, [projection], load, given=Feed(group.name))


class Rebuilding:
    """The builds of one projection: fill one, compare it, switch to it, drop it.

    `by` is who asks, for the record; `owner` is this process's own. Progress is told
    as (positions done, positions in all). The pool needs four connections.
    """

    def __init__(
        self,
        group: Group,
        projection: Projection,
        source: Source,
        pool: Pool,
        *,
        owner: UUID,
        by: str,
        ttl: timedelta = TTL,
        page: int = PAGE,
    ) -> None:
        self._group = group
        self._feed = Feed(group.name)
        self._projection = projection
        self._table = projection.table
        self._source = source
        self._pool = pool
        self._owner = owner
        self._by = by
        self._ttl = ttl
        self._page = page

    async def rebuild(self, progress: Progress | None = None) -> Build:
        """Fill a new build up to where the group is, and return it, ready."""
        build = await self._begin()
        await self._run(build, progress)
        await self._finish(build)
        await self._run(build, progress)
        return await self._find(build.build)

    async def diff(self, number: int | None = None) -> Difference:
        """Compare a build (the newest unless told) with the one shown, row by row.

        Raises `Missing` where there is no such build, and `Refused` where the one that
        is shown is not fed, so that the two are never at the same position.
        """
        build = await self._find(number)
        await self._run(build)
        async with (
            self._pool.acquire() as holding,
            self._pool.acquire() as reading,
            reading.transaction(isolation="repeatable_read", readonly=True),
        ):
            async with holding.transaction():
                position = await self._level(holding, build)
                # The first query takes the snapshot that the comparison sees.
                shown = await builds.shown(reading, build.name)
            if shown is None or shown.state == "stale":
                message = (
                    f"{build.name} shows a build that is not fed, "
                    "so there is no position at which to compare"
                )
                raise Refused(message)
            return await compare(reading, self._table, shown, build, position)

    async def switch(self, number: int | None = None) -> Build:
        """Show a build (the newest unless told) from now on, and return it.

        Raises `Missing` where there is no such build, `Refused` where events are
        parked, and `Unavailable` where queries hold the view for too long.
        """
        for _ in range(TRIES):
            build = await self._find(number)
            await self._run(build)
            try:
                async with self._pool.acquire() as session, session.transaction():
                    await session.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                    position = await self._level(session, build)
                    await self._exchange(session, build, position)
            except Exception as error:
                if getattr(error, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                    raise
                log.warning("switch_delayed", projection=build.name)
                await asyncio.sleep(BETWEEN_TRIES)
                continue
            log.info(
                "projection_switched",
                projection=build.name,
                table=build.physical,
                position=position,
                by=self._by,
            )
            return await self._find(build.build)
        message = f"queries hold {self._projection.name}; switch again later"
        raise Unavailable(message)

    async def drop(self, number: int | None = None) -> Sequence[Build]:
        """Drop a build that is not shown, or all of them, and return what was."""
        async with self._pool.acquire() as session, session.transaction():
            await session.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            await hold(session, self._feed)
            found = await builds.of_projection(session, self._projection.name)
            chosen = [
                build
                for build in found
                if build.build == number
                or (number is None and build.state not in builds.SHOWN)
            ]
            if not chosen:
                raise self._no_build(number)
            for build in chosen:
                await builds.drop(session, build, self._table, by=self._by)
        return chosen

    async def _begin(self) -> Build:
        """Return the build to fill: one that was broken off, or a new one."""
        name = self._projection.name
        async with self._pool.acquire() as session, session.transaction():
            if await hold(session, self._feed) is None:
                message = f"{name} is not installed"
                raise Missing(message)
            broken_off = None
            for build in await builds.of_projection(session, name):
                if build.state == "building" and self._is_ours(build):
                    broken_off = build
                elif build.state in ("building", "ready"):
                    await builds.drop(session, build, self._table, by=self._by)
            return broken_off or await builds.create(
                session, self._group, self._projection, by=self._by
            )

    def _is_ours(self, build: Build) -> bool:
        """Say whether a build is being filled by this very code."""
        return (build.version, build.shape, build.code) == (
            self._table.version,
            ddl.shape(self._table),
            code_hash(self._projection),
        )

    async def _run(self, build: Build, progress: Progress | None = None) -> None:
        """Run a build up to where its group is."""
        async with self._pool.acquire() as session:
            upto = await checkpoint(session, self._group.name)
        await self._catch_up(build, upto, progress)

    async def _catch_up(
        self, build: Build, upto: int, progress: Progress | None = None
    ) -> None:
        if build.state in FED:
            return

        runner = Runner(
            build_feeder(self._group, self._projection, build),
            self._source,
            self._pool,
            owner=self._owner,
            ttl=self._ttl,
            page=self._page,
        )
        told = None if progress is None else lambda done: progress(done, upto)
        await runner.catch_up(upto, told)

    async def _finish(self, build: Build) -> None:
        """Put everything on a filled build."""
        async with self._pool.acquire() as session, session.transaction():
            position = await hold(session, build.own_feed)
            found = await self._find_in(session, build.build)
            if found.state == "building" and position is not None:
                await builds.put_on(session, found, self._table)
                await builds.analyse(session, found, self._table)
                await self._become(session, found, "ready", position)

    async def _level(self, session: Session, build: Build) -> int:
        """Hold the group until the transaction ends, with a build at its position."""
        position = await hold(session, self._feed)
        if position is None:
            message = f"{build.name} is not installed"
            raise Missing(message)
        await self._catch_up(build, position)
        return position

    async def _exchange(self, sql: Sql, build: Build, position: int) -> None:
        """Show a build that is level, and keep or retire the former one."""
        build = await self._find_in(sql, build.build)
        await self._check_parked(sql, build)
        former = await builds.shown(sql, build.name)
        if build.state not in FED:
            reached = await hold(sql, build.own_feed)
            if reached != position:
                message = f"{build.name} is at {reached}, its group at {position}"
                raise Unavailable(message)
            await end(sql, build.own_feed)
        if former is not None:
            kept = former.state == "live" and former.version == build.version
            await end(sql, former.own_feed)
            await self._become(sql, former, "kept" if kept else "retired", position)
        await builds.put_on(sql, build, self._table)
        await builds.point(sql, build, self._table)
        await self._become(sql, build, "live", position)
        await rearrange(sql, self._feed)

    async def _check_parked(self, sql: Sql, build: Build) -> None:
        for feed in (self._feed, build.own_feed):
            keys = await parking.keys(sql, feed)
            if keys:
                message = (
                    f"{feed} has parked {len(keys)} keys: retry or skip them first"
                )
                raise Refused(message)

    async def _become(
        self, sql: Sql, build: Build, state: State, position: int
    ) -> None:
        await builds.become(sql, build, state, position=position, by=self._by)

    async def _find(self, number: int | None) -> Build:
        async with self._pool.acquire() as session:
            return await self._find_in(session, number)

    async def _find_in(self, sql: Sql, number: int | None) -> Build:
        """Return a build of this code's version, the newest that can be shown."""
        for build in await builds.of_projection(sql, self._projection.name):
            wanted = (
                build.state in ("ready", "kept")
                if number is None
                else build.build == number
            )
            if wanted:
                if build.version != self._table.version or build.state == "retired":
                    message = (
                        f"build {build.build} of {build.name} has version "
                        f"{build.version} and is {build.state}: rebuild it"
                    )
                    raise Refused(message)
                builds.check_shape(build, self._projection)
                return build
        raise self._no_build(number)

    def _no_build(self, number: int | None) -> Missing:
        which = "no other build" if number is None else f"no build {number}"
        return Missing(f"{self._projection.name} has {which}: rebuild it first")
