"""Commands about set runs: start, cancel, retry, list, show, reliability."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast
from uuid import UUID

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.table import Table as Grid

from events.errors import Missing
from events.ids import SetRunId, UnitTestSetId
from events.message import Command
from infra.carrying import carrying
from infra.clock import new_id
from infra.commands.shared import (
    FAILED,
    OK,
    Broker,
    Where,
    Who,
    answer,
    progress,
    run,
    screen,
)
from infra.operations.importing import worded
from infra.operations.running import Progress, Verdicts, completed
from infra.settings import Settings
from infra.wiring import Core, Urls, caught_up, core, database, projecting, reading
from projections.testing.simulation_unit_test_set_runs import TABLE
from services.http.reliability import Reliability, reliability
from services.testing.set_runs import CancelSetRun, RetryErroredTrials, StartSetRun


runs: Final = App(name="runs", help="Hold set runs, and look at them.")

NOT_JUDGED: Final = 2
AT_LEAST_ONE: Final = Number(gte=1)

JSON_COLUMNS: Final = frozenset(
    column.name
    for column in (*TABLE.columns, *TABLE.view_columns)
    if column.type == "jsonb"
)

Wait = Annotated[
    bool, Parameter(negative="", help="Do the work here, until the run has ended.")
]
Gate = Annotated[
    bool,
    Parameter(
        negative="",
        help="Leave with 1 where a trial failed, else 2 where one was not judged.",
    ),
]

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


@runs.command(name="start")
def start_run(
    set_id: UUID,
    *,
    trials: Annotated[
        int | None,
        Parameter(help="Trials of each unit test.", validator=AT_LEAST_ONE),
    ] = None,
    seed: Annotated[int, Parameter(help="Seed of every choice.")] = 0,
    concurrency: Annotated[
        int | None,
        Parameter(help="Most trials at a time.", validator=AT_LEAST_ONE),
    ] = None,
    parallel: Annotated[
        bool, Parameter(negative="", help="Beside an unfinished run of the set.")
    ] = False,
    wait: Wait = False,
    gate: Gate = False,
    broker: Broker = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Start a live run of a set; with --wait, hold its trials and tell what came out.

    The same seed gives the same conversations and verdicts.
    """
    run_id = SetRunId(new_id())
    command = StartSetRun(
        run_id=run_id,
        set_id=UnitTestSetId(set_id),
        origin="live",
        trials=trials,
        seed=seed,
        concurrency=concurrency,
        allow_parallel=parallel,
    )
    return go_on(command, run_id, where, who, broker=broker, wait=wait, gate=gate)


@runs.command(name="retry")
def retry_run(
    run_id: UUID,
    *,
    wait: Wait = False,
    gate: Gate = False,
    broker: Broker = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Hold those trials of a live run again that broke off."""
    key = SetRunId(run_id)
    command = RetryErroredTrials(run_id=key)
    return go_on(command, key, where, who, broker=broker, wait=wait, gate=gate)


@runs.command(name="cancel")
def cancel_run(
    run_id: UUID,
    *,
    reason: Annotated[str, Parameter(help="Why.")] = "Cancelled by the operator.",
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """End a run before its last trial; trials under way are not counted."""
    key = SetRunId(run_id)
    command = CancelSetRun(run_id=key, reason=reason)
    return go_on(command, key, where, who, broker=None, wait=False, gate=False)


def go_on(
    command: Command,
    run_id: SetRunId,
    where: Where,
    who: Who,
    *,
    broker: str | None,
    wait: bool,
    gate: bool,
) -> int:
    """Ask for something of a run; to wait is to work until it has ended."""
    settings = where.settings(broker=broker)

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="runs") as parts,
        ):
            outcome = await parts.handler.handle(command, who.meta(settings))
            if not wait:
                asked = {"run_id": str(run_id), "position": outcome.position}
                answer(where, asked, lambda: screen.print(f"run {run_id}"))
                return OK
            found = await held(settings, parts, urls, run_id)
        answer(where, found, lambda: print_verdicts(found))
        return exit_code(found) if gate else OK

    return run(where, work)


async def held(
    settings: Settings, parts: Core, urls: Urls, run_id: SetRunId
) -> Verdicts:
    """Work until a run has ended and the tables show it, and return its verdicts."""
    from infra.working import working  # noqa: PLC0415 - large; most commands only look

    async with (
        projecting(urls, parts),
        carrying(settings) as carrier,
        working(
            urls,
            parts,
            carrier=carrier,
            data_dir=settings.data_dir,
            lease_seconds=settings.lease_seconds,
        ) as doing,
    ):
        screen.print(f"work is carried by {carrier.name}", highlight=False)
        with progress() as bar:
            task = bar.add_task("pinning", total=None)

            def tell(now: Progress) -> None:
                bar.update(
                    task,
                    description="holding trials",
                    completed=now.counted,
                    total=now.trials,
                )

            found = await completed(parts.log, run_id, doing, tell=tell)
        await caught_up(urls, found.position)
    return found


def exit_code(found: Verdicts) -> int:
    """Return 1 where a trial failed, else 2 where not every one was judged, else 0."""
    if found.failed:
        return FAILED
    judged = found.status == "completed" and not found.inconclusive + found.errored
    return OK if judged else NOT_JUDGED


def print_verdicts(found: Verdicts) -> None:
    """Print what came out of a run for people."""
    grid = Grid("unit test", "passed", "failed", "?", "errored")
    counts: dict[str, dict[str, int]] = {}
    for verdict in found.verdicts:
        of_test = counts.setdefault(verdict.name, {})
        of_test[verdict.outcome] = of_test.get(verdict.outcome, 0) + 1
    for name, of_test in counts.items():
        told = ("passed", "failed", "inconclusive", "errored")
        grid.add_row(name, *(str(of_test.get(outcome, 0)) for outcome in told))
    screen.print(grid)
    screen.print(
        f"run {found.run_id} {found.status}: {found.passed} passed,"
        f" {found.failed} failed, {found.inconclusive} not judged,"
        f" {found.errored} errored",
        markup=False,
        highlight=False,
    )


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
        row = dict(cast("Mapping[str, Any]", rows[0]))
        found = {name: shown(name, value) for name, value in row.items()}

        def show() -> None:
            for name, value in found.items():
                screen.print(f"{name}: {value}", markup=False, highlight=False)

        answer(where, found, show)
        return OK

    return run(where, work)


def shown(name: str, value: object) -> object:
    """Return a column's value, JSON as what it says."""
    if name in JSON_COLUMNS and isinstance(value, str):
        return msgspec.json.decode(value)
    return value


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
