"""An address of the organisation, and where it is written beside accounts.

The stream is that of the address's reservation, so the log does not tell the address.
Whose it is may not be known yet: it is found again once somebody with it is erased.
"""

from datetime import datetime
from uuid import UUID

from events.access.common import AccessEvent
from events.ids import SubjectId


class AddressListed(AccessEvent, frozen=True, kw_only=True):
    """An address is written in a list, sealed for a subject of its own."""

    address_id: UUID
    subject_id: SubjectId


class AddressForgotten(AccessEvent, frozen=True, kw_only=True):
    """Whose address it was, was erased, and so is all that was listed until `at`."""

    address_id: UUID
    at: datetime


AddressEvent = AddressListed | AddressForgotten
