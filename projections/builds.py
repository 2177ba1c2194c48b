"""The builds of every projection: which tables hold its rows, and which one is shown.

A build is one physical table, filled once from the log and fed from then on. Builds of
a projection count from 1. The first of a declared version is `<name>__v<version>`; a
rebuild of the same version adds its number, as in `personas__v3b2`. Every change of
state is recorded.

Code declares versions, and the group's feeder compares them with the build that is
shown. The same: it is fed. A lower one is stale: it stays as it is until a build of the
declared version is switched to. A higher one: this code is outdated and feeds nothing.
"""

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from events.errors import Missing, Refused
from projections import ddl
from projections.checkpoints import Feed, begin, end, hold, rearrange
from projections.projection import Group, Projection, Table
from projections.sql import Sql
from projections.views import show
from projections.writing import Target


State = Literal["building", "ready", "live", "stale", "kept", "retired", "dropped"]

SHOWN: Final = ("live", "stale")
FED: Final = ("live", "kept")


class OutdatedCodeError(Exception):
    """A newer version of a read table is live; this process must be upgraded."""


class ShapeChangedError(Refused):
    """The columns of a read table changed without a new version."""


class NotInstalledError(Missing):
    """The read tables of a group are not there yet."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """A physical table of a projection, and how it came about."""

    name: str
    build: int
    feed: str
    version: int
    physical: str
    state: State
    shape: str
    dress: str
    code: str

    @property
    def own_feed(self) -> Feed:
        """Return the feed of the build while its group does not feed it."""
        return Feed(self.name, self.build)


def code_hash(projection: Projection) -> str:
    """Return a hash of the module that turns events into rows."""
    filling = projection.fill
    function = projection.project if filling is None else filling.arrange
    source = inspect.getsource(inspect.getmodule(function) or function)
    return hashlib.sha256(source.encode()).hexdigest()[:32]


async def ensure(sql: Sql, group: Group) -> None:
    """Make what is missing of a group's tables, indexes, policies and views.

    Runs as the projector, in a transaction. A table that is new beside others that
    were fed already stays stale until it is rebuilt. Raises `ShapeChangedError` where
    columns changed without a new version.
    """
    await begin(sql, Feed(group.name))
    position = await hold(sql, Feed(group.name)) or 0
    extensions = await _extensions(sql)
    changed = False
    for projection in group.projections:
        build = await shown(sql, projection.name)
        if build is None:
            await _install(sql, group, projection, position)
            changed = True
        elif build.version == projection.table.version:
            check_shape(build, projection)
            if build.dress != ddl.dress(projection.table, extensions):
                await put_on(sql, build, projection.table)
                await point(sql, build, projection.table)
    if changed:
        await rearrange(sql, Feed(group.name))


async def settle(
    sql: Sql, group: Group, position: int
) -> Mapping[str, Sequence[Target]]:
    """Return the tables to feed for each projection, in a transaction of the feeder.

    Builds that this code cannot feed are let go at `position`. Raises
    `OutdatedCodeError`, `ShapeChangedError` or `NotInstalledError`.
    """
    declared = {projection.name: projection for projection in group.projections}
    builds = await of_group(sql, group.name)
    targets: dict[str, list[Target]] = {name: [] for name in declared}
    for build in builds:
        if build.state not in FED:
            continue
        projection = declared.get(build.name)
        if projection is not None and build.version == projection.table.version:
            check_shape(build, projection)
            targets[build.name].append(Target(projection.table, build.physical))
        elif build.state == "kept":
            await become(sql, build, "retired", position=position, by="feeder")
        elif projection is not None and build.version > projection.table.version:
            message = (
                f"{build.name} is live with version {build.version}, "
                f"and this code declares {projection.table.version}"
            )
            raise OutdatedCodeError(message)
        else:
            await begin(sql, build.own_feed, position)
            await become(sql, build, "stale", position=position, by="feeder")
    missing = declared.keys() - {build.name for build in builds if build.state in SHOWN}
    if missing:
        message = f"{min(missing)} is not installed"
        raise NotInstalledError(message)
    return targets


def check_shape(build: Build, projection: Projection) -> None:
    """Raise `ShapeChangedError` where a build has other columns than are declared."""
    if build.shape != ddl.shape(projection.table):
        message = (
            f"{build.name} has other columns than its version {build.version} "
            "was built with: give it a higher version"
        )
        raise ShapeChangedError(message)


async def create(sql: Sql, group: Group, projection: Projection, *, by: str) -> Build:
    """Make the table of a new build, empty and without indexes, and its checkpoint."""
    build = await _create(sql, group, projection, state="building", by=by, position=0)
    await begin(sql, build.own_feed)
    return build


async def put_on(sql: Sql, build: Build, table: Table) -> None:
    """Put on a build's table the indexes and policies that are declared now."""
    extensions = await _extensions(sql)
    await sql.execute(ddl.drop_other_indexes(table, build.physical, extensions))
    for statement in (
        *ddl.create_indexes(table, build.physical, extensions),
        *ddl.protect(table, build.physical),
    ):
        await sql.execute(statement)


