"""A user: registered or invited, granted roles, deactivated, erased for ever.

Address and user name belong to one account of the organisation each: they are reserved
in the append that registers, and released in the one that erases. Who may sign in and
how is not decided here but before: what signing in leaves behind are facts.
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.access.common import Grant
from events.access.users import (
    EmailChanged,
    EmailVerified,
    IdentityLinked,
    IdentityUnlinked,
    PasswordSet,
    RoleGranted,
    RoleRevoked,
    SignInMethod,
    UserDeactivated,
    UserErased,
    UserEvent,
    UsernameChanged,
    UserProfileChanged,
    UserReactivated,
    UserRegistered,
    UserSignedIn,
)
from events.errors import Missing, Refused
from events.ids import SubjectId, UserId
from events.message import Command, Meta
from events.roles import Area, Role
from services.access.addresses import ForgetAddress
from services.access.common import (
    AccessCommand,
    AlreadyExists,
    Bio,
    Deactivated,
    Email,
    FullName,
    NoSuchUser,
    Reason,
    Username,
    WebAddress,
)
from services.access.subjects import EraseSubject
from services.decider import Decider
from services.reservations import ReleaseKey, ReserveKey, Taken, reservation_id


class EmailTaken(Taken):
    """This address has an account already."""


class UsernameTaken(Taken):
    """This user name is taken."""


class IdentityTaken(Taken):
    """This identity is linked to another account."""


class AnotherIdentity(Refused):
    """The account is linked to another identity of this provider."""


class Erased(Missing):
    """This user was erased."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody as a provider knows them; `hmac` is of its issuer and their subject."""

    provider: str
    hmac: str


class RegisterUser(AccessCommand, frozen=True, kw_only=True):
    """Make an account; `email_hmac` and `username_hmac` stand for what is unique.

    With an identity it is linked from the start.
    """

    user_id: UserId
    email: Email
    username: Username
    full_name: FullName
    email_hmac: str
    username_hmac: str
    grants: tuple[Grant, ...] = ()
    invited: bool = False
    identity: Identity | None = None


class LinkIdentity(AccessCommand, frozen=True, kw_only=True):
    """Let a user sign in by an identity; one of each provider."""

    user_id: UserId
    identity: Identity


class UnlinkIdentity(AccessCommand, frozen=True, kw_only=True):
    """Let a user sign in no more by the identity of a provider."""

    user_id: UserId
    provider: str


class VerifyEmail(AccessCommand, frozen=True, kw_only=True):
    """Say that a user reads what is sent to their address."""

    user_id: UserId


class ChangeEmail(AccessCommand, frozen=True, kw_only=True):
    """Give a user another address, which they read; `email_hmac` stands for it."""

    user_id: UserId
    email: Email
    email_hmac: str


class ChangeUsername(AccessCommand, frozen=True, kw_only=True):
    """Give a user another user name; `username_hmac` stands for it."""

    user_id: UserId
    username: Username
    username_hmac: str


class SetPassword(AccessCommand, frozen=True, kw_only=True):
    """Say that a user has another password, and by which scheme it is kept."""

    user_id: UserId
    scheme: str


class RecordSignIn(AccessCommand, frozen=True, kw_only=True):
    """Say that a user began a session."""

    user_id: UserId
    session_id: UUID
    method: SignInMethod


class ChangeProfile(AccessCommand, frozen=True, kw_only=True):
    """Change a profile; what is not given stays, an empty text is none.

    A public profile is seen by all of the organisation; with `allow_contact` its
    address too.
    """

    user_id: UserId
    full_name: FullName | None = None
    bio: Bio | None = None
    avatar_url: WebAddress | None = None
    profile_public: bool | None = None
    allow_contact: bool | None = None


class GrantRole(AccessCommand, frozen=True, kw_only=True):
    """Give a user a role in an area."""

    user_id: UserId
    area: Area
    role: Role


