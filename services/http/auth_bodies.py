"""What the routes of signing in take and answer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from events.roles import Scope
from services.access.common import Email, FullName, Reason, Username
from services.access.organisations import Grants
from services.access.service_tokens import ServiceName
from services.accounts.identities import Offered
from services.accounts.service_tokens import Days


Org = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:@-]{1,128}$(?!\n)")]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Code = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4} ?[0-9]{4}$(?!\n)")]
RefreshToken = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body of which every field is known."""


class AskForCode(Body, frozen=True, kw_only=True):
    """Whose address a code is to be sent to."""

    org: Org
    email: Email


class CodeAsked(msgspec.Struct, frozen=True, kw_only=True):
    """For how many seconds the code is good, if one was sent."""

    expires_in: int


class Register(Body, frozen=True, kw_only=True):
    """A new account, for an address that a code was sent to."""

    org: Org
    email: Email
    code: Code
    username: Username
    full_name: FullName
    password: Password | None = None


class SignIn(Body, frozen=True, kw_only=True):
    """An address, and the password of its account or a code that was sent to it."""

    org: Org
    email: Email
    password: Password | None = None
    code: Code | None = None


class Refresh(Body, frozen=True, kw_only=True):
    """The last refresh token."""

    refresh_token: RefreshToken


class ChangePassword(Body, frozen=True, kw_only=True):
    """A new password, and the one in use or a code that was sent."""

    password: Password
    current: Password | None = None
    code: Code | None = None


class AskToMove(Body, frozen=True, kw_only=True):
    """The address that is to be the account's."""

    email: Email


class ChangeAddress(Body, frozen=True, kw_only=True):
    """Another address, and the code that was sent to it.

    With the password, or with a code that was sent to the address in use.
    """

    email: Email
    code: Code
    password: Password | None = None
    current_code: Code | None = None


class ChangeName(Body, frozen=True, kw_only=True):
    """Another user name."""

    username: Username


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Where a change is in the log."""

    position: int


class Invite(Body, frozen=True, kw_only=True):
    """Somebody who is to have an account, and what they may do."""

    email: Email
    username: Username
    full_name: FullName
    grants: Grants = msgspec.field(default_factory=list)


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who the bearer of a token is, as the token says."""

    actor: str
    org: str
    region: str
    roles: list[str]
    scopes: list[str]
    session_id: UUID | None


class SessionShown(msgspec.Struct, frozen=True, kw_only=True):
    """A session of one's own; `current` is the one that asks."""

    session_id: UUID
    method: str
    ip: str | None
    agent: str | None
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    current: bool


class SessionsShown(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions that have not ended, the newest first."""

    sessions: list[SessionShown]


Scopes = Annotated[list[Scope], msgspec.Meta(max_length=16)]


class IssueToken(Body, frozen=True, kw_only=True):
    """A service that is to have a token, what it may do, and for how many days."""

    service: ServiceName
    grants: Grants = msgspec.field(default_factory=list)
    scopes: Scopes = msgspec.field(default_factory=list)
    days: Days = 90


class RevokeToken(Body, frozen=True, kw_only=True):
    """Why a token is to be good no more."""

    reason: Reason


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """Where a revocation is in the log."""

    position: int


Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class BeginIdentity(Body, frozen=True, kw_only=True):
    """Which organisation somebody signs in to, and where they are to come back."""

    org: Org
    redirect_uri: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class FinishIdentity(Body, frozen=True, kw_only=True):
    """What came back with the browser, and the `binding` that was kept.

    `iss` is given where it came back too.
    """

    state: Secret
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
    binding: Secret
    iss: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class ProvidersOffered(msgspec.Struct, frozen=True, kw_only=True):
    """The identity providers of an organisation."""

    providers: list[Offered]
