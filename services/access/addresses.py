"""An address: where it is written beside accounts, until its person is erased.

What was listed before an erasure and is told after it is erased at once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.access.addresses import AddressEvent, AddressForgotten, AddressListed
from events.ids import SubjectId
from events.message import Command, Meta
from services.access.common import AccessCommand, Reason
from services.access.subjects import EraseSubject
from services.decider import Decider


ERASED_BEFORE: Final = "The person whose address it is was erased before"


class ListAddress(AccessCommand, frozen=True, kw_only=True):
    """Say that an address is written in a list, for which subject, and since when."""

    address_id: UUID
    subject_id: SubjectId
    listed_at: datetime


class ForgetAddress(AccessCommand, frozen=True, kw_only=True):
    """Erase an address wherever it is written."""

    address_id: UUID
    reason: Reason


AddressCommand = ListAddress | ForgetAddress


class Address(msgspec.Struct, frozen=True):
    """An address as its rules see it."""

    subjects: tuple[SubjectId, ...] = ()
    forgotten_at: datetime | None = None


def evolve(state: Address, event: AddressEvent) -> Address:
    """Return the state after an event."""
    match event:
        case AddressListed():
            return replace(state, subjects=(*state.subjects, event.subject_id))
        case AddressForgotten():
            return Address(forgotten_at=event.at)
        case _:
            assert_never(event)


def decide(
    command: AddressCommand, state: Address, meta: Meta
) -> Sequence[AddressEvent]:
    """Return what happens."""
    match command:
        case ListAddress():
            if command.subject_id in state.subjects:
                return []
            return [
                AddressListed(
                    address_id=command.address_id, subject_id=command.subject_id
                )
            ]
        case ForgetAddress():
            return [
                AddressForgotten(address_id=command.address_id, at=meta.occurred_at)
            ]
        case _:
            assert_never(command)


def also(command: AddressCommand, state: Address, _meta: Meta) -> Sequence[Command]:
    """Erase the subjects of an address that is forgotten, or was before."""
    match command:
        case ListAddress():
            at = state.forgotten_at
            if at is None or command.listed_at > at:
                return []
            return [EraseSubject(subject_id=command.subject_id, reason=ERASED_BEFORE)]
        case ForgetAddress():
            return [
                EraseSubject(subject_id=each, reason=command.reason)
                for each in state.subjects
            ]
        case _:
            assert_never(command)


def identify(command: AddressCommand) -> UUID:
    """Return the address's id."""
    return command.address_id


decider: Final = Decider[AddressCommand, Address, AddressEvent](
    category="access.address",
    commands=get_args(AddressCommand),
    events=get_args(AddressEvent),
    initial=Address(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    also=also,
    internal=get_args(AddressCommand),
)