class RevokeRole(AccessCommand, frozen=True, kw_only=True):
    """Take a role in an area from a user."""

    user_id: UserId
    area: Area
    role: Role


class DeactivateUser(AccessCommand, frozen=True, kw_only=True):
    """Keep a user from signing in, and end their sessions."""

    user_id: UserId
    reason: Reason


class ReactivateUser(AccessCommand, frozen=True, kw_only=True):
    """Let a user sign in again."""

    user_id: UserId


class EraseUser(AccessCommand, frozen=True, kw_only=True):
    """End an account and erase its person: what was sealed can never be read again."""

    user_id: UserId
    reason: Reason


UserCommand = (
    ChangeProfile | GrantRole | RevokeRole | DeactivateUser | ReactivateUser | EraseUser
)
SignInCommand = (
    RegisterUser
    | VerifyEmail
    | ChangeEmail
    | ChangeUsername
    | SetPassword
    | RecordSignIn
    | LinkIdentity
    | UnlinkIdentity
)
AnyUserCommand = UserCommand | SignInCommand


class User(msgspec.Struct, frozen=True):
    """A user as the rules see them; `left` are the addresses that they had before."""

    registered: UserRegistered | None = None
    moved: EmailChanged | None = None
    renamed: UsernameChanged | None = None
    profile: UserProfileChanged | None = None
    grants: frozenset[str] = frozenset()
    identities: Mapping[str, UUID] = msgspec.field(default_factory=dict)
    left: tuple[UUID, ...] = ()
    verified: bool = False
    active: bool = False
    erased: bool = False

    @property
    def address(self) -> EmailChanged | UserRegistered:
        """Return the fact that says their address, or raise `NoSuchUser`."""
        found = self.moved or self.registered
        if found is None:
            raise NoSuchUser(path="$.user_id")
        return found

    @property
    def name(self) -> UsernameChanged | UserRegistered:
        """Return the fact that says their user name, or raise `NoSuchUser`."""
        found = self.renamed or self.registered
        if found is None:
            raise NoSuchUser(path="$.user_id")
        return found


def evolve(state: User, event: UserEvent) -> User:  # noqa: C901, PLR0911 - one for each kind of fact
    """Return the state after an event."""
    match event:
        case UserRegistered():
            return User(registered=event, active=True, verified=not event.invited)
        case UserProfileChanged():
            return replace(state, profile=event)
        case EmailVerified():
            return replace(state, verified=True)
        case EmailChanged():
            left = (*state.left, state.address.email_key)
            return replace(state, moved=event, verified=True, left=left)
        case UsernameChanged():
            return replace(state, renamed=event)
        case IdentityLinked() | IdentityUnlinked():
            return replace(state, identities=identities_after(state.identities, event))
        case RoleGranted() | RoleRevoked():
            return replace(state, grants=grants_after(state.grants, event))
        case UserDeactivated() | UserReactivated():
            return replace(state, active=isinstance(event, UserReactivated))
        case UserErased():
            return replace(state, active=False, erased=True)
        case PasswordSet() | UserSignedIn():
            return state
        case _:
            assert_never(event)


def grants_after(
    grants: frozenset[str], event: RoleGranted | RoleRevoked
) -> frozenset[str]:
    """Return the grants, written `area:role`, after one more or less."""
    changed = frozenset({f"{event.area}:{event.role}"})
    if isinstance(event, RoleGranted):
        return grants | changed
    return grants - changed


def identities_after(
    identities: Mapping[str, UUID], event: IdentityLinked | IdentityUnlinked
) -> Mapping[str, UUID]:
    """Return the identities, by provider, after one more or less."""
    rest = {
        provider: key
        for provider, key in identities.items()
        if provider != event.provider
    }
    if isinstance(event, IdentityLinked):
        return rest | {event.provider: event.identity_key}
    return rest


