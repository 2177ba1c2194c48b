"""The one vocabulary of keys that only one may hold, such as a user name.

A key itself is in no event: its reservation's id follows from it.
"""

from uuid import UUID

from events.message import Event


class ReservationEvent(
    Event, frozen=True, kw_only=True, tag=lambda name: f"reservations.{name}"
):
    """A fact about who holds a key; `holder` is written `<kind>:<id>`."""

    reservation_id: UUID


class KeyReserved(ReservationEvent, frozen=True, kw_only=True):
    """A key got its holder; `scope` says what it is a key of."""

    scope: str
    holder: str


class KeyReleased(ReservationEvent, frozen=True, kw_only=True):
    """The holder let go of its key; another may reserve it."""

    holder: str


ReservationFact = KeyReserved | KeyReleased
