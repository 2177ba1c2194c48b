"""Commands for dead letters: list, show, retry, drop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.table import Table as Grid

from infra.believing import verifier
from infra.commands.shared import (
    FAILED,
    OK,
    OPERATOR,
    Where,
    answer,
    run,
    screen,
)
from infra.messaging import answering
from infra.operations.importing import read
from infra.operations.letters import DeadLetters, Kind
from infra.postgres.chime import open_chime
from infra.postgres.letters import PostgresLetters
from infra.postgres.work import PostgresWork
from infra.settings import Settings
from infra.wiring import core, database
from services.identity import Identity


SOME: Final = Number(gte=1, lte=10_000)
SHORT: Final = 100

letters: Final = App(
    name="letters", help="Look after dead letters: messages, and jobs that failed."
)

Id = Annotated[UUID, Parameter(help="The letter's id.")]


@letters.command(name="list")
def list_letters(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    org: Annotated[str | None, Parameter(help="Only of this organisation.")] = None,
    kind: Annotated[Kind | None, Parameter(help="Only messages, or jobs.")] = None,
    limit: Annotated[int, Parameter(help="At most so many.", validator=SOME)] = 100,
) -> int:
    """List dead letters, the oldest first, each with its reason."""
    settings = where.settings()

    async def work() -> int:
        async with _opened(settings) as found:
            entries = await found.entries(org, kind=kind, limit=limit)

        def show() -> None:
            grid = Grid("letter", "kind", "organisation", "type", "reason", "at")
            for each in entries:
                detail = each.detail[:SHORT]
                reason = f"{detail} ({each.path})" if each.path else detail
                grid.add_row(
                    str(each.letter_id),
                    each.kind,
                    each.org_id or "",
                    each.type,
                    reason,
                    f"{each.at:%Y-%m-%d %H:%M:%S}",
                )
            screen.print(grid)

        answer(where, {"letters": entries}, show)
        return OK

    return run(where, work)


@letters.command
def show(letter_id: Id, *, where: Where = Where()) -> int:  # noqa: B008 - frozen
    """Show a letter: why it is one, its properties, headers and body."""
    settings = where.settings()

    async def work() -> int:
        async with _opened(settings) as found:
            shown = await found.show(letter_id)

        def tell() -> None:
            for name in shown.__struct_fields__:
                value = getattr(shown, name)
                screen.print(f"{name}: {value}", markup=False, highlight=False)

        answer(where, shown, tell)
        return OK

    return run(where, work)


@letters.command
def retry(
    letter_id: Id,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    org: Annotated[
        str | None,
        Parameter(help="Where the message proved nobody: act here, as the operator."),
    ] = None,
    body: Annotated[
        Path | None, Parameter(help="A file to put in the place of the body.")
    ] = None,
) -> int:
    """Handle a letter again; twice is as good as once."""
    settings = where.settings()

    async def work() -> int:
        as_ = None if org is None else _operator(settings, org)
        async with _opened(settings) as found:
            content = None if body is None else read(body)
            retried = await found.retry(letter_id, as_=as_, body=content)

        def tell() -> None:
            detail = f": {retried.detail}" if retried.detail else ""
            screen.print(f"{retried.state}{detail}", markup=False, highlight=False)

        answer(where, retried, tell)
        return FAILED if retried.state == "dead" else OK

    return run(where, work)


@letters.command
def drop(letter_id: Id, *, where: Where = Where()) -> int:  # noqa: B008 - frozen
    """Close a letter for good: nobody wants anything of it any more."""
    settings = where.settings()

    async def work() -> int:
        async with _opened(settings) as found:
            kind = await found.drop(letter_id)
        told = {"letter_id": letter_id, "kind": kind, "state": "dropped"}
        answer(where, told, lambda: screen.print("dropped"))
        return OK

    return run(where, work)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[DeadLetters]:
    async with (
        database(settings) as urls,
        core(settings, urls, name="letters") as parts,
        open_chime(parts.pool, urls.direct) as chime,
    ):
        yield DeadLetters(
            letters=PostgresLetters(parts.pool),
            work=PostgresWork(parts.pool, chime),
            answering=answering(parts, verifier(settings)),
        )


def _operator(settings: Settings, org: str) -> Identity:
    return Identity(
        org_id=org,
        region=settings.region,
        actor=OPERATOR,
        roles=frozenset({"admin"}),
        scopes=frozenset({"import"}),
    )
