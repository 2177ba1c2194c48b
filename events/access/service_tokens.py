"""A service token: what a program may do, for how long, and that it may no more.

The token's secret is in no event, nor what could prove it.
"""

from datetime import datetime

from events.access.common import AccessEvent, Grant
from events.ids import ServiceTokenId
from events.roles import Scope


class ServiceTokenIssued(AccessEvent, frozen=True, kw_only=True):
    """A service got a token, which is good until it expires or is revoked."""

    token_id: ServiceTokenId
    service: str
    grants: tuple[Grant, ...]
    scopes: tuple[Scope, ...]
    expires_at: datetime


class ServiceTokenRevoked(AccessEvent, frozen=True, kw_only=True):
    """A token is good no more."""

    token_id: ServiceTokenId
    reason: str


ServiceTokenEvent = ServiceTokenIssued | ServiceTokenRevoked
