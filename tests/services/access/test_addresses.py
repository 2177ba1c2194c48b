from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from events.access.addresses import AddressForgotten, AddressListed
from events.access.subjects import SubjectErased
from events.access.users import UserErased
from events.ids import SubjectId, UserId
from events.reservations import KeyReleased
from services.access.addresses import ERASED_BEFORE, ForgetAddress, ListAddress
from services.access.users import (
    ChangeEmail,
    EraseUser,
    RegisterUser,
    email_key,
    username_key,
)
from tests.given import given, meta_of


ADDRESS: Final = email_key("acme", "address of ines")
OTHER: Final = email_key("acme", "another address of ines")
INES: Final = UserId(UUID(int=1))
FIRST: Final = SubjectId(UUID(int=11))
SECOND: Final = SubjectId(UUID(int=12))
NOW: Final = meta_of().occurred_at
EARLIER: Final = datetime(2031, 1, 1, tzinfo=UTC)


def listing(subject_id: SubjectId, address_id: UUID = ADDRESS) -> ListAddress:
    return ListAddress(address_id=address_id, subject_id=subject_id, listed_at=EARLIER)


def test_an_address_is_listed_once_for_each_subject() -> None:
    first = AddressListed(address_id=ADDRESS, subject_id=FIRST)
    world = given().when(listing(FIRST)).then(first)
    world.when(listing(FIRST)).then()
    world.when(listing(SECOND)).then(replace(first, subject_id=SECOND))


def test_all_that_is_listed_is_erased_with_the_address() -> None:
    forget = ForgetAddress(address_id=ADDRESS, reason="Asked for")
    world = given(listing(FIRST), listing(SECOND))
    world = world.when(forget).then(
        AddressForgotten(address_id=ADDRESS, at=NOW),
        SubjectErased(subject_id=FIRST, reason="Asked for"),
        SubjectErased(subject_id=SECOND, reason="Asked for"),
    )
    world.when(forget).then(AddressForgotten(address_id=ADDRESS, at=NOW))


def test_what_was_listed_before_and_is_told_after_is_erased_at_once() -> None:
    forget = ForgetAddress(address_id=ADDRESS, reason="Asked for")
    world = given(forget)
    world.when(listing(FIRST)).then(
        AddressListed(address_id=ADDRESS, subject_id=FIRST),
        SubjectErased(subject_id=FIRST, reason=ERASED_BEFORE),
    )
    later = replace(listing(FIRST), listed_at=NOW + timedelta(seconds=1))
    world.when(later).then(AddressListed(address_id=ADDRESS, subject_id=FIRST))


def test_who_is_erased_is_erased_from_lists_of_every_address_that_they_had() -> None:
    register = RegisterUser(
        user_id=INES,
        email="ines@library.example",
        username="ines",
        full_name="Ines",
        email_hmac="address of ines",
        username_hmac="name of ines",
    )
    move = ChangeEmail(
        user_id=INES,
        email="ines@elsewhere.example",
        email_hmac="another address of ines",
    )
    erase = EraseUser(user_id=INES, reason="Asked for")
    world = given(register, listing(FIRST), move, listing(SECOND, OTHER))
    world.when(erase).then(
        UserErased(user_id=INES),
        SubjectErased(subject_id=SubjectId(INES), reason="Asked for"),
        AddressForgotten(address_id=OTHER, at=NOW),
        AddressForgotten(address_id=ADDRESS, at=NOW),
        KeyReleased(reservation_id=OTHER, holder=f"user:{INES}"),
        KeyReleased(
            reservation_id=username_key("acme", "name of ines"), holder=f"user:{INES}"
        ),
        SubjectErased(subject_id=SECOND, reason="Asked for"),
        SubjectErased(subject_id=FIRST, reason="Asked for"),
    )
