"""A service token: issued once, revoked once; its secret is kept elsewhere."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, assert_never, get_args
from uuid import UUID

import msgspec

from events.access.common import Grant
from events.access.service_tokens import (
    ServiceTokenEvent,
    ServiceTokenIssued,
    ServiceTokenRevoked,
)
from events.errors import Missing
from events.ids import ServiceTokenId
from events.message import Meta
from events.roles import Scope
from services.access.common import AccessCommand, AlreadyExists, Reason
from services.decider import Decider


ServiceName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\n)")
]


class NoSuchServiceToken(Missing):
    """There is no such service token."""


class IssueServiceToken(AccessCommand, frozen=True, kw_only=True):
    """Say that a service has a token, and what its bearer may do."""

    token_id: ServiceTokenId
    service: ServiceName
    grants: tuple[Grant, ...]
    scopes: tuple[Scope, ...]
    expires_at: datetime


class RevokeServiceToken(AccessCommand, frozen=True, kw_only=True):
    """Say that a token is good no more."""

    token_id: ServiceTokenId
    reason: Reason


ServiceTokenCommand = IssueServiceToken | RevokeServiceToken


class ServiceToken(msgspec.Struct, frozen=True):
    """A token as its rules see it."""

    issued: bool = False
    revoked: bool = False


def evolve(_state: ServiceToken, event: ServiceTokenEvent) -> ServiceToken:
    """Return the state after an event."""
    match event:
        case ServiceTokenIssued():
            return ServiceToken(issued=True)
        case ServiceTokenRevoked():
            return ServiceToken(issued=True, revoked=True)
        case _:
            assert_never(event)


def decide(
    command: ServiceTokenCommand, state: ServiceToken, _meta: Meta
) -> Sequence[ServiceTokenEvent]:
    """Return what happens, or refuse."""
    match command:
        case IssueServiceToken():
            return issue(command, state)
        case RevokeServiceToken():
            return revoke(command, state)
        case _:
            assert_never(command)


def issue(command: IssueServiceToken, state: ServiceToken) -> list[ServiceTokenEvent]:
    """Issue a token, whose id is new."""
    if state.issued:
        raise AlreadyExists(path="$.token_id")
    return [
        ServiceTokenIssued(
            token_id=command.token_id,
            service=command.service,
            grants=tuple(dict.fromkeys(command.grants)),
            scopes=tuple(dict.fromkeys(command.scopes)),
            expires_at=command.expires_at,
        )
    ]


def revoke(command: RevokeServiceToken, state: ServiceToken) -> list[ServiceTokenEvent]:
    """Revoke a token, once."""
    if not state.issued:
        raise NoSuchServiceToken
    if state.revoked:
        return []
    return [ServiceTokenRevoked(token_id=command.token_id, reason=command.reason)]


def identify(command: ServiceTokenCommand) -> UUID:
    """Return the token's id."""
    return command.token_id


decider: Final = Decider[ServiceTokenCommand, ServiceToken, ServiceTokenEvent](
    category="access.service_token",
    commands=get_args(ServiceTokenCommand),
    events=get_args(ServiceTokenEvent),
    initial=ServiceToken(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    internal=get_args(ServiceTokenCommand),
)
