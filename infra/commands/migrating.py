"""The command that brings a database up to date: migrate."""

from urllib.parse import unquote, urlsplit

from infra.commands.shared import OK, Where, answer, run, screen
from infra.furnishing import furnish
from infra.postgres.failures import reaching_database
from infra.postgres.roles import (
    APP,
    KEYS,
    OWNER,
    PROJECTOR,
    READER,
    create_database,
    ensure_roles,
)
from infra.settings import PREFIX, Settings, SetupError, require
from infra.wiring import database


def migrate(*, where: Where = Where()) -> int:  # noqa: B008 - frozen
    """Bring the schema and the read tables up to date.

    With the address of a superuser, the roles and the database are made first.
    """
    settings = where.settings()

    async def work() -> int:
        if settings.superuser_url is not None:
            await found(settings.superuser_url, settings)
        async with database(settings) as urls:
            applied = await furnish(owner=urls.owner, projector=urls.projector)
        answer(
            where,
            {"applied": applied},
            lambda: screen.print("\n".join(applied) or "Everything is up to date."),
        )
        return OK

    return run(where, work)


async def found(superuser: str, settings: Settings) -> None:
    """Make the roles, with the passwords of their addresses, and their database."""
    passwords: dict[str, str] = {}
    named = {
        "owner_url": OWNER,
        "app_url": APP,
        "projector_url": PROJECTOR,
        "reader_url": READER,
        "keys_url": KEYS,
    }
    for (name, role), url in zip(named.items(), require(settings, *named), strict=True):
        parts = urlsplit(url)
        if parts.username != role or parts.password is None:
            message = f"{PREFIX}{name.upper()} is to name {role} and its password"
            raise SetupError(message)
        passwords[role] = unquote(parts.password)
    database = urlsplit(str(settings.owner_url)).path.removeprefix("/")
    usual = urlsplit(superuser)._replace(path="/postgres").geturl()
    with reaching_database():
        await ensure_roles(usual, passwords)
        await create_database(usual, database)
