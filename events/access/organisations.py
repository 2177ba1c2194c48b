"""An organisation: its name, and who may become a member of it."""

from typing import Literal

from events.access.common import AccessEvent, Grant
from events.ids import OrganisationId


Registration = Literal["open", "invited"]


class OrganisationCreated(AccessEvent, frozen=True, kw_only=True):
    """An organisation began to keep accounts.

    `registration` open: whoever reads an address may register, and gets the
    `default_grants`.
    """

    organisation_id: OrganisationId
    name: str
    registration: Registration
    default_grants: tuple[Grant, ...]


class OrganisationChanged(AccessEvent, frozen=True, kw_only=True):
    """An organisation's settings are these now."""

    organisation_id: OrganisationId
    name: str
    registration: Registration
    default_grants: tuple[Grant, ...]


OrganisationEvent = OrganisationCreated | OrganisationChanged
