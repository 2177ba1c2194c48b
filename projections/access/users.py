"""The read table `users`: everybody with an account, and what they show of themselves.

What is personal is that of the log: after an erasure it is erased here too, and address
and user name stand for nobody, though still for one user each.
"""

from collections.abc import Sequence
from typing import Final, assert_never
from uuid import UUID

from events.access.subjects import SubjectErased
from events.access.users import (
    EmailVerified,
    PasswordSet,
    UserDeactivated,
    UserErased,
    UserProfileChanged,
    UserReactivated,
    UserRegistered,
    UserSignedIn,
)
from events.message import ERASED, Event, Recorded
from projections.access.columns import (
    ADMINISTRATOR,
    CREATED,
    OWN_ORGANISATION,
    SCHEMA,
    created,
    flag,
    moment,
    text,
    uuid,
)
from projections.projection import Index, Projection, Rows, Table, Value


Change = (
    UserProfileChanged
    | EmailVerified
    | PasswordSet
    | UserDeactivated
    | UserReactivated
    | UserErased
)

PROFILE: Final = ("full_name", "bio", "avatar_url", "profile_public", "allow_contact")
OWN: Final = f"id::text = access.current_actor_id() OR {ADMINISTRATOR}"


TABLE: Final = Table(
    schema=SCHEMA,
    name="users",
    version=1,
    note="Accounts: one's own, and the public profiles of the organisation",
    columns=(
        uuid("id", "User identifier"),
        text(
            "email",
            "Address to sign in with, shown to others with allow_contact",
            size=255,
            visible=f"allow_contact OR {OWN}",
        ),
        text("username", "Unique user name", size=255),
        text("full_name", "Display name", size=255),
        text(
            "password_hash",
            "Scheme of the password's hash, which is kept elsewhere",
            nullable=True,
            visible=OWN,
        ),
        text("bio", "Biography", nullable=True),
        text("avatar_url", "Address of a picture", nullable=True),
        flag("profile_public", "Whether all of the organisation see the profile"),
        flag("allow_contact", "Whether those who see the profile see the address"),
        flag("is_active", "Whether they may sign in", visible=OWN),
        flag("is_verified", "Whether the address is verified", visible=OWN),
        flag("is_erased", "Whether the account ended", visible=OWN),
        moment("last_login", "Latest sign-in", nullable=True, visible=OWN),
        *CREATED,
    ),
    key=("id",),
    rows=f"{OWN_ORGANISATION} AND (profile_public OR {OWN})",
    indexes=(
        Index(columns=("org_id", "email"), unique=True),
        Index(columns=("org_id", "username"), unique=True),
        Index(columns=("org_id", "created_at")),
    ),
    everyone=True,
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of users into their rows."""
    for recorded in batch:
        match recorded.event:
            case UserRegistered() as event:
                rows.insert(*registered(event), *created(recorded))
            case SubjectErased(subject_id=subject_id):
                # A sweep ends the stretch: who registers with the address that is free
                # now comes after it.
                rows.patch_where("id", subject_id, **gone(subject_id))
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
                    (event.user_id,),
                    updated_at=recorded.recorded_at,
                    **changes(event),
                )


def registered(event: UserRegistered) -> tuple[Value, ...]:
    """Return the values that a registration gives a row, but for `CREATED`."""
    erased = event.email == ERASED
    return (
        event.user_id,
        stand_in(event.user_id) if erased else event.email,
        stand_in(event.user_id) if erased else event.username,
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


def stand_in(user_id: UUID) -> str:
    """Return what stands in the place of an erased address or user name."""
    return f"{ERASED} {user_id}"


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        UserRegistered,
        UserProfileChanged,
        EmailVerified,
        PasswordSet,
        UserSignedIn,
        UserDeactivated,
        UserReactivated,
        UserErased,
        SubjectErased,
    ),
    project=project,
)