def decide(command: AnyUserCommand, state: User, meta: Meta) -> Sequence[UserEvent]:
    """Return what happens, or refuse."""
    match command:
        case RegisterUser():
            return register(command, state, meta.org_id)
        case EraseUser():
            return erase(command, known(state))
        case (
            VerifyEmail()
            | ChangeEmail()
            | ChangeUsername()
            | SetPassword()
            | RecordSignIn()
            | LinkIdentity()
            | UnlinkIdentity()
        ):
            return decide_sign_in(command, present(state), meta.org_id)
        case _:
            return decide_change(command, present(state))


def decide_sign_in(  # noqa: PLR0911 - one for each command
    command: VerifyEmail
    | ChangeEmail
    | ChangeUsername
    | SetPassword
    | RecordSignIn
    | LinkIdentity
    | UnlinkIdentity,
    user: User,
    org_id: str,
) -> list[UserEvent]:
    """Return what signing in leaves behind, or refuse."""
    match command:
        case VerifyEmail():
            return verify(command, user)
        case ChangeEmail():
            return move(command, user, org_id)
        case ChangeUsername():
            return rename(command, user, org_id)
        case SetPassword():
            return set_password(command, user)
        case RecordSignIn():
            return sign_in(command, user)
        case LinkIdentity():
            return link(command, user, org_id)
        case UnlinkIdentity():
            return unlink(command, user)
        case _:
            assert_never(command)


def decide_change(
    command: ChangeProfile | GrantRole | RevokeRole | DeactivateUser | ReactivateUser,
    user: User,
) -> list[UserEvent]:
    """Return what changes about a user, or refuse."""
    match command:
        case ChangeProfile():
            return change_profile(command, user)
        case GrantRole():
            return grant(command, user)
        case RevokeRole():
            return revoke(command, user)
        case DeactivateUser():
            return deactivate(command, user)
        case ReactivateUser():
            return reactivate(command, user)
        case _:
            assert_never(command)


def known(state: User) -> User:
    """Return a user that was registered, or raise `NoSuchUser`."""
    if state.registered is None:
        raise NoSuchUser(path="$.user_id")
    return state


def present(state: User) -> User:
    """Return a user that was registered and not erased, or raise `Missing`."""
    if known(state).erased:
        raise Erased(path="$.user_id")
    return state


def register(command: RegisterUser, state: User, org_id: str) -> list[UserEvent]:
    """Make an account with its grants."""
    fact = UserRegistered(
        user_id=command.user_id,
        subject_id=SubjectId(command.user_id),
        email=command.email,
        username=command.username,
        full_name=command.full_name,
        email_key=email_key(org_id, command.email_hmac),
        username_key=username_key(org_id, command.username_hmac),
        invited=command.invited,
    )
    if state.registered is not None:
        if state.registered != fact:
            raise AlreadyExists(path="$.user_id")
        return []
    granted = [
        RoleGranted(user_id=command.user_id, area=each.area, role=each.role)
        for each in dict.fromkeys(command.grants)
    ]
    given = command.identity
    linked = [] if given is None else [linking(command.user_id, given, org_id)]
    return [fact, *linked, *granted]


def verify(command: VerifyEmail, user: User) -> list[UserEvent]:
    """Note that an address is verified, once."""
    return [] if user.verified else [EmailVerified(user_id=command.user_id)]


def move(command: ChangeEmail, user: User, org_id: str) -> list[UserEvent]:
    """Change an address, unless it is so already."""
    if not user.active:
        raise Deactivated
    if user.verified and user.address.email == command.email:
        return []
    return [
        EmailChanged(
            user_id=command.user_id,
            subject_id=SubjectId(command.user_id),
            email=command.email,
            email_key=email_key(org_id, command.email_hmac),
        )
    ]


def rename(command: ChangeUsername, user: User, org_id: str) -> list[UserEvent]:
    """Change a user name, unless it is so already."""
    if not user.active:
        raise Deactivated
    if user.name.username == command.username:
        return []
    return [
        UsernameChanged(
            user_id=command.user_id,
            subject_id=SubjectId(command.user_id),
            username=command.username,
            username_key=username_key(org_id, command.username_hmac),
        )
    ]


