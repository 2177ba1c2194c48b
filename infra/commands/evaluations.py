"""Commands about what the evaluations of a playground say: statistics, export."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal
from uuid import UUID

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table as Grid

from events.errors import Malformed
from infra.commands.shared import OK, Where, Who, answer, run, screen
from infra.wiring import database, snapshotting
from services.http import formats, playground_reading, playgrounds
from services.playgrounds.exports import Shape
from services.playgrounds.statistics.records import Options
from services.playgrounds.statistics.results import Interval, Statistics


KINDS: Final = {"csv": formats.CSV, "ndjson": formats.NDJSON}
CONFIDENCE: Final = Number(
    gte=playgrounds.LEAST_CONFIDENCE, lte=playgrounds.MOST_CONFIDENCE
)
DRAWS: Final = Number(gte=playgrounds.LEAST_DRAWS, lte=playgrounds.MOST_DRAWS)
DEFAULT: Final = Options()


def statistics(
    playground_id: UUID,
    *,
    confidence: Annotated[
        float, Parameter(help="Confidence of intervals.", validator=CONFIDENCE)
    ] = DEFAULT.confidence,
    draws: Annotated[
        int, Parameter(help="Draws of resampling.", validator=DRAWS)
    ] = DEFAULT.draws,
    seed: Annotated[
        int, Parameter(help="Seed of resampling.", validator=Number(gte=0))
    ] = DEFAULT.seed,
    ties: Annotated[
        Literal["davidson", "rao-kupper"],
        Parameter(help="How ties enter rankings."),
    ] = DEFAULT.ties,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Show what a playground's evaluations say, each result with its n and method."""
    from services.playgrounds.statistics.report import report  # noqa: PLC0415 - numpy and scipy take seconds to import

    settings = where.settings()
    options = Options(confidence=confidence, draws=draws, seed=seed, ties=ties)

    async def work() -> int:
        async with (
            database(settings) as urls,
            snapshotting(urls) as snapshots,
            snapshots.snapshot(who.identity(settings)) as snapshot,
        ):
            data = await playground_reading.evaluations(snapshot, playground_id)
        found = report(data, options)
        answer(where, found, lambda: print_statistics(found))
        return OK

    return run(where, work)


def export(
    playground_id: UUID,
    *,
    shape: Annotated[
        Shape, Parameter(help="A row per answer, per session, per battle, ...")
    ] = "long",
    kind: Annotated[
        Literal["csv", "ndjson"], Parameter(name="--format", help="Form of the rows.")
    ] = "csv",
    output: Annotated[
        Path | None, Parameter(help="File to write; standard output without.")
    ] = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Write a playground's evaluations as rows for other tools, of one moment.

    In CSV a text that a spreadsheet would run as a formula gets a quote before it.
    """
    settings = where.settings()

    async def work() -> int:
        if where.json and output is None:
            raise Malformed("With --json the rows need a file.", path="output")
        written = 0
        with ExitStack() as files:
            async with (
                database(settings) as urls,
                snapshotting(urls) as snapshots,
                snapshots.snapshot(who.identity(settings)) as snapshot,
            ):
                frame = await playground_reading.frame(snapshot, playground_id)
                target = files.enter_context(_opened(output))
                async for chunk in playgrounds.export_of(
                    snapshot, frame, shape, KINDS[kind]
                ):
                    target.write(chunk)
                    written += len(chunk)
        if output is not None:
            told = {
                "playground_id": frame.playground_id,
                "position": frame.position,
                "shape": shape,
                "file": str(output),
                "bytes": written,
            }
            answer(where, told, lambda: screen.print(f"{output}: {written} bytes"))
        return OK

    return run(where, work)


def _opened(output: Path | None) -> BinaryIO:
    if output is None:
        return open(sys.stdout.fileno(), "wb", closefd=False)
    try:
        return output.open("wb")
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror}."
        raise Malformed(message, path="output") from error


def print_statistics(found: Statistics) -> None:
    """Print statistics for people."""
    for warning in found.warnings:
        screen.print(warning, style="yellow", markup=False, highlight=False)
    grid = Grid("model", "shown", "submitted", "completion", "median seconds")
    for each in found.attrition:
        grid.add_row(
            each.model_key,
            str(each.shown),
            str(each.submitted),
            worded(each.completion, each.interval),
            "" if each.median_seconds is None else f"{each.median_seconds:.0f}",
        )
    screen.print(grid)
    if found.ratings:
        grid = Grid("question", "model", "mean rating", "median", "n", "testers")
        for rated in found.ratings:
            grid.add_row(
                rated.question_id,
                rated.model_key,
                worded(rated.mean, rated.interval),
                f"{rated.median:g}",
                str(rated.n),
                str(rated.testers),
            )
        screen.print(grid)
    if found.preferences:
        grid = Grid("by", "first", "second", "wins", "ties", "both bad", "win share")
        for fought in found.preferences:
            grid.add_row(
                fought.source,
                fought.first,
                fought.second,
                f"{fought.first_wins} : {fought.second_wins}",
                str(fought.ties),
                str(fought.both_bad),
                worded(fought.win_share, fought.interval),
            )
        screen.print(grid)
    for ranking in found.rankings:
        grid = Grid("model", "strength", "rating", title=ranking.source)
        for strength in ranking.strengths:
            grid.add_row(
                strength.model_key,
                worded(strength.strength, strength.interval),
                f"{strength.rating:.0f}",
            )
        if ranking.strengths:
            screen.print(grid)
    screen.print(
        f"position {found.position}, {found.looks}, confidence {found.confidence:g}",
        highlight=False,
    )


def worded(value: float | None, interval: Interval | None) -> str:
    """Return a value and its interval for people."""
    if value is None:
        return "unknown"
    if interval is None:
        return f"{value:.3g}"
    return f"{value:.3g} ({interval.low:.3g} to {interval.high:.3g})"
