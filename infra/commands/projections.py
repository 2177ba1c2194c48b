"""Commands for the read tables: list, rebuild, diff, switch, drop, unpark."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Final

from cyclopts import App, Parameter
from rich.progress import TaskID
from rich.table import Table as Grid

from events.errors import Malformed
from infra.commands.shared import (
    FAILED,
    OK,
    OPERATOR,
    Where,
    answer,
    progress,
    run,
    screen,
)
from infra.operations.projections import (
    Progress,
    ProjectionOperations,
    ProjectionStatus,
    Retried,
)
from infra.settings import Settings
from infra.wiring import Core, core, database, operating


projections: Final = App(
    name="projections", help="List, rebuild, compare and switch read tables."
)

Feed = Annotated[str, Parameter(help="A group, or a projection being rebuilt.")]
BuildNumber = Annotated[int | None, Parameter(help="Which build; the newest if none.")]


@asynccontextmanager
async def operations(
    settings: Settings,
) -> AsyncIterator[tuple[ProjectionOperations, Core]]:
    """Open the operations on the read tables, and the log that they follow."""
    async with (
        database(settings) as urls,
        core(settings, urls, name="projections") as parts,
        operating(urls, parts, by=OPERATOR) as opened,
    ):
        yield opened, parts


@projections.command(name="list")
def list_projections(*, where: Where = Where()) -> int:  # noqa: B008 - frozen
    """List the read tables, their builds, and how far each is behind the log."""
    settings = where.settings()

    async def work() -> int:
        async with operations(settings) as (opened, parts):
            head = await parts.log.head()
            found = await opened.listing(head.position)
        answer(where, {"projections": found}, lambda: _print_listing(found))
        return OK

    return run(where, work)


@projections.command
def rebuild(
    *names: str,
    where: Where = Where(),  # noqa: B008 - frozen
    all: Annotated[bool, Parameter(negative="", help="Every one.")] = False,  # noqa: A002 - the option's name
    switch: Annotated[
        bool, Parameter(negative="", help="Show the new builds when they are ready.")
    ] = False,
) -> int:
    """Fill new builds of read tables from the log, beside those that are shown."""
    settings = where.settings()

    async def work() -> int:
        if bool(names) == all:
            raise Malformed("Name the projections to rebuild, or give --all.")
        async with operations(settings) as (opened, _):
            with progress() as bar:
                tasks: dict[str, TaskID] = {}

                def tell(told: Progress) -> None:
                    if told.name not in tasks:
                        tasks[told.name] = bar.add_task(told.name)
                    bar.update(tasks[told.name], completed=told.done, total=told.total)

                builds = await opened.rebuild(names, switch=switch, tell=tell)
        told = [
            {
                "name": build.name,
                "build": build.build,
                "table": build.physical,
                "state": build.state,
            }
            for build in builds
        ]

        def show() -> None:
            for build in builds:
                screen.print(
                    f"{build.name}: {build.physical} {build.state}", highlight=False
                )

        answer(where, {"builds": told}, show)
        return OK

    return run(where, work)


@projections.command
def diff(
    name: str,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    build: BuildNumber = None,
) -> int:
    """Compare a build with the one that is shown, row by row at an equal position."""
    settings = where.settings()

    async def work() -> int:
        async with operations(settings) as (opened, _):
            found = await opened.diff(name, build)

        def show() -> None:
            verdict = "equal" if found.equal else "DIFFERENT"
            screen.print(
                f"{found.name} at {found.position}: {verdict}; {found.rows} rows, "
                f"{found.missing} missing, {found.extra} extra, "
                f"{found.changed} changed",
                highlight=False,
            )
            for row in found.first:
                screen.print(str(row), highlight=False, markup=False)

        answer(where, {"equal": found.equal, "difference": found}, show)
        return OK if found.equal else FAILED

    return run(where, work)


@projections.command
def switch(
    name: str,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    build: BuildNumber = None,
) -> int:
    """Show a build from now on; the former one is kept, so this also leads back."""
    settings = where.settings()

    async def work() -> int:
        async with operations(settings) as (opened, _):
            found = await opened.switch(name, build)
        answer(
            where,
            {"name": found.name, "build": found.build, "table": found.physical},
            lambda: screen.print(f"{found.name} shows {found.physical}"),
        )
        return OK

    return run(where, work)


@projections.command
def drop(
    name: str,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    build: BuildNumber = None,
) -> int:
    """Drop a build that is not shown, or all of them."""
    settings = where.settings()

    async def work() -> int:
        async with operations(settings) as (opened, _):
            dropped = await opened.drop(name, build)
        tables = [each.physical for each in dropped]
        answer(
            where,
            {"dropped": tables},
            lambda: screen.print(f"dropped {', '.join(tables)}"),
        )
        return OK

    return run(where, work)


@projections.command
def parked(
    feed: Annotated[str | None, Parameter(help="One feed; all if none.")] = None,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    waiting: Annotated[
        bool, Parameter(negative="", help="Also the events that wait behind.")
    ] = False,
) -> int:
    """List the events that could not be applied, and why."""
    settings = where.settings()

    async def work() -> int:
        async with operations(settings) as (opened, _):
            found = await opened.parked(feed, waiting=waiting)

        def show() -> None:
            for each in found:
                screen.print(str(each), highlight=False, markup=False)
            if not found:
                screen.print("Nothing is parked.")

        answer(where, {"parked": found}, show)
        return OK

    return run(where, work)


@projections.command
def retry(
    feed: Feed,
    key: Annotated[str | None, Parameter(help="One key; all if none.")] = None,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    build: Annotated[int, Parameter(help="The build, where one is rebuilt.")] = 0,
) -> int:
    """Apply parked events again, each key's in order."""

    async def ask(opened: ProjectionOperations) -> list[Retried]:
        return await opened.retry(feed, key, build=build)

    return _unpark(where, ask)


@projections.command
def skip(
    feed: Feed,
    key: str,
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")],
    where: Where = Where(),  # noqa: B008 - frozen
    build: Annotated[int, Parameter(help="The build, where one is rebuilt.")] = 0,
) -> int:
    """Leave a key's first parked event out for good, on record, and apply the rest."""

    async def ask(opened: ProjectionOperations) -> list[Retried]:
        return [await opened.skip(feed, key, reason=reason, build=build)]

    return _unpark(where, ask)


def _unpark(
    where: Where, ask: Callable[[ProjectionOperations], Awaitable[list[Retried]]]
) -> int:
    settings = where.settings()

    async def work() -> int:
        async with operations(settings) as (opened, _):
            found = await ask(opened)

        def show() -> None:
            for each in found:
                left = f"{len(each.left)} still parked" if each.left else "applied"
                screen.print(f"{each.key}: {left}", highlight=False, markup=False)

        answer(where, {"retried": found}, show)
        return FAILED if any(each.left for each in found) else OK

    return run(where, work)


def _print_listing(found: list[ProjectionStatus]) -> None:
    grid = Grid("projection", "build", "table", "state", "position", "behind", "parked")
    for status in found:
        for build in status.builds:
            grid.add_row(
                status.name,
                str(build.build),
                build.table,
                build.state + (" (code changed)" if build.code_changed else ""),
                str(build.position),
                str(build.behind),
                str(status.parked),
            )
    screen.print(grid)
