from typing import Final
from uuid import UUID

from msgspec.structs import replace

from events.access.addresses import AddressForgotten
from events.access.common import Grant
from events.access.subjects import SubjectErased
from events.access.users import (
    EmailChanged,
    EmailVerified,
    IdentityLinked,
    IdentityUnlinked,
    RoleGranted,
    RoleRevoked,
    UserDeactivated,
    UserErased,
    UsernameChanged,
    UserProfileChanged,
    UserReactivated,
    UserRegistered,
    UserSignedIn,
)
from events.errors import Missing
from events.ids import SubjectId, UserId
from events.message import Command
from events.reservations import KeyReleased, KeyReserved
from services.access.common import AlreadyExists, Deactivated, NoSuchUser
from services.access.users import (
    AnotherIdentity,
    ChangeEmail,
    ChangeProfile,
    ChangeUsername,
    DeactivateUser,
    EmailTaken,
    Erased,
    EraseUser,
    GrantRole,
    Identity,
    IdentityTaken,
    LinkIdentity,
    ReactivateUser,
    RecordSignIn,
    RegisterUser,
    RevokeRole,
    SetPassword,
    UnlinkIdentity,
    UsernameTaken,
    VerifyEmail,
    email_key,
    identity_key,
    username_key,
)
from tests.given import given, meta_of


INES: Final = UserId(UUID(int=1))
OTTO: Final = UserId(UUID(int=2))
AT_ACME: Final = Identity(provider="acme", hmac="ines at acme")
TESTER: Final = Grant(area="playgrounds", role="tester")


def registration(
    user_id: UserId = INES, *, name: str = "ines", invited: bool = False
) -> RegisterUser:
    return RegisterUser(
        user_id=user_id,
        email=f"{name}@library.example",
        username=name,
        full_name="Ines",
        email_hmac=f"address of {name}",
        username_hmac=f"name of {name}",
        grants=(TESTER, TESTER),
        invited=invited,
    )


def test_an_account_holds_its_address_its_name_and_its_roles() -> None:
    email = email_key("acme", "address of ines")
    name = username_key("acme", "name of ines")
    given().when(registration()).then(
        UserRegistered(
            user_id=INES,
            subject_id=SubjectId(INES),
            email="ines@library.example",
            username="ines",
            full_name="Ines",
            email_key=email,
            username_key=name,
        ),
        RoleGranted(user_id=INES, area="playgrounds", role="tester"),
        KeyReserved(reservation_id=email, scope="email", holder=f"user:{INES}"),
        KeyReserved(reservation_id=name, scope="username", holder=f"user:{INES}"),
    ).when(registration()).then()


def test_an_address_and_a_name_are_of_one_account_each() -> None:
    world = given(registration())
    other = registration(OTTO, name="otto")
    taken = replace(other, email_hmac="address of ines")
    world.when(taken).then_refused(EmailTaken, path="$.email")
    taken = replace(other, username_hmac="name of ines")
    refused = world.when(taken)
    refused.then_refused(UsernameTaken, path="$.username")
    assert str(INES) not in str(refused.failure)
    world.when(registration(name="otto")).then_refused(AlreadyExists, path="$.user_id")


def test_another_address_is_reserved_and_the_old_one_is_free() -> None:
    before, after = (email_key("acme", f"address of {name}") for name in ("ines", "i"))
    move = ChangeEmail(
        user_id=INES, email="i@library.example", email_hmac="address of i"
    )
    world = given(registration(invited=True), registration(OTTO, name="otto"))
    moved = world.when(move).then(
        EmailChanged(
            user_id=INES,
            subject_id=SubjectId(INES),
            email="i@library.example",
            email_key=after,
        ),
        KeyReserved(reservation_id=after, scope="email", holder=f"user:{INES}"),
        KeyReleased(reservation_id=before, holder=f"user:{INES}"),
    )
    moved.when(move).then()
    moved.when(VerifyEmail(user_id=INES)).then()
    moved.when(EraseUser(user_id=INES, reason="Asked for")).then_happens(
        KeyReleased(reservation_id=after, holder=f"user:{INES}")
    )
    taken = replace(move, email_hmac="address of otto")
    world.when(taken).then_refused(EmailTaken, path="$.email")
    leaving = DeactivateUser(user_id=INES, reason="Left")
    given(registration(), leaving).when(move).then_refused(Deactivated)


