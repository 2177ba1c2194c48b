"""A user: somebody with an account, and what they may do in which area.

A user is their own data subject: what is personal is sealed with their key. No
password, code or token is ever in an event.
"""

from typing import ClassVar, Literal
from uuid import UUID

from events.access.common import AccessEvent
from events.ids import SubjectId, UserId
from events.roles import Area, Role


SignInMethod = Literal["password", "code", "oidc"]


class UserRegistered(AccessEvent, frozen=True, kw_only=True):
    """Somebody got an account, by registration or because they were invited.

    `email_key` and `username_key` are the reservations that the account holds. An
    invited user's address is not verified before they sign in.
    """

    personal: ClassVar[tuple[str, ...]] = ("email", "username", "full_name")

    user_id: UserId
    subject_id: SubjectId
    email: str
    username: str
    full_name: str
    email_key: UUID
    username_key: UUID
    invited: bool = False


class EmailVerified(AccessEvent, frozen=True, kw_only=True):
    """A user proved to read what is sent to their address."""

    user_id: UserId


class EmailChanged(AccessEvent, frozen=True, kw_only=True):
    """A user has another address, which they proved to read.

    `email_key` is the reservation that the account holds from now on.
    """

    personal: ClassVar[tuple[str, ...]] = ("email",)

    user_id: UserId
    subject_id: SubjectId
    email: str
    email_key: UUID


class UsernameChanged(AccessEvent, frozen=True, kw_only=True):
    """A user has another user name.

    `username_key` is the reservation that the account holds from now on.
    """

    personal: ClassVar[tuple[str, ...]] = ("username",)

    user_id: UserId
    subject_id: SubjectId
    username: str
    username_key: UUID


class UserProfileChanged(AccessEvent, frozen=True, kw_only=True):
    """A user's profile is this now."""

    personal: ClassVar[tuple[str, ...]] = ("full_name", "bio", "avatar_url")

    user_id: UserId
    subject_id: SubjectId
    full_name: str
    bio: str | None
    avatar_url: str | None
    profile_public: bool
    allow_contact: bool


class PasswordSet(AccessEvent, frozen=True, kw_only=True):
    """A user has another password, whose hash is kept by a scheme."""

    user_id: UserId
    scheme: str


class UserSignedIn(AccessEvent, frozen=True, kw_only=True):
    """A user began a session."""

    user_id: UserId
    session_id: UUID
    method: SignInMethod


class IdentityLinked(AccessEvent, frozen=True, kw_only=True):
    """A user may sign in by an identity that a provider proves.

    `identity_key` is the reservation of the identity, which one account holds.
    """

    user_id: UserId
    provider: str
    identity_key: UUID


class IdentityUnlinked(AccessEvent, frozen=True, kw_only=True):
    """A user may sign in by an identity no more."""

    user_id: UserId
    provider: str
    identity_key: UUID


class RoleGranted(AccessEvent, frozen=True, kw_only=True):
    """A user got a role in an area."""

    user_id: UserId
    area: Area
    role: Role


class RoleRevoked(AccessEvent, frozen=True, kw_only=True):
    """A user lost a role in an area."""

    user_id: UserId
    area: Area
    role: Role


class UserDeactivated(AccessEvent, frozen=True, kw_only=True):
    """A user may not sign in any more, until they are reactivated."""

    user_id: UserId
    reason: str


class UserReactivated(AccessEvent, frozen=True, kw_only=True):
    """A user may sign in again."""

    user_id: UserId


class UserErased(AccessEvent, frozen=True, kw_only=True):
    """A user's account ended, and with it all that is known of them."""

    user_id: UserId


UserEvent = (
    UserRegistered
    | EmailVerified
    | EmailChanged
    | UsernameChanged
    | UserProfileChanged
    | PasswordSet
    | UserSignedIn
    | IdentityLinked
    | IdentityUnlinked
    | RoleGranted
    | RoleRevoked
    | UserDeactivated
    | UserReactivated
    | UserErased
)