def set_password(command: SetPassword, _user: User) -> list[UserEvent]:
    """Note that there is another password."""
    return [PasswordSet(user_id=command.user_id, scheme=command.scheme)]


def sign_in(command: RecordSignIn, user: User) -> list[UserEvent]:
    """Note the session that an active user began."""
    if not user.active:
        raise Deactivated
    return [
        UserSignedIn(
            user_id=command.user_id,
            session_id=command.session_id,
            method=command.method,
        )
    ]


def link(command: LinkIdentity, user: User, org_id: str) -> list[UserEvent]:
    """Link an identity, unless it is so already."""
    if not user.active:
        raise Deactivated
    fact = linking(command.user_id, command.identity, org_id)
    held = user.identities.get(fact.provider)
    if held == fact.identity_key:
        return []
    if held is not None:
        raise AnotherIdentity
    return [fact]


def linking(user_id: UserId, identity: Identity, org_id: str) -> IdentityLinked:
    """Return the fact that an identity is linked."""
    return IdentityLinked(
        user_id=user_id,
        provider=identity.provider,
        identity_key=identity_key(org_id, identity.hmac),
    )


def unlink(command: UnlinkIdentity, user: User) -> list[UserEvent]:
    """Unlink the identity of a provider, if one is linked."""
    held = user.identities.get(command.provider)
    if held is None:
        return []
    return [
        IdentityUnlinked(
            user_id=command.user_id, provider=command.provider, identity_key=held
        )
    ]


def change_profile(command: ChangeProfile, user: User) -> list[UserEvent]:
    """Change a profile, unless it is so already."""
    before = profile_of(user)
    after = replace(
        before,
        **{
            name: given or None
            for name in ("full_name", "bio", "avatar_url")
            if (given := getattr(command, name)) is not None
        },
        **{
            name: given
            for name in ("profile_public", "allow_contact")
            if (given := getattr(command, name)) is not None
        },
    )
    return [] if after == before else [after]


def profile_of(user: User) -> UserProfileChanged:
    """Return a user's profile: what they made of it, or what they registered with."""
    if user.profile is not None:
        return user.profile
    registered = user.registered
    if registered is None:
        raise NoSuchUser
    return UserProfileChanged(
        user_id=registered.user_id,
        subject_id=registered.subject_id,
        full_name=registered.full_name,
        bio=None,
        avatar_url=None,
        profile_public=False,
        allow_contact=False,
    )


def grant(command: GrantRole, user: User) -> list[UserEvent]:
    """Grant a role that is not held yet."""
    if f"{command.area}:{command.role}" in user.grants:
        return []
    return [RoleGranted(user_id=command.user_id, area=command.area, role=command.role)]


def revoke(command: RevokeRole, user: User) -> list[UserEvent]:
    """Revoke a role that is held."""
    if f"{command.area}:{command.role}" not in user.grants:
        return []
    return [RoleRevoked(user_id=command.user_id, area=command.area, role=command.role)]


def deactivate(command: DeactivateUser, user: User) -> list[UserEvent]:
    """Deactivate a user who is active."""
    if not user.active:
        return []
    return [UserDeactivated(user_id=command.user_id, reason=command.reason)]


def reactivate(command: ReactivateUser, user: User) -> list[UserEvent]:
    """Reactivate a user who is not active."""
    return [] if user.active else [UserReactivated(user_id=command.user_id)]


def erase(command: EraseUser, user: User) -> list[UserEvent]:
    """Erase a user once."""
    return [] if user.erased else [UserErased(user_id=command.user_id)]


def email_key(org_id: str, hmac: str) -> UUID:
    """Return the reservation of an address."""
    return reservation_id(org_id, "email", (hmac,))


def username_key(org_id: str, hmac: str) -> UUID:
    """Return the reservation of a user name."""
    return reservation_id(org_id, "username", (hmac,))


