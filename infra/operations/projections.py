"""What operators do with read tables: list, rebuild, compare, switch, drop, unpark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from events.errors import Missing
from projections import builds, parking
from projections.builds import FED, Build, code_hash
from projections.checkpoints import Feed, checkpoint, position_of
from projections.digest import Difference
from projections.parking import Parked
from projections.projection import Group, Groups, Projection
from projections.rebuilding import Rebuilding, build_feeder
from projections.runner import Skip, Source, group_feeder
from projections.sql import Pool, Sql


class BuildStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A table that holds or held a projection's rows, and how far it has come.

    `position` and `behind`, in events, are None for a table that nothing feeds again.
    `code_changed`: the module that turns events into rows is not the one that made it.
    """

    build: int
    table: str
    version: int
    state: str
    position: int | None
    behind: int | None
    code_changed: bool


class ProjectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A read table and its builds, the newest first; `parked` counts its group's keys.

    `version` is the one that the code declares.
    """

    name: str
    group: str
    version: int
    parked: int
    builds: list[BuildStatus]


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a parked key: `left` is still parked, the first with its error."""

    feed: str
    build: int
    key: str
    left: list[Parked]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rebuild of a projection is, in positions of the log."""

    name: str
    done: int
    total: int


def silent(_progress: Progress) -> None:
    """Tell nobody of progress."""


@dataclass(frozen=True, kw_only=True)
class ProjectionOperations:
    """The operations on the read tables of some groups.

    `by` is who asks, for the record; `owner` is this process's own. The pool is the
    projector's, has at least five connections, and its timeouts allow for the longest
    build of an index and the longest comparison.
    """

    pool: Pool
    source: Source
    groups: Groups
    owner: UUID
    by: str

    async def listing(self, head: int) -> list[ProjectionStatus]:
        """Return every read table, how far it is behind a head, and its builds."""
        async with self.pool.acquire() as session:
            return [
                await _status(session, group, projection, head)
                for group in self.groups.values()
                for projection in group.projections
            ]

    async def rebuild(
        self,
        names: Sequence[str] = (),
        *,
        switch: bool = False,
        tell: Callable[[Progress], None] = silent,
    ) -> list[Build]:
        """Rebuild projections (all unless named), and switch to them if told to.

        Raises `Missing` for a name that there is not, before anything is rebuilt.
        """
        rebuilt = []
        for group, projection in self._chosen(names):
            rebuilding = self._rebuilding(group, projection)

            def progress(done: int, total: int, name: str = projection.name) -> None:
                tell(Progress(name=name, done=done, total=total))

            build = await rebuilding.rebuild(progress)
            rebuilt.append(await rebuilding.switch(build.build) if switch else build)
        return rebuilt

    async def diff(self, name: str, build: int | None = None) -> Difference:
        """Compare a build (the newest unless told) with the one that is shown."""
        return await self._rebuilding(*self._one(name)).diff(build)

    async def check(
        self,
        names: Sequence[str] = (),
        *,
        tell: Callable[[Progress], None] = silent,
    ) -> list[Difference]:
        """Compare projections (all unless named) with rebuilds that are then dropped.

        Raises as `rebuild` and `diff` do.
        """
        differences = []
        for build in await self.rebuild(names, tell=tell):
            differences.append(await self.diff(build.name, build.build))
            await self.drop(build.name, build.build)
        return differences

    async def switch(self, name: str, build: int | None = None) -> Build:
        """Show a build (the newest unless told) from now on."""
        return await self._rebuilding(*self._one(name)).switch(build)

    async def drop(self, name: str, build: int | None = None) -> Sequence[Build]:
        """Drop a build that is not shown, or all of them."""
        return await self._rebuilding(*self._one(name)).drop(build)

    async def parked(
        self, feed: str | None = None, *, waiting: bool = False
    ) -> Sequence[Parked]:
        """Return what could not be applied, of one feed or of all.

        A feed is a group, or a projection that is being rebuilt. With `waiting` also
        the events behind those. Raises `Missing` for a feed that there is not.
        """
        if feed is not None:
            self._check_feed(feed)
        async with self.pool.acquire() as session:
            return await parking.parked(session, feed, waiting=waiting)

    async def retry(
        self, feed: str, key: str | None = None, *, build: int = 0
    ) -> list[Retried]:
        """Apply a key's parked events (those of every key unless told) in order.

        Raises `Missing` where nothing is parked under the key, or there is no such
        feed.
        """
        self._check_feed(feed)
        if key is not None:
            return [await self._retry(Feed(feed, build), key, None)]
        async with self.pool.acquire() as session:
            keys = await parking.keys(session, Feed(feed, build))
        return [await self._retry(Feed(feed, build), each, None) for each in keys]

    async def skip(
        self, feed: str, key: str, *, reason: str, build: int = 0
    ) -> Retried:
        """Leave a key's first parked event out for good, and apply the rest.

        Raises `Missing` where nothing is parked under the key.
        """
        skip = Skip(by=self.by, reason=reason)
        return await self._retry(Feed(feed, build), key, skip)

    async def _retry(self, feed: Feed, key: str, skip: Skip | None) -> Retried:
        async with self.pool.acquire() as session:
            if feed.build:
                group, projection = self._one(feed.projection)
                found = await builds.of_projection(session, feed.projection)
                build = next((each for each in found if each.own_feed == feed), None)
                if build is None:
                    message = f"{feed.projection} has no build {feed.build}."
                    raise Missing(message)
                feeder = build_feeder(group, projection, build)
            else:
                feeder = group_feeder(self._group(feed.projection))
            left = await feeder.retry(session, self.source, key, skip)
        return Retried(feed=feed.projection, build=feed.build, key=key, left=list(left))

    def _check_feed(self, feed: str) -> None:
        names = {projection.name for _, projection in self._chosen(())}
        if feed not in self.groups and feed not in names:
            message = f"There is no group {feed!r}, and no projection of that name."
            raise Missing(message)

    def _rebuilding(self, group: Group, projection: Projection) -> Rebuilding:
        return Rebuilding(
            group, projection, self.source, self.pool, owner=self.owner, by=self.by
        )

    def _chosen(self, names: Sequence[str]) -> list[tuple[Group, Projection]]:
        if names:
            return [self._one(name) for name in names]
        return [
            (group, projection)
            for group in self.groups.values()
            for projection in group.projections
        ]

    def _one(self, name: str) -> tuple[Group, Projection]:
        for group in self.groups.values():
            for projection in group.projections:
                if projection.name == name:
                    return group, projection
        message = f"There is no projection {name!r}."
        raise Missing(message)

    def _group(self, name: str) -> Group:
        group = self.groups.get(name)
        if group is None:
            message = f"There is no group {name!r}."
            raise Missing(message)
        return group


async def _status(
    sql: Sql, group: Group, projection: Projection, head: int
) -> ProjectionStatus:
    code = code_hash(projection)
    found = await builds.of_projection(sql, projection.name)
    return ProjectionStatus(
        name=projection.name,
        group=group.name,
        version=projection.table.version,
        parked=len(await parking.keys(sql, Feed(group.name))),
        builds=[await _build_status(sql, build, code, head) for build in found],
    )


async def _build_status(sql: Sql, build: Build, code: str, head: int) -> BuildStatus:
    position = await _position(sql, build)
    return BuildStatus(
        build=build.build,
        table=build.physical,
        version=build.version,
        state=build.state,
        position=position,
        behind=None if position is None else max(head - position, 0),
        code_changed=build.code != code,
    )


async def _position(sql: Sql, build: Build) -> int | None:
    if build.state == "retired":
        return None
    if build.state in FED:
        return await checkpoint(sql, build.feed)
    return await position_of(sql, build.own_feed)
