"""The commands that bring in what was recorded elsewhere: import."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from infra.commands.shared import OK, Where, Who, answer, progress, run, screen
from infra.operations.importing import import_tau_bench
from infra.operations.scoring import scored
from infra.wiring import caught_up, core, database, projecting, reading


importer: Final = App(name="import", help="Import what was recorded elsewhere.")


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
            with progress() as bar:
                task = bar.add_task("importing", total=None)
                summary = await import_tau_bench(
                    file,
                    handler=parts.handler,
                    blobs=parts.blobs,
                    meta=who.meta(settings),
                    agent=agent,
                    progress=lambda done, total: bar.update(
                        task, completed=done, total=total
                    ),
                )
            await caught_up(urls, summary.position)
            async with reading(urls) as reader:
                found = await scored(reader, who.identity(settings), summary)

        def show() -> None:
            for line in found.lines():
                screen.print(line, highlight=False, markup=False)

        answer(where, found, show)
        return OK

    return run(where, work)
