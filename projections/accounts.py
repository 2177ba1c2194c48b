"""What the read tables of users share: how the facts of an account become a row.

What is personal is that of the log: after an erasure it is erased here too, and address
and user name stand for nobody, though still for one user each.
"""

from typing import Final, assert_never
from uuid import UUID

from events.access.subjects import SubjectErased
from events.access.users import (
    EmailChanged,
    EmailVerified,
    PasswordSet,
    UserDeactivated,
    UserErased,
    UsernameChanged,
    UserProfileChanged,
    UserReactivated,
    UserRegistered,
    UserSignedIn,
)
from events.message import ERASED, Event, Recorded
from projections.projection import Column, Index, Rows, Value


Change = (
    UserProfileChanged
    | EmailVerified
    | PasswordSet
    | UserDeactivated
    | UserReactivated
    | UserErased
)

EVENTS: Final[tuple[type[Event], ...]] = (
    UserRegistered,
    UserProfileChanged,
    EmailVerified,
    EmailChanged,
    UsernameChanged,
    PasswordSet,
    UserSignedIn,
    UserDeactivated,
    UserReactivated,
    UserErased,
    SubjectErased,
)

PROFILE: Final = ("full_name", "bio", "avatar_url", "profile_public", "allow_contact")
INDEXES: Final = (
    Index(columns=("org_id", "email"), unique=True),
    Index(columns=("org_id", "username"), unique=True),
    Index(columns=("sealed_for",)),
)


def columns(own: str) -> tuple[Column, ...]:
    """Return the columns of an account; some are shown where `own` holds only."""
    return (
        Column(name="id", type="uuid", nullable=False, note="User identifier"),
        _name(
            "email",
            "Address to sign in with, shown to others with allow_contact",
            visible=f"allow_contact OR {own}",
        ),
        _name("username", "Unique user name"),
        _name("full_name", "Display name"),
        Column(
            name="password_hash",
            type="text",
            note="Scheme of the password's hash, which is kept elsewhere",
            visible=own,
        ),
        Column(name="bio", type="text", note="Biography"),
        Column(name="avatar_url", type="text", note="Address of a picture"),
        _flag("profile_public", "Whether all of the organisation see the profile"),
        _flag("allow_contact", "Whether those who see the profile see the address"),
        _flag("is_active", "Whether they may sign in", visible=own),
        _flag("is_verified", "Whether the address is verified", visible=own),
        _flag("is_erased", "Whether the account ended", visible=own),
        Column(
            name="last_login",
            type="timestamptz",
            note="Latest sign-in",
            visible=own,
        ),
        Column(
            name="sealed_for",
            type="text",
            nullable=False,
            note="Organization and subject whose key seals the profile",
        ),
    )


def registered(org_id: str, event: UserRegistered) -> tuple[Value, ...]:
    """Return the values that a registration gives the `columns`."""
    return (
        event.user_id,
        known_as(event.user_id, event.email),
        known_as(event.user_id, event.username),
        event.full_name,
        None,
        None,
        None,
        False,
        False,
        True,
        not event.invited,
        False,
        None,
        sealed_for(org_id, event.subject_id),
    )


def follow(recorded: Recorded[Event], rows: Rows) -> None:
    """Change the row of an account by a fact that comes after its registration.

    Address and user name change by two sweeps, of which the first frees what was held:
    so of rows that pass a name on none is written before the other has let go of it.
    """
    match recorded.event:
        case SubjectErased(subject_id=subject_id):
            # A sweep ends the stretch: who registers with the address that is free
            # now comes after it.
            whose = sealed_for(recorded.org_id, subject_id)
            rows.patch_where("sealed_for", whose, **gone(subject_id))
        case EmailChanged(user_id=user_id) as event:
            email = known_as(user_id, event.email)
            rows.patch_where("id", user_id, email=stand_in(user_id))
            rows.patch_where(
                "id",
                user_id,
                email=email,
                is_verified=True,
                updated_at=recorded.recorded_at,
            )
        case UsernameChanged(user_id=user_id) as event:
            username = known_as(user_id, event.username)
            rows.patch_where("id", user_id, username=stand_in(user_id))
            rows.patch_where(
                "id", user_id, username=username, updated_at=recorded.recorded_at
            )
        case UserSignedIn() as event:
            rows.patch((event.user_id,), last_login=recorded.recorded_at)
        case (
            UserProfileChanged()
            | EmailVerified()
            | PasswordSet()
            | UserDeactivated()
            | UserReactivated()
            | UserErased()
        ) as event:
            rows.patch(
                (event.user_id,), updated_at=recorded.recorded_at, **changes(event)
            )


def changes(event: Change) -> dict[str, Value]:
    """Return the columns that a later fact sets."""
    match event:
        case UserProfileChanged():
            return {name: getattr(event, name) for name in PROFILE}
        case EmailVerified():
            return {"is_verified": True}
        case PasswordSet():
            return {"password_hash": event.scheme}
        case UserDeactivated() | UserReactivated():
            return {"is_active": isinstance(event, UserReactivated)}
        case UserErased():
            return {"is_active": False, "is_erased": True, "password_hash": None}
        case _:
            assert_never(event)


def sealed_for(org_id: str, subject_id: UUID) -> str:
    """Return whose key seals a profile: nobody erases those of others."""
    return f"{org_id}/{subject_id}"


def gone(user_id: UUID) -> dict[str, Value]:
    """Return the columns that an erasure sets."""
    return {
        "email": stand_in(user_id),
        "username": stand_in(user_id),
        "full_name": ERASED,
        "bio": None,
        "avatar_url": None,
        "profile_public": False,
    }


def known_as(user_id: UUID, text: str) -> str:
    """Return an address or a user name, or what stands in its place once erased."""
    return stand_in(user_id) if text == ERASED else text


def stand_in(user_id: UUID) -> str:
    """Return what stands in the place of an erased address or user name."""
    return f"{ERASED} {user_id}"


def _name(name: str, note: str, *, visible: str | None = None) -> Column:
    return Column(
        name=name, type="varchar(255)", note=note, nullable=False, visible=visible
    )


def _flag(name: str, note: str, *, visible: str | None = None) -> Column:
    return Column(name=name, type="boolean", note=note, nullable=False, visible=visible)
