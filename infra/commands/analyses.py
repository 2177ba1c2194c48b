"""Commands about what recorded populations say: analyse a run, compare conditions."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table as Grid

from events.errors import Malformed
from infra.calculating import Calculator
from infra.commands.shared import OK, Where, Who, answer, run, screen
from infra.operations.experimenting import Experiments
from infra.operations.exporting import demand_free
from infra.operations.reporting import asked_of, write
from infra.wiring import core, database, reading
from services.experiments.analysis.results import Analysis, Contrasts, Interval
from services.http.experiments import completed, experiment_row, without_agents
from services.http.recordings import Recordings
from services.http.reports import decoded


NO_LIMIT: Final = 1 << 40
MINUTES: Final = 600.0  # seconds that drawing may take
SEVERITY: Final = Number(gte=0, lte=1)


def analyse(
    run_id: UUID,
    *,
    least_severity: Annotated[
        float, Parameter(help="Least severity of events to tell.", validator=SEVERITY)
    ] = 0.0,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Show what the recorded rows of a simulation say; null was not recorded.

    A simulation that was recorded or imported is asked the same; `gaps` names what is
    not answered, and what that takes.
    """
    from services.experiments.analysis.recorded import recorded  # noqa: PLC0415 - numpy and scipy take seconds to import
    from services.experiments.analysis.report import analyse as answers  # noqa: PLC0415

    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="analyses") as parts,
        ):
            recordings = Recordings(log=parts.log, blobs=parts.blobs, largest=NO_LIMIT)
            held = await recordings.read(run_id, org_id=who.org)
        found = answers(recorded(held), least_severity=least_severity)
        answer(where, found, lambda: print_analysis(found))
        return OK

    return run(where, work)


def compare(
    experiment_id: UUID,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Compare the first condition of an experiment with each other, over its runs."""
    from services.experiments.analysis.contrasts import contrasts  # noqa: PLC0415 - numpy and scipy take seconds to import

    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="analyses") as parts,
            reading(urls) as reader,
        ):
            recordings = Recordings(log=parts.log, blobs=parts.blobs)
            identity = who.identity(settings)
            await experiment_row(reader, identity, experiment_id)
            keys = await completed(reader, identity, experiment_id)
            runs = await without_agents(recordings, identity.org_id, keys)
        found = contrasts(runs)
        answer(where, found, lambda: print_contrasts(found))
        return OK

    return run(where, work)


def report(
    identifier: UUID,
    *,
    html: Annotated[
        Path | None, Parameter(help="The page to write; it must not be there.")
    ] = None,
    png: Annotated[
        Path | None, Parameter(help="The folder of images to make; likewise.")
    ] = None,
    step: Annotated[
        int | None, Parameter(help="Step of the map.", validator=Number(gte=0))
    ] = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Draw what a simulation or the runs of an experiment say, as a page or as images.

    The page needs no network. Population, births and deaths, resources, rewards and
    diversity are always there; the mix of actions and the map where they were captured.
    """
    settings = where.settings()

    async def work() -> int:
        if html is None and png is None:
            raise Malformed("Say where to: --html FILE, --png FOLDER, or both.")
        for path in filter(None, (html, png)):
            demand_free(path)
        async with (
            database(settings) as urls,
            core(settings, urls, name="analyses") as parts,
            reading(urls) as reader,
        ):
            asked = await asked_of(
                Experiments(parts.log, who.org),
                reader,
                Recordings(log=parts.log, blobs=parts.blobs, largest=NO_LIMIT),
                who.identity(settings),
                identifier,
                step=step,
            )
        calculator = Calculator(seconds=MINUTES)
        made = await calculator.report(asked.subject, asked.runs, asked.whole)
        found = await asyncio.to_thread(write, decoded(made), html, png)
        answer(where, found, lambda: print_report(found))
        return OK

    return run(where, work)


def print_report(found: Mapping[str, Sequence[str]]) -> None:
    """Print what was written, for people."""
    for path in found["files"]:
        screen.print(path, highlight=False)


def print_analysis(found: Analysis) -> None:
    """Print an analysis for people."""
    if found.population is not None:
        grid = Grid("type", "first", "last", "peak", "at step", "extinct", "mean share")
        for size in (found.population.total, *found.population.types):
            grid.add_row(
                size.agent_type,
                str(size.initial),
                str(size.final),
                str(size.peak),
                str(size.peak_step),
                "" if size.extinct_step is None else str(size.extinct_step),
                figure(size.mean_share),
            )
        screen.print(grid)
    if found.survival is not None:
        grid = Grid("lives of", "agents", "alive", "mean life", "median")
        survival = found.survival
        for life in (survival.overall, *survival.by_type):
            grid.add_row(
                life.group,
                str(life.n),
                str(life.alive.count),
                figure(life.restricted_mean),
                figure(life.median),
            )
        screen.print(grid)
    if found.dominance is not None:
        grid = Grid("type", "composite dominance")
        for score in found.dominance.scores:
            grid.add_row(score.agent_type, figure(score.composite))
        screen.print(grid)
    if found.behaviour is not None:
        grid = Grid("action", "count", "share", "success", "mean reward")
        for each in found.behaviour.actions:
            grid.add_row(
                each.action_type,
                str(each.share.count),
                worded(each.share.share, each.share.interval),
                figure(each.success.share),
                ""
                if each.reward is None
                else worded(each.reward.mean, each.reward.interval),
            )
        screen.print(grid)
    told = [
        f"step {event.step}: {event.kind} of {event.subject},"
        f" {event.before:g} to {event.after:g}, severity {event.severity:.2f}"
        for event in found.events
    ]
    told += [
        f"not answered: {gap.question}, which takes {gap.takes}" for gap in found.gaps
    ]
    for line in told:
        screen.print(line, highlight=False)


def print_contrasts(found: Contrasts) -> None:
    """Print comparisons for people."""
    for contrast in found.contrasts:
        compared = contrast.comparison
        screen.print(
            f"{told(contrast.first)} ({compared.first_runs} runs) less"
            f" {told(contrast.second)} ({compared.second_runs} runs)"
            f"{', paired by seed' if compared.paired else ''}",
            markup=False,
            highlight=False,
        )
        grid = Grid("figure", "first", "second", "difference", "effect", "p, corrected")
        for each in compared.differences:
            grid.add_row(
                each.figure,
                "" if each.first is None else figure(each.first.mean),
                "" if each.second is None else figure(each.second.mean),
                worded(each.difference, each.interval),
                figure(each.effect),
                figure(each.corrected),
            )
        screen.print(grid)
    screen.print(
        f"{found.runs} runs of {len(found.conditions)} conditions", highlight=False
    )


def told(parameters: dict[str, Any]) -> str:
    """Return a condition for people."""
    said = ", ".join(f"{path}={value}" for path, value in parameters.items())
    return said or "the configuration as it is"


def figure(value: float | None) -> str:
    """Return a number for people."""
    return "" if value is None else f"{value:.3g}"


def worded(value: float | None, interval: Interval | None) -> str:
    """Return a value and its interval for people."""
    if value is None or interval is None:
        return figure(value)
    return f"{value:.3g} ({interval.low:.3g} to {interval.high:.3g})"
