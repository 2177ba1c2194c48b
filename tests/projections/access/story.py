"""One story in facts: Ines registers, signs in, leaves, comes back and is erased."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from events.access.common import Grant
from events.access.organisations import OrganisationChanged, OrganisationCreated
from events.access.service_tokens import ServiceTokenIssued, ServiceTokenRevoked
from events.access.sql_logins import SqlLoginGiven, SqlLoginTaken
from events.access.subjects import SubjectErased
from events.access.users import (
    EmailChanged,
    EmailVerified,
    IdentityLinked,
    IdentityUnlinked,
    PasswordSet,
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
from events.ids import (
    OrganisationId,
    ServiceTokenId,
    SqlLoginId,
    SubjectId,
    UserId,
)
from events.message import Event


LIBRARY: Final = OrganisationId(UUID(int=9))
INES: Final = UserId(UUID(int=1))
LOADER: Final = ServiceTokenId(UUID(int=7))
LOGIN: Final = SqlLoginId(UUID(int=8))
REGISTERED: Final = UserRegistered(
    user_id=INES,
    subject_id=SubjectId(INES),
    email="ines@library.example",
    username="ines",
    full_name="Ines",
    email_key=UUID(int=11),
    username_key=UUID(int=12),
)
PROFILE: Final = UserProfileChanged(
    user_id=INES,
    subject_id=SubjectId(INES),
    full_name="Ines V.",
    bio="Reads",
    avatar_url="https://library.example/ines.png",
    profile_public=True,
    allow_contact=True,
)
MOVED: Final = EmailChanged(
    user_id=INES,
    subject_id=SubjectId(INES),
    email="ines@elsewhere.example",
    email_key=UUID(int=14),
)
RENAMED: Final = UsernameChanged(
    user_id=INES,
    subject_id=SubjectId(INES),
    username="ines.v",
    username_key=UUID(int=15),
)
GONE: Final = SubjectErased(subject_id=SubjectId(INES), reason="Asked for")


def whole() -> list[Event]:
    """Return a whole story, with every kind of change of an account."""
    grants = (Grant(area="testing", role="user"),)
    return [
        OrganisationCreated(
            organisation_id=LIBRARY,
            name="Library",
            registration="invited",
            default_grants=(),
        ),
        OrganisationChanged(
            organisation_id=LIBRARY,
            name="The library",
            registration="open",
            default_grants=grants,
        ),
        REGISTERED,
        EmailVerified(user_id=INES),
        PROFILE,
        MOVED,
        RENAMED,
        PasswordSet(user_id=INES, scheme="bcrypt"),
        IdentityLinked(user_id=INES, provider="acme", identity_key=UUID(int=13)),
        IdentityUnlinked(user_id=INES, provider="acme", identity_key=UUID(int=13)),
        UserSignedIn(user_id=INES, session_id=UUID(int=3), method="password"),
        RoleGranted(user_id=INES, area="testing", role="user"),
        RoleGranted(user_id=INES, area="playgrounds", role="admin"),
        RoleRevoked(user_id=INES, area="testing", role="user"),
        ServiceTokenIssued(
            token_id=LOADER,
            service="loader",
            grants=grants,
            scopes=("import",),
            expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        ),
        ServiceTokenRevoked(token_id=LOADER, reason="Replaced"),
        SqlLoginGiven(login_id=LOGIN, login="ines", user_id=INES),
        UserDeactivated(user_id=INES, reason="Left"),
        UserReactivated(user_id=INES),
        SqlLoginTaken(login_id=LOGIN, reason="Not used"),
        SqlLoginGiven(login_id=LOGIN, login="ines", user_id=INES),
        UserErased(user_id=INES),
        GONE,
    ]
