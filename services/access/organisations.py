"""An organisation: created once by its administrator, and changed in place.

Its stream follows from its identifier, so that an organisation has one at most.
"""

from collections.abc import Sequence
from typing import Annotated, Final, assert_never, get_args
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from events.access.common import Grant
from events.access.organisations import (
    OrganisationChanged,
    OrganisationCreated,
    OrganisationEvent,
    Registration,
)
from events.errors import Missing, Refused
from events.ids import OrganisationId
from events.message import Meta
from events.roles import Area, Role
from services.access.common import AccessCommand, AlreadyExists, Name
from services.decider import Decider


SPACE: Final = UUID("6f0e2c7a-4a35-5f0e-9d0b-5b1b52a7c9e1")
MAX_GRANTS: Final = 36


class NotThisOrganisation(Refused):
    """This is not the id of the organisation that the token is of."""


class GivenGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role in an area."""

    area: Area
    role: Role


Grants = Annotated[list[GivenGrant], msgspec.Meta(max_length=MAX_GRANTS)]


class CreateOrganisation(AccessCommand, frozen=True, kw_only=True):
    """Let an organisation keep accounts.

    With `registration` open, whoever proves to read an address may register, and gets
    the `default_grants`; else people are invited. Its id is the UUIDv5 of its
    identifier in the space 6f0e2c7a-4a35-5f0e-9d0b-5b1b52a7c9e1.
    """

    organisation_id: OrganisationId
    name: Name
    registration: Registration = "invited"
    default_grants: Grants = msgspec.field(default_factory=list)


class ChangeOrganisation(AccessCommand, frozen=True, kw_only=True):
    """Change an organisation's settings; what is not given stays."""

    organisation_id: OrganisationId
    name: Name | None = None
    registration: Registration | None = None
    default_grants: Grants | None = None


OrganisationCommand = CreateOrganisation | ChangeOrganisation


class Organisation(msgspec.Struct, frozen=True):
    """An organisation as its rules see it."""

    settings: OrganisationChanged | None = None


def organisation_id(org_id: str) -> OrganisationId:
    """Return the id of the organisation that tokens call so."""
    return OrganisationId(uuid5(SPACE, org_id))


def evolve(_state: Organisation, event: OrganisationEvent) -> Organisation:
    """Return the state after an event."""
    match event:
        case OrganisationCreated():
            return Organisation(
                OrganisationChanged(
                    organisation_id=event.organisation_id,
                    name=event.name,
                    registration=event.registration,
                    default_grants=event.default_grants,
                )
            )
        case OrganisationChanged():
            return Organisation(event)
        case _:
            assert_never(event)


def decide(
    command: OrganisationCommand, state: Organisation, meta: Meta
) -> Sequence[OrganisationEvent]:
    """Return what happens, or refuse."""
    if command.organisation_id != organisation_id(meta.org_id):
        raise NotThisOrganisation(path="$.organisation_id")
    match command:
        case CreateOrganisation():
            return create(command, state)
        case ChangeOrganisation():
            return change(command, state)
        case _:
            assert_never(command)


def create(command: CreateOrganisation, state: Organisation) -> list[OrganisationEvent]:
    """Create an organisation, once."""
    fact = OrganisationCreated(
        organisation_id=command.organisation_id,
        name=command.name,
        registration=command.registration,
        default_grants=granted(command.default_grants),
    )
    if state.settings is None:
        return [fact]
    if evolve(state, fact) != state:
        raise AlreadyExists(path="$.organisation_id")
    return []


def change(command: ChangeOrganisation, state: Organisation) -> list[OrganisationEvent]:
    """Change settings, unless they are so already."""
    before = state.settings
    if before is None:
        raise Missing(path="$.organisation_id")
    after = replace(
        before,
        **{
            name: given
            for name in ("name", "registration")
            if (given := getattr(command, name)) is not None
        },
    )
    if command.default_grants is not None:
        after = replace(after, default_grants=granted(command.default_grants))
    return [] if after == before else [after]


def granted(given: Sequence[GivenGrant]) -> tuple[Grant, ...]:
    """Return grants as facts hold them, each once."""
    return tuple(Grant(area=each.area, role=each.role) for each in dict.fromkeys(given))


def identify(command: OrganisationCommand) -> UUID:
    """Return the organisation's id."""
    return command.organisation_id


decider: Final = Decider[OrganisationCommand, Organisation, OrganisationEvent](
    category="access.organisation",
    commands=get_args(OrganisationCommand),
    events=get_args(OrganisationEvent),
    initial=Organisation(),
    evolve=evolve,
    decide=decide,
    identify=identify,
)