def test_another_user_name_is_reserved_and_one_that_differs_in_case_is_held() -> None:
    before, after = (username_key("acme", f"name of {name}") for name in ("ines", "i"))
    rename = ChangeUsername(user_id=INES, username="ida", username_hmac="name of i")
    renamed = UsernameChanged(
        user_id=INES,
        subject_id=SubjectId(INES),
        username="ida",
        username_key=after,
    )
    world = given(registration(), registration(OTTO, name="otto"))
    world.when(rename).then(
        renamed,
        KeyReserved(reservation_id=after, scope="username", holder=f"user:{INES}"),
        KeyReleased(reservation_id=before, holder=f"user:{INES}"),
    ).when(rename).then()
    written = replace(rename, username="Ines", username_hmac="name of ines")
    world.when(written).then(replace(renamed, username="Ines", username_key=before))
    taken = replace(rename, username_hmac="name of otto")
    refused = world.when(taken)
    refused.then_refused(UsernameTaken, path="$.username")
    assert str(OTTO) not in str(refused.failure)
    leaving = DeactivateUser(user_id=INES, reason="Left")
    given(registration(), leaving).when(rename).then_refused(Deactivated)


def test_an_account_is_linked_to_one_identity_of_each_provider() -> None:
    key = identity_key("acme", "ines at acme")
    linked = IdentityLinked(user_id=INES, provider="acme", identity_key=key)
    link = LinkIdentity(user_id=INES, identity=AT_ACME)
    world = given(registration(), registration(OTTO, name="otto"))
    world = world.when(link).then(
        linked,
        KeyReserved(reservation_id=key, scope="identity", holder=f"user:{INES}"),
    )
    world.when(link).then()
    world.when(replace(link, user_id=OTTO)).then_refused(IdentityTaken, path="$")
    other = Identity(provider="acme", hmac="ines at acme, too")
    world.when(replace(link, identity=other)).then_refused(AnotherIdentity)
    world.when(UnlinkIdentity(user_id=INES, provider="other")).then()
    world = world.when(UnlinkIdentity(user_id=INES, provider="acme")).then(
        IdentityUnlinked(user_id=INES, provider="acme", identity_key=key),
        KeyReleased(reservation_id=key, holder=f"user:{INES}"),
    )
    world.when(replace(link, user_id=OTTO)).then(
        replace(linked, user_id=OTTO),
        KeyReserved(reservation_id=key, scope="identity", holder=f"user:{OTTO}"),
    )
    leaving = DeactivateUser(user_id=INES, reason="Left")
    given(registration(), leaving).when(link).then_refused(Deactivated)


def test_who_registers_by_an_identity_holds_it_until_erased() -> None:
    key = identity_key("acme", "ines at acme")
    registered = given().when(replace(registration(), identity=AT_ACME))
    world = registered.then_happens(
        IdentityLinked(user_id=INES, provider="acme", identity_key=key),
        KeyReserved(reservation_id=key, scope="identity", holder=f"user:{INES}"),
    )
    world.when(EraseUser(user_id=INES, reason="Asked for")).then_happens(
        KeyReleased(reservation_id=key, holder=f"user:{INES}")
    )


def test_only_who_was_invited_has_their_address_verified_later() -> None:
    verify = VerifyEmail(user_id=INES)
    given(registration()).when(verify).then()
    given(registration(invited=True)).when(verify).then(
        EmailVerified(user_id=INES)
    ).when(verify).then()


