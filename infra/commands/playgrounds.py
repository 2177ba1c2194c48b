"""Commands about playgrounds: list, show, verify; evaluations have their own module."""

from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.table import Table as Grid

from events.errors import Missing
from events.ids import PlaygroundId
from infra.commands.shared import (
    FAILED,
    OK,
    Where,
    Who,
    answer,
    run,
    screen,
)
from infra.operations.allocations import Verified, verified, worded
from infra.wiring import caught_up, core, database, projecting, reading
from services.http.reading import Reader
from services.identity import Identity


playgrounds: Final = App(
    name="playgrounds", help="Look at playgrounds, and prove their places."
)

playgrounds.command(
    "infra.commands.evaluations:statistics",
    name="statistics",
    help="Show what a playground's evaluations say.",
)
playgrounds.command(
    "infra.commands.evaluations:export",
    name="export",
    help="Write a playground's evaluations as rows for other tools.",
)

LIST: Final = """
SELECT m.id,
       m.name,
       m.type,
       p.status,
       m.total_testers,
       m.total_evaluations,
       m.total_answers,
       m.created_at
FROM playgrounds.playground_metrics AS m
JOIN playgrounds.playgrounds AS p ON p.id = m.id
ORDER BY m.created_at DESC, m.id DESC
LIMIT $1
"""

SHOW: Final = """
SELECT *
FROM playgrounds.playground_metrics
WHERE id = $1
"""

CHOICES: Final = """
SELECT question_text,
       model_key,
       answer_value,
       response_count,
       percentage
FROM playgrounds.question_metrics
WHERE playground_id = $1
ORDER BY created_at, id, model_key, response_count DESC, answer_value
"""


@playgrounds.command(name="list")
def list_playgrounds(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
    limit: Annotated[
        int, Parameter(help="At most so many.", validator=Number(gte=1, lte=10_000))
    ] = 20,
) -> int:
    """List the newest playgrounds with their figures."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            rows = await reader.read(who.identity(settings), LIST, [limit])
        found = [plain(row) for row in rows]

        def show() -> None:
            for each in found:
                line = f"{each['id']}  {each['name']}"
                screen.print(line, markup=False, highlight=False, soft_wrap=True)
                told = (
                    f"    {each['type']}, {each['status']}, {each['total_testers']}"
                    f" testers, {each['total_evaluations']} evaluations"
                )
                screen.print(told, markup=False, highlight=False, soft_wrap=True)

        answer(where, {"playgrounds": found}, show)
        return OK

    return run(where, work)


@playgrounds.command(name="show")
def show_playground(
    playground_id: UUID,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Show a playground's figures, of each model and of each choice."""
    settings = where.settings()

    async def work() -> int:
        identity = who.identity(settings)
        async with database(settings) as urls, reading(urls) as reader:
            found = await figures(reader, identity, playground_id)
        answer(where, found, lambda: print_figures(found))
        return OK

    return run(where, work)


async def figures(
    reader: Reader, identity: Identity, playground_id: UUID
) -> dict[str, Any]:
    """Return a playground's figures, of each model and of each choice."""
    rows = await reader.read(identity, SHOW, [playground_id])
    if not rows:
        raise Missing("There is no such playground.")
    choices = await reader.read(identity, CHOICES, [playground_id])
    return {**plain(rows[0]), "choices": [plain(row) for row in choices]}


def print_figures(found: dict[str, Any]) -> None:
    """Print a playground's figures for people."""
    grid = Grid("model", "evaluations", "of", "reserved", "rating", title=found["name"])
    for model in found["models"]:
        rating = model["average_rating"]
        grid.add_row(
            model["model_key"],
            str(model["evaluations"]),
            str(model["max_evaluations"]),
            str(model["reserved"]),
            "" if rating is None else str(rating),
        )
    screen.print(grid)
    grid = Grid("question", "model", "answer", "count", "%")
    for choice in found["choices"]:
        grid.add_row(
            choice["question_text"],
            choice["model_key"],
            choice["answer_value"],
            str(choice["response_count"]),
            "" if choice["percentage"] is None else str(choice["percentage"]),
        )
    screen.print(grid)
    screen.print(
        f"{found['total_testers']} testers, {found['total_evaluations']} evaluations,"
        f" {found['total_answers']} answers",
        highlight=False,
    )


@playgrounds.command(name="verify")
def verify_playground(
    playground_id: UUID,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Make every allocation again from the log, and compare the counters with it."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="playgrounds") as parts,
            projecting(urls, parts),
            reading(urls) as reader,
        ):
            await caught_up(urls, (await parts.log.head()).position)
            found = await verified(
                parts.log, reader, who.identity(settings), PlaygroundId(playground_id)
            )
        answer(where, found, lambda: print_proof(found))
        return OK if found.ok else FAILED

    return run(where, work)


def print_proof(found: Verified) -> None:
    """Print what a proof came to for people."""
    grid = Grid("model", "used", "reserved", "given")
    for model_key, count in found.proof.counts.items():
        grid.add_row(
            model_key, str(count.consumed), str(count.reserved), str(count.given)
        )
    screen.print(grid)
    for problem in [*map(worded, found.proof.flaws), *found.problems]:
        screen.print(problem, style="red", markup=False, highlight=False)
    outcome = "ok" if found.ok else "BAD"
    screen.print(
        f"{outcome}: {found.proof.allocations} allocations made again,"
        f" {found.evaluations} evaluations compared",
        highlight=False,
    )


def plain(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of the driver
    """Return a row with its JSON as what it says and its numerics as numbers."""
    found: dict[str, Any] = {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in dict(row).items()
    }
    if "models" in found:
        found["models"] = msgspec.json.decode(found["models"])
    return found
