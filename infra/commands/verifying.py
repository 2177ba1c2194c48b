"""The command that proves the log and the read tables: verify."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table as Grid

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
from infra.operations.projections import ProjectionOperations
from infra.operations.verify import Bad, Check
from infra.operations.verify import verify as verify_log
from infra.wiring import core, database, operating
from projections.catalogue import TABLES
from projections.digest import Difference


def verify(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    receipt: Annotated[
        str | None, Parameter(help="A receipt that the log gave: <position>-<chain>.")
    ] = None,
    tables: Annotated[
        bool, Parameter(help="Also rebuild every read table and compare.")
    ] = True,
) -> int:
    """Prove the log whole, and the read tables equal to what it says."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="verify") as parts,
            operating(urls, parts, by=OPERATOR) as opened,
        ):
            with progress() as bar:
                task = bar.add_task("events", total=None)
                report = await verify_log(
                    urls.projector,
                    receipt=receipt,
                    progress=lambda done, total: bar.update(
                        task, completed=done, total=total
                    ),
                    tables=TABLES,
                    tables_check=(lambda: compare(opened)) if tables else None,
                )

        def show() -> None:
            grid = Grid("", "check", "rows", "first bad row")
            for check in report.checks:
                bad = f"{check.bad.row}: {check.bad.problem}" if check.bad else ""
                grid.add_row(
                    "ok" if check.ok else "BAD", check.name, str(check.rows), bad
                )
            screen.print(grid)
            told = "ok: nothing is wrong" if report.ok else "BAD: see above"
            screen.print(f"{told}, {len(report.checks)} checks", highlight=False)
            screen.print(f"receipt {report.receipt}", highlight=False)

        whole = {
            "ok": report.ok,
            "receipt": report.receipt,
            "first_bad": report.first_bad,
            "checks": report.checks,
        }
        answer(where, whole, show)
        return OK if report.ok else FAILED

    return run(where, work)


async def compare(opened: ProjectionOperations) -> Sequence[Check]:
    """Rebuild each read table from the log, compare it with the one that is shown."""
    return [
        Check(
            name=f"table {difference.name}",
            rows=difference.rows,
            bad=None if difference.equal else different(difference),
        )
        for difference in await opened.check()
    ]


def different(difference: Difference) -> Bad:
    """Return the first row in which a table differs from the log."""
    return Bad(
        row=str(difference.first[0]) if difference.first else difference.name,
        problem=(
            f"{difference.missing} rows missing, {difference.extra} extra, "
            f"{difference.changed} changed at position {difference.position}"
        ),
    )
