"""The command that examines a stack: doctor."""

from rich.table import Table as Grid

from infra.commands.shared import FAILED, OK, Where, answer, run, screen
from infra.operations.doctor import examine
from infra.wiring import database


def doctor(*, where: Where = Where()) -> int:  # noqa: B008 - frozen
    """Examine the stack and say what is wrong and what to do about it."""
    chosen = where.settings()

    async def work() -> int:
        async with database(chosen) as urls:
            findings = await examine(owner=urls.owner, app=urls.app, keys=urls.keys)

        def show() -> None:
            grid = Grid("", "what", "found")
            for finding in findings:
                grid.add_row("ok" if finding.ok else "BAD", finding.what, finding.found)
            screen.print(grid)

        ok = all(finding.ok for finding in findings)
        answer(where, {"ok": ok, "findings": findings}, show)
        return OK if ok else FAILED

    return run(where, work)