async def analyse(sql: Sql, build: Build, table: Table) -> None:
    """Gather the statistics of a build's table."""
    await sql.execute(f"ANALYZE {ddl.qualified(table, build.physical)}")


async def point(sql: Sql, build: Build, table: Table) -> None:
    """Make the view of a read table show a build that has everything put on."""
    await show(sql, table, build.physical)
    await sql.execute(
        "UPDATE es.projections SET dress = $3 WHERE name = $1 AND build = $2",
        build.name,
        build.build,
        ddl.dress(table, await _extensions(sql)),
    )


async def become(
    sql: Sql, build: Build, state: State, *, position: int, by: str
) -> None:
    """Change a build's state, on record."""
    await sql.execute(
        "UPDATE es.projections SET state = $3 WHERE name = $1 AND build = $2",
        build.name,
        build.build,
        state,
    )
    await _record(
        sql, build.name, build.build, (build.state, state), position=position, by=by
    )


async def shown(sql: Sql, name: str) -> Build | None:
    """Return the build that a projection's view shows."""
    found = [build for build in await of_projection(sql, name) if build.state in SHOWN]
    return found[0] if found else None


async def of_projection(sql: Sql, name: str) -> Sequence[Build]:
    """Return a projection's builds that have a table, the newest first."""
    rows = await sql.fetch(
        """
        SELECT name, build, feed, version, physical, state, shape, dress, code
        FROM es.projections
        WHERE name = $1
          AND state <> 'dropped'
        ORDER BY build DESC
        """,
        name,
    )
    return [Build(**dict(row)) for row in rows]


async def of_group(sql: Sql, group: str) -> Sequence[Build]:
    """Return the builds of a group's projections that have a table, newest first."""
    rows = await sql.fetch(
        """
        SELECT name, build, feed, version, physical, state, shape, dress, code
        FROM es.projections
        WHERE feed = $1
          AND state <> 'dropped'
        ORDER BY name, build DESC
        """,
        group,
    )
    return [Build(**dict(row)) for row in rows]


async def drop(sql: Sql, build: Build, table: Table, *, by: str) -> None:
    """Drop a build that is not shown, with all that waits for it."""
    if build.state in SHOWN:
        message = f"{build.name} is shown from {build.physical}: switch first"
        raise Refused(message)
    position = await hold(sql, Feed(build.feed)) or 0
    await sql.execute(f"DROP TABLE {ddl.qualified(table, build.physical)}")
    await end(sql, build.own_feed)
    for parking in ("parked", "diverted"):
        await sql.execute(
            f"DELETE FROM es.{parking} WHERE projection = $1 AND version = $2",  # noqa: S608 - our own names
            build.name,
            build.build,
        )
    await become(sql, build, "dropped", position=position, by=by)
    await rearrange(sql, Feed(build.feed))


async def _install(
    sql: Sql, group: Group, projection: Projection, position: int
) -> None:
    state: State = "stale" if position else "live"
    table = projection.table
    build = await _create(
        sql, group, projection, state=state, by="ensure", position=position
    )
    if position:
        await begin(sql, build.own_feed)
    await put_on(sql, build, table)
    await point(sql, build, table)


async def _create(
    sql: Sql,
    group: Group,
    projection: Projection,
    *,
    state: State,
    by: str,
    position: int,
) -> Build:
    table = projection.table
    last, same = await sql.fetchrow(
        """
        SELECT
            coalesce(max(build), 0),
            count(*) FILTER (WHERE version = $2)
        FROM es.projections
        WHERE name = $1
        """,
        projection.name,
        table.version,
    )
    number = last + 1
    build = Build(
        name=projection.name,
        build=number,
        feed=group.name,
        version=table.version,
        physical=f"{table.physical}b{number}" if same else table.physical,
        state=state,
        shape=ddl.shape(table),
        dress="",
        code=code_hash(projection),
    )
    await sql.execute(ddl.create_table(table, build.physical))
    await sql.execute(
        """
        INSERT INTO es.projections
            (name, build, feed, version, physical, state, shape, dress, code)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        build.name,
        build.build,
        build.feed,
        build.version,
        build.physical,
        build.state,
        build.shape,
        build.dress,
        build.code,
    )
    await _record(sql, build.name, build.build, (None, state), position=position, by=by)
    return build


async def _record(
    sql: Sql,
    name: str,
    build: int,
    change: tuple[State | None, State],
    *,
    position: int,
    by: str,
) -> None:
    await sql.execute(
        """
        INSERT INTO es.transitions (name, build, was, became, position, by)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        name,
        build,
        *change,
        position,
        by,
    )


async def _extensions(sql: Sql) -> Sequence[str]:
    rows = await sql.fetch("SELECT extname FROM pg_extension")
    return [row["extname"] for row in rows]
