"""The command that brings a database up to date: migrate."""

from infra.commands.shared import OK, Where, answer, run, screen
from infra.furnishing import furnish
from infra.wiring import database


def migrate(*, where: Where = Where()) -> int:  # noqa: B008 - frozen
    """Bring the schema and the read tables up to date."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls:
            applied = await furnish(owner=urls.owner, projector=urls.projector)
        answer(
            where,
            {"applied": applied},
            lambda: screen.print("\n".join(applied) or "Everything is up to date."),
        )
        return OK

    return run(where, work)
