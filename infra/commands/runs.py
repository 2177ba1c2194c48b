"""Commands that look at set runs: list, show, reliability."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast
from uuid import UUID

from cyclopts import App, Parameter
from rich.table import Table as Grid

from events.errors import Missing
from infra.commands.shared import OK, Where, Who, answer, run, screen
from infra.operations.importing import worded
from infra.wiring import database, reading
from services.http.reliability import Reliability, reliability


runs: Final = App(name="runs", help="Look at set runs.")

LIST: Final = """
SELECT _id,
       simulation_unit_test_set_id,
       status,
       trial_count,
       passed_count,
       failed_count,
       inconclusive_count,
       errored_count,
       created_at
FROM testing.simulation_unit_test_set_runs
ORDER BY created_at DESC, _id DESC
LIMIT $1
"""

SHOW: Final = """
SELECT *
FROM testing.simulation_unit_test_set_runs
WHERE _id = $1
"""


@runs.command(name="list")
def list_runs(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
    limit: Annotated[int, Parameter(help="At most so many.")] = 20,
) -> int:
    """List the newest runs with their counts."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            rows = await reader.read(who.identity(settings), LIST, [limit])
        found: list[dict[str, Any]] = [
            dict(cast("Mapping[str, Any]", row)) for row in rows
        ]

        def show() -> None:
            grid = Grid("run", "status", "trials", "passed", "failed", "?", "errored")
            for row in found:
                grid.add_row(
                    row["_id"],
                    row["status"],
                    *(
                        str(row[f"{name}_count"])
                        for name in (
                            "trial",
                            "passed",
                            "failed",
                            "inconclusive",
                            "errored",
                        )
                    ),
                )
            screen.print(grid)

        answer(where, {"runs": found}, show)
        return OK

    return run(where, work)


@runs.command(name="show")
def show_run(
    run_id: UUID,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Show everything about a run, with the results of each trial."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            rows = await reader.read(who.identity(settings), SHOW, [str(run_id)])
        if not rows:
            raise Missing("There is no such run.")
        found = dict(cast("Mapping[str, Any]", rows[0]))

        def show() -> None:
            for name, value in found.items():
                screen.print(f"{name}: {value}", markup=False, highlight=False)

        answer(where, found, show)
        return OK

    return run(where, work)


@runs.command(name="reliability")
def show_reliability(
    run_id: UUID,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Show a run's pass rate, pass^k and pass@k with their intervals."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            found = await reliability(reader, who.identity(settings), str(run_id))
        answer(where, found, lambda: print_reliability(found))
        return OK

    return run(where, work)


def print_reliability(found: Reliability) -> None:
    """Print a run's reliability for people."""
    grid = Grid(f"{found.tasks} tasks, {found.trials} trials", "estimate")
    grid.add_row("pass rate", worded(found.pass_rate))
    for sign, estimates in (("^", found.pass_hat_k), ("@", found.pass_at_k)):
        for k, estimate in estimates.items():
            grid.add_row(f"pass{sign}{k}", worded(estimate))
    screen.print(grid)
