"""Keys that are unique across streams: each has one holder, or none.

A key has a stream of its own, written in the same append as its holder's, so of two
who ask at once one is refused, and no key stays taken by what never came to be.
"""

from typing import Final, Literal, assert_never, get_args
from uuid import UUID, uuid5

import msgspec

from events.errors import Refused
from events.message import Command, Meta
from events.reservations import KeyReleased, KeyReserved, ReservationFact
from services.decider import Decider


SPACE: Final = UUID("9d3c1f0a-5b7e-5e64-8a41-2c7f0d9be6b3")

Scope = Literal["unfinished-run", "email", "username", "identity"]


class Taken(Refused):
    """Another holds this key."""


class ReservationCommand(
    Command, frozen=True, kw_only=True, tag=lambda name: f"reservations.{name}"
):
    """A request about who holds a key, asked for by other deciders only."""


class ReserveKey(ReservationCommand, frozen=True, kw_only=True):
    """Reserve a key of an organisation and scope, or be refused by its holder.

    Whatever is personal in `key` must be an HMAC: an id made of a text that can be
    guessed tells the text. `path` is the field at fault where the key is taken, and
    `refusal` says so; unless it is to be discreet, it names the holder.
    """

    org_id: str
    scope: Scope
    key: tuple[str, ...]
    holder: str
    path: str
    refusal: type[Taken] = Taken
    discreet: bool = False

    @property
    def reservation_id(self) -> UUID:
        """Return the id that the key has, the same whoever reserves it."""
        return reservation_id(self.org_id, self.scope, self.key)


def reservation_id(org_id: str, scope: Scope, key: tuple[str, ...]) -> UUID:
    """Return the id that a key of an organisation has."""
    parts = (org_id, scope, *key)
    return uuid5(SPACE, msgspec.json.encode(parts).decode())


class ReleaseKey(ReservationCommand, frozen=True, kw_only=True):
    """Let go of a key, if the holder holds it."""

    reservation_id: UUID
    holder: str


AnyReservationCommand = ReserveKey | ReleaseKey


class Reservation(msgspec.Struct, frozen=True):
    """A key as its rules see it."""

    holder: str | None = None


def evolve(_state: Reservation, event: ReservationFact) -> Reservation:
    """Return the state after an event."""
    match event:
        case KeyReserved(holder=holder):
            return Reservation(holder)
        case KeyReleased():
            return Reservation()
        case _:
            assert_never(event)


def decide(
    command: AnyReservationCommand, state: Reservation, _meta: Meta
) -> list[ReservationFact]:
    """Return what happens, or refuse."""
    match command:
        case ReserveKey():
            return reserve(command, state)
        case ReleaseKey():
            return release(command, state)
        case _:
            assert_never(command)


def reserve(command: ReserveKey, state: Reservation) -> list[ReservationFact]:
    """Reserve a key that nobody else holds."""
    if state.holder == command.holder:
        return []
    if state.holder is not None:
        if command.discreet:
            raise command.refusal(path=command.path)
        message = f"{command.refusal()} It is {state.holder}."
        raise command.refusal(message, path=command.path)
    return [
        KeyReserved(
            reservation_id=command.reservation_id,
            scope=command.scope,
            holder=command.holder,
        )
    ]


def release(command: ReleaseKey, state: Reservation) -> list[ReservationFact]:
    """Release a key for its holder."""
    if state.holder != command.holder:
        return []
    return [KeyReleased(reservation_id=command.reservation_id, holder=command.holder)]


decider: Final = Decider[AnyReservationCommand, Reservation, ReservationFact](
    category="reservation",
    commands=get_args(AnyReservationCommand),
    events=get_args(ReservationFact),
    initial=Reservation(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.reservation_id,
    internal=get_args(AnyReservationCommand),
)
