"""Commands about organisations: create, change, show."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import msgspec
from cyclopts import App, Parameter

from events.access.organisations import Registration
from events.errors import Malformed, Missing
from infra.commands.shared import OK, Where, Who, answer, run, screen
from infra.commands.users import parts_of
from infra.wiring import caught_up, core, database, projecting, reading
from services.access.organisations import (
    ChangeOrganisation,
    CreateOrganisation,
    Grants,
    OrganisationCommand,
    organisation_id,
)


organisations: Final = App(
    name="organisations", help="Say which organisations keep accounts, and for whom."
)

SHOW: Final = """
SELECT id, name, registration, default_grants::text AS default_grants
FROM access.organisations
"""

Registering = Annotated[
    Registration,
    Parameter(help="Whether whoever reads an address may register, or only invited."),
]
Granted = Annotated[
    tuple[str, ...],
    Parameter(name="--grant", help="A role of who registers, area:role; repeatable."),
]


@organisations.command
def create(
    name: str,
    *,
    registration: Registering = "invited",
    grants: Granted = (),
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Let the organisation of --org keep accounts."""
    command = CreateOrganisation(
        organisation_id=organisation_id(who.org),
        name=name,
        registration=registration,
        default_grants=given(grants),
    )
    return ask(command, where, who)


@organisations.command
def change(
    *,
    name: Annotated[str | None, Parameter(help="Another name.")] = None,
    registration: Registering | None = None,
    grants: Granted | None = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Change the organisation of --org; what is not given stays."""
    command = ChangeOrganisation(
        organisation_id=organisation_id(who.org),
        name=name,
        registration=registration,
        default_grants=None if grants is None else given(grants),
    )
    return ask(command, where, who)


@organisations.command
def show(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Show the organisation of --org."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            rows = await reader.read(who.identity(settings), SHOW, [])
        if not rows:
            raise Missing("This organisation keeps no accounts.")
        found: dict[str, Any] = dict(cast("Mapping[str, Any]", rows[0]))
        found["default_grants"] = msgspec.json.decode(found["default_grants"])

        def tell() -> None:
            for name, value in found.items():
                screen.print(f"{name}: {value}", markup=False, highlight=False)

        answer(where, found, tell)
        return OK

    return run(where, work)


def ask(command: OrganisationCommand, where: Where, who: Who) -> int:
    """Handle a command."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="organisations") as parts,
            projecting(urls, parts),
        ):
            outcome = await parts.handler.handle(command, who.meta(settings))
            await caught_up(urls, outcome.position)
        done = {
            "organisation_id": str(command.organisation_id),
            "position": outcome.position,
        }
        told = f"organisation {command.organisation_id}"
        answer(where, done, lambda: screen.print(told))
        return OK

    return run(where, work)


def given(grants: tuple[str, ...]) -> Grants:
    """Return roles that are written area:role, or raise `Malformed`."""
    try:
        return msgspec.convert([parts_of(each) for each in grants], Grants)
    except msgspec.ValidationError as error:
        message = f"This is no role in an area: {error}."
        raise Malformed(message, path="grant") from error
