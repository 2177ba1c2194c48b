"""The read table `users`."""

from typing import Final
from uuid import UUID

from msgspec.structs import replace

from events.access.users import (
    EmailVerified,
    PasswordSet,
    UserDeactivated,
    UserErased,
    UsernameChanged,
    UserReactivated,
    UserSignedIn,
)
from events.ids import SubjectId, UserId
from events.message import ERASED
from projections.access.users import PROJECTION
from tests.given_rows import Given, given
from tests.projections.access.story import (
    GONE,
    INES,
    MOVED,
    PROFILE,
    REGISTERED,
    RENAMED,
)
from tests.recorded import at, recorded


OTTO: Final = UserId(UUID(int=2))


def test_who_registered_is_a_row() -> None:
    given(PROJECTION, REGISTERED).then(
        {
            "id": INES,
            "email": "ines@library.example",
            "username": "ines",
            "password_hash": None,
            "profile_public": False,
            "is_active": True,
            "is_verified": True,
            "last_login": None,
            "created_at": at(1),
        }
    )


def test_who_was_invited_is_not_verified_at_first() -> None:
    invited = replace(REGISTERED, invited=True)
    given(PROJECTION, invited).then({"is_verified": False})
    given(PROJECTION, invited, EmailVerified(user_id=INES)).then({"is_verified": True})


def test_later_facts_change_the_row() -> None:
    given(
        PROJECTION,
        REGISTERED,
        PROFILE,
        PasswordSet(user_id=INES, scheme="bcrypt"),
        UserSignedIn(user_id=INES, session_id=UUID(int=3), method="password"),
        UserDeactivated(user_id=INES, reason="Left"),
    ).then(
        {
            "full_name": "Ines V.",
            "bio": "Reads",
            "password_hash": "bcrypt",
            "last_login": at(4),
            "is_active": False,
            "updated_at": at(5),
        }
    )
    given(
        PROJECTION,
        REGISTERED,
        UserDeactivated(user_id=INES, reason="Left"),
        UserReactivated(user_id=INES),
    ).then({"is_active": True})


def test_of_who_was_erased_nothing_is_left_however_it_is_told() -> None:
    left: dict[str, object] = {
        "email": f"{ERASED} {INES}",
        "username": f"{ERASED} {INES}",
        "full_name": ERASED,
        "bio": None,
        "avatar_url": None,
        "profile_public": False,
        "password_hash": None,
        "is_active": False,
        "is_erased": True,
    }
    erased = UserErased(user_id=INES)
    given(PROJECTION, REGISTERED, PROFILE, erased, GONE).then(left)
    unreadable = replace(REGISTERED, email=ERASED, username=ERASED, full_name=ERASED)
    emptied = replace(PROFILE, full_name=ERASED, bio=ERASED, avatar_url=ERASED)
    given(PROJECTION, unreadable, emptied, erased, GONE).then(left)


def test_another_organisation_erases_nobody_here() -> None:
    asked = recorded(GONE, after=1, org_id="museum")
    Given(PROJECTION, [*recorded(REGISTERED), *asked]).then({"full_name": "Ines"})


def test_a_freed_address_is_taken_after_it_is_free() -> None:
    other = replace(REGISTERED, user_id=OTTO, subject_id=SubjectId(OTTO))
    given(PROJECTION, REGISTERED, UserErased(user_id=INES), GONE, other).then(
        {"id": INES, "email": f"{ERASED} {INES}"},
        {"id": OTTO, "email": "ines@library.example"},
    )


def test_another_address_and_user_name_are_shown() -> None:
    invited = replace(REGISTERED, invited=True)
    given(PROJECTION, invited, MOVED, RENAMED).then(
        {
            "email": "ines@elsewhere.example",
            "username": "ines.v",
            "is_verified": True,
            "updated_at": at(3),
        }
    )


def test_what_one_lets_go_of_the_next_may_take_at_once() -> None:
    other = replace(
        REGISTERED,
        user_id=OTTO,
        subject_id=SubjectId(OTTO),
        email="otto@library.example",
        username="otto",
    )
    passed_on = replace(MOVED, user_id=OTTO, subject_id=SubjectId(OTTO))
    given(
        PROJECTION,
        REGISTERED,
        other,
        MOVED,
        replace(passed_on, email="ines@library.example"),
        RENAMED,
        UsernameChanged(
            user_id=OTTO,
            subject_id=SubjectId(OTTO),
            username="ines",
            username_key=UUID(int=12),
        ),
        replace(MOVED, email="otto@library.example"),
    ).then(
        {"id": INES, "email": "otto@library.example", "username": "ines.v"},
        {"id": OTTO, "email": "ines@library.example", "username": "ines"},
    )


def test_a_later_address_is_gone_with_its_person_however_it_is_told() -> None:
    left: dict[str, object] = {
        "email": f"{ERASED} {INES}",
        "username": f"{ERASED} {INES}",
    }
    erased = UserErased(user_id=INES)
    given(PROJECTION, REGISTERED, MOVED, RENAMED, erased, GONE).then(left)
    unreadable = replace(REGISTERED, email=ERASED, username=ERASED, full_name=ERASED)
    moved, renamed = replace(MOVED, email=ERASED), replace(RENAMED, username=ERASED)
    given(PROJECTION, unreadable, moved, renamed, erased, GONE).then(left)