def test_a_role_is_granted_and_revoked_once() -> None:
    granting = GrantRole(user_id=INES, area="testing", role="user")
    revoking = RevokeRole(user_id=INES, area="testing", role="user")
    world = given(registration()).when(revoking).then()
    granted = RoleGranted(user_id=INES, area="testing", role="user")
    world = world.when(granting).then(granted).when(granting).then()
    world.when(revoking).then(RoleRevoked(user_id=INES, area="testing", role="user"))


def test_a_profile_changes_where_it_is_given() -> None:
    profile = UserProfileChanged(
        user_id=INES,
        subject_id=SubjectId(INES),
        full_name="Ines",
        bio="Reads",
        avatar_url=None,
        profile_public=True,
        allow_contact=False,
    )
    change = ChangeProfile(user_id=INES, bio="Reads", profile_public=True)
    world = given(registration()).when(change).then(profile).when(change).then()
    world.when(ChangeProfile(user_id=INES, bio="")).then(
        UserProfileChanged(
            user_id=INES,
            subject_id=SubjectId(INES),
            full_name="Ines",
            bio=None,
            avatar_url=None,
            profile_public=True,
            allow_contact=False,
        )
    )


def test_who_is_deactivated_begins_no_session_until_reactivated() -> None:
    session = RecordSignIn(user_id=INES, session_id=UUID(int=9), method="code")
    leave = DeactivateUser(user_id=INES, reason="Left")
    back = ReactivateUser(user_id=INES)
    world = given(registration()).when(back).then()
    world = world.when(leave).then(UserDeactivated(user_id=INES, reason="Left"))
    world.when(leave).then().when(session).then_refused(Deactivated)
    world.when(back).then(UserReactivated(user_id=INES)).when(session).then(
        UserSignedIn(user_id=INES, session_id=UUID(int=9), method="code")
    )


def test_an_erasure_ends_the_account_and_frees_what_it_held() -> None:
    erasure = EraseUser(user_id=INES, reason="Asked for")
    world = (
        given(registration())
        .when(erasure)
        .then(
            UserErased(user_id=INES),
            SubjectErased(subject_id=SubjectId(INES), reason="Asked for"),
            AddressForgotten(
                address_id=email_key("acme", "address of ines"),
                at=meta_of().occurred_at,
            ),
            released(email_key("acme", "address of ines")),
            released(username_key("acme", "name of ines")),
        )
    )
    world = world.when(erasure).then()
    for command in changes(INES):
        world.when(command).then_refused(Erased, path="$.user_id")
    world.when(registration(OTTO)).then_happens(
        RoleGranted(user_id=OTTO, area="playgrounds", role="tester")
    )


def test_who_has_no_account_is_missing() -> None:
    world = given(registration())
    for command in (*changes(OTTO), EraseUser(user_id=OTTO, reason="Asked for")):
        world.when(command).then_refused(NoSuchUser, path="$.user_id")
    assert issubclass(NoSuchUser, Missing)


def changes(user_id: UserId) -> list[Command]:
    """Return one of every command that takes an account."""
    return [
        VerifyEmail(user_id=user_id),
        ChangeEmail(user_id=user_id, email="i@library.example", email_hmac="i"),
        ChangeUsername(user_id=user_id, username="ida", username_hmac="ida"),
        LinkIdentity(user_id=user_id, identity=AT_ACME),
        UnlinkIdentity(user_id=user_id, provider="acme"),
        SetPassword(user_id=user_id, scheme="bcrypt"),
        RecordSignIn(user_id=user_id, session_id=UUID(int=9), method="code"),
        ChangeProfile(user_id=user_id, bio="Reads"),
        GrantRole(user_id=user_id, area="testing", role="user"),
        RevokeRole(user_id=user_id, area="testing", role="user"),
        DeactivateUser(user_id=user_id, reason="Left"),
        ReactivateUser(user_id=user_id),
    ]


def released(key: UUID) -> KeyReleased:
    return KeyReleased(reservation_id=key, holder=f"user:{INES}")