def identity_key(org_id: str, hmac: str) -> UUID:
    """Return the reservation of an identity."""
    return reservation_id(org_id, "identity", (hmac,))


def holder(user_id: UUID) -> str:
    """Return how reservations name a user."""
    return f"user:{user_id}"


def user_of(held_by: str) -> UserId:
    """Return the user that a reservation names."""
    return UserId(UUID(held_by.removeprefix("user:")))


def also(  # noqa: PLR0911 - one for each command
    command: AnyUserCommand, state: User, meta: Meta
) -> Sequence[Command]:
    """Reserve what an account needs; release it when it goes, with all its person."""
    match command:
        case RegisterUser():
            return reservations(command, meta.org_id)
        case ChangeEmail():
            wanted = email_reservation(command, meta.org_id)
            return instead(wanted, state.address.email_key)
        case ChangeUsername():
            wanted = username_reservation(command, meta.org_id)
            return instead(wanted, state.name.username_key)
        case LinkIdentity():
            return [reservation(command.user_id, command.identity, meta.org_id)]
        case UnlinkIdentity():
            held = state.identities.get(command.provider)
            return [] if held is None else [release(command.user_id, held)]
        case EraseUser():
            return farewell(command, state)
        case _:
            return ()


def reservations(command: RegisterUser, org_id: str) -> list[Command]:
    """Return the reservations of an account's address and user name."""
    return [
        email_reservation(command, org_id),
        username_reservation(command, org_id),
        *(
            [reservation(command.user_id, command.identity, org_id)]
            if command.identity
            else []
        ),
    ]


def email_reservation(command: RegisterUser | ChangeEmail, org_id: str) -> ReserveKey:
    """Return the reservation of an address for its account."""
    return ReserveKey(
        org_id=org_id,
        scope="email",
        key=(command.email_hmac,),
        holder=holder(command.user_id),
        path="$.email",
        refusal=EmailTaken,
        discreet=True,
    )


def username_reservation(
    command: RegisterUser | ChangeUsername, org_id: str
) -> ReserveKey:
    """Return the reservation of a user name for its account."""
    return ReserveKey(
        org_id=org_id,
        scope="username",
        key=(command.username_hmac,),
        holder=holder(command.user_id),
        path="$.username",
        refusal=UsernameTaken,
        discreet=True,
    )


def instead(wanted: ReserveKey, held: UUID) -> list[Command]:
    """Return what reserves a key, and lets go of the one that was held before."""
    if wanted.reservation_id == held:
        return []
    return [wanted, ReleaseKey(reservation_id=held, holder=wanted.holder)]


def reservation(user_id: UserId, identity: Identity, org_id: str) -> ReserveKey:
    """Return the reservation of an identity for its account."""
    return ReserveKey(
        org_id=org_id,
        scope="identity",
        key=(identity.hmac,),
        holder=holder(user_id),
        path="$",
        refusal=IdentityTaken,
        discreet=True,
    )


def release(user_id: UserId, key: UUID) -> ReleaseKey:
    """Return what lets go of a key of an account."""
    return ReleaseKey(reservation_id=key, holder=holder(user_id))


def farewell(command: EraseUser, user: User) -> list[Command]:
    """Return what ends with an account: its person's text, and all that is unique."""
    address, name = user.address.email_key, user.name.username_key
    held = (address, name, *user.identities.values())
    addresses = dict.fromkeys((address, *user.left))
    return [
        EraseSubject(subject_id=SubjectId(command.user_id), reason=command.reason),
        *(ForgetAddress(address_id=each, reason=command.reason) for each in addresses),
        *(release(command.user_id, key) for key in held),
    ]


def identify(command: AnyUserCommand) -> UUID:
    """Return the user's id."""
    return command.user_id


decider: Final = Decider[AnyUserCommand, User, UserEvent](
    category="access.user",
    commands=get_args(UserCommand) + get_args(SignInCommand),
    events=get_args(UserEvent),
    initial=User(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    also=also,
    internal=get_args(SignInCommand),
)
