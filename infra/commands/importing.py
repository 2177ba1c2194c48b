"""The commands that bring in what was written or recorded elsewhere: import."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from infra.commands.shared import OK, Where, Who, answer, progress, run, screen
from infra.operations.importing import Progress, import_tau_bench
from infra.operations.importing_agentfarm import Report as FarmReport
from infra.operations.importing_agentfarm import import_agentfarm
from infra.operations.importing_playgrounds import Report, import_playgrounds
from infra.operations.importing_tau2 import import_tau2
from infra.operations.scoring import scored
from infra.wiring import caught_up, core, database, projecting, reading


importer: Final = App(
    name="import", help="Import what was written or recorded elsewhere."
)


@importer.command(name="tau-bench")
def tau_bench(
    file: Path,
    *,
    agent: Annotated[
        str | None,
        Parameter(help="The agent's name; the system prompt's first line if none."),
    ] = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Import tau-bench trajectories as a set run; importing twice changes nothing."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="import") as parts,
            projecting(urls, parts),
        ):
            with advancing() as advance:
                summary = await import_tau_bench(
                    file,
                    handler=parts.handler,
                    blobs=parts.blobs,
                    meta=who.meta(settings),
                    agent=agent,
                    progress=advance,
                )
            await caught_up(urls, summary.position)
            async with reading(urls) as reader:
                found = await scored(reader, who.identity(settings), summary)
        answer(where, found, lambda: show(found.lines()))
        return OK

    return run(where, work)


@importer.command(name="tau2")
def tau2(
    file: Path,
    *,
    policy: Annotated[
        Path | None,
        Parameter(help="The policy of the agent under test, as text or Markdown."),
    ] = None,
    agent: Annotated[
        str | None,
        Parameter(help="The agent's name; the policy's first line if none."),
    ] = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Import tau2's tasks as a set of unit tests; importing twice changes nothing."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="import") as parts,
            projecting(urls, parts),
        ):
            with advancing() as advance:
                summary = await import_tau2(
                    file,
                    handler=parts.handler,
                    blobs=parts.blobs,
                    meta=who.meta(settings),
                    policy=policy,
                    agent=agent,
                    progress=advance,
                )
            await caught_up(urls, summary.position)
        answer(where, summary, lambda: show(summary.lines()))
        return OK

    return run(where, work)


@contextmanager
def advancing() -> Iterator[Progress]:
    """Show how far an import is, as it reports."""
    with progress() as bar:
        task = bar.add_task("importing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show(lines: Iterator[str]) -> None:
    """Print a summary."""
    for line in lines:
        screen.print(line, highlight=False, markup=False)


@importer.command(name="playgrounds")
def playgrounds(
    *,
    source: Annotated[
        str,
        Parameter(
            name="--from", help="Address of the other database: postgresql://..."
        ),
    ],
    schema: Annotated[str, Parameter(help="Schema of its tables.")] = "public",
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Import playgrounds and their evaluations from a database; twice changes nothing.

    What does not fit is left out and told.
    """
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="import") as parts,
            projecting(urls, parts),
        ):
            found = await import_playgrounds(
                source, handler=parts.handler, meta=who.meta(settings), schema=schema
            )
            await caught_up(urls, found.position)
        answer(where, found, lambda: show(lines_of(found)))
        return OK

    return run(where, work)


def lines_of(found: Report) -> Iterator[str]:
    """Yield a report as lines for people."""
    yield (
        f"{found.playgrounds} playgrounds, {found.evaluations} evaluations read;"
        f" {found.new_events} new events; {found.refused} left out"
    )
    for problem in found.problems:
        fate = "imported" if problem.imported else "left out"
        yield f"{problem.table} {problem.id} ({fate}): {problem.problem}"


@importer.command(name="agentfarm")
def agentfarm(
    file: Path,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Import the simulations of an AgentFarm SQLite file; twice changes nothing.

    They stand in the tables of experiments, labelled as imported. What does not fit is
    told with its table, row and column.
    """
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="import") as parts,
            projecting(urls, parts),
        ):
            with progress() as bar:
                task = bar.add_task("importing", total=None)
                found = await import_agentfarm(
                    file,
                    handler=parts.handler,
                    meta=who.meta(settings),
                    tell=lambda table, rows: bar.update(
                        task, description=table, completed=rows
                    ),
                )
            await caught_up(urls, found.position)
        answer(where, found, lambda: show(farm_lines(found)))
        return OK

    return run(where, work)


def farm_lines(found: FarmReport) -> Iterator[str]:
    """Yield a report as lines for people."""
    rows = ", ".join(f"{count} {name}" for name, count in found.rows.items())
    yield f"{len(found.simulations)} simulations: {rows}"
    yield f"{found.new_events} new events; {found.left_out} rows left out"
    for each in found.simulations:
        yield f"simulation {each}"
    for problem in found.problems:
        at = f" row {problem.row}" if problem.row else ""
        fate = "imported" if problem.imported else "left out"
        yield f"{problem.table}{at} {problem.column} ({fate}): {problem.problem}"
