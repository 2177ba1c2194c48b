"""`python -m tests.bench [row ...]`: measure, and hold the figures against the bars.

Leaves with 0 when everything was measured, whether or not a bar is met, and with 1
when a measurement failed.
"""

import argparse
import os
import platform
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from infra.logs import configure_logs
from projections.runner import spare_collector
from tests.bench import (
    bulk,
    commands,
    experiment,
    freshness,
    importing,
    intake,
    memory,
    metrics,
    others,
    over_http,
    population,
    projecting,
    reading,
    recording,
    trials,
)
from tests.bench.measuring import Figure
from tests.bench.server import Bench, bench


ROWS: Final[Mapping[str, Callable[[Bench], Awaitable[list[Figure]]]]] = {
    module.ROW: module.measure
    for module in (
        commands,
        over_http,
        bulk,
        reading,
        projecting,
        freshness,
        others,
        memory,
        metrics,
        importing,
        trials,
        intake,
        population,
        recording,
        experiment,
    )
}

screen: Final = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that are named, or all, print them, and return the exit code."""
    chosen = parser().parse_args(arguments)
    configure_logs(level="error")
    spare_collector()  # as the roles do
    figures, failed = uvloop.run(work(chosen))
    if chosen.json:
        report = {
            "machine": machine(),
            "rounds": chosen.rounds,
            "seconds": chosen.seconds,
            "figures": [figure.plain() for figure in figures],
            "failed": failed,
        }
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(table(figures))
    for row, reason in failed.items():
        screen.print(f"{row} failed: {reason}", style="red", markup=False)
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(prog="bench", description=__doc__)
    found.add_argument(
        "rows", nargs="*", choices=[*ROWS, []], metavar="row", help=", ".join(ROWS)
    )
    found.add_argument("--json", action="store_true", help="print one JSON object")
    found.add_argument("--rounds", type=int, default=3, help="rounds of each")
    found.add_argument("--seconds", type=float, default=3.0, help="of each round")
    found.add_argument("--trials", type=int, default=10_000, help="of the run")
    found.add_argument("--commands", type=int, default=50_000, help="that wait")
    found.add_argument("--simulations", type=int, default=250, help="of an experiment")
    found.add_argument("--postgres", help="a superuser's address of a durable server")
    found.add_argument(
        "--recorded", type=Path, help="a recorded file to import (default: generated)"
    )
    return found


async def work(chosen: argparse.Namespace) -> tuple[list[Figure], dict[str, str]]:
    """Measure the chosen rows; return the figures, and why rows failed."""
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    async with bench(
        postgres=chosen.postgres,
        rounds=chosen.rounds,
        seconds=chosen.seconds,
        recorded=chosen.recorded,
        trials=chosen.trials,
        commands=chosen.commands,
        simulations=chosen.simulations,
    ) as place:
        for row in chosen.rows or ROWS:
            screen.print(f"measuring {row}", style="dim")
            try:
                figures += await ROWS[row](place)
            except Exception as error:  # noqa: BLE001 - one row's failure is reported, the others are measured
                failed[row] = f"{type(error).__name__}: {error}"
                screen.print(traceback.format_exc(), markup=False, highlight=False)
    return figures, failed


def machine() -> dict[str, object]:
    """Return what the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def table(figures: Sequence[Figure]) -> Table:
    """Return the figures as a table for people."""
    grid = Table("row", "what", "figure", "peer", "ratio", "bar", "met", "note")
    for figure in figures:
        met = figure.met
        grid.add_row(
            figure.row,
            figure.what,
            "not measured"
            if figure.value is None
            else shown(figure.value, figure.unit),
            ""
            if figure.peer is None
            else f"{shown(figure.peer, figure.unit)} {figure.against}",
            "" if figure.ratio is None else f"{figure.ratio:.2f} x",
            "" if figure.bar is None else str(figure.bar),
            "" if met is None else ("yes" if met else "NO"),
            figure.note or "",
        )
    return grid


def shown(value: float, unit: str) -> str:
    """Return a value with its unit."""
    return f"{value:,.0f}{unit}" if value >= 1_000 else f"{value:.3g} {unit}"


if __name__ == "__main__":
    sys.exit(main())
