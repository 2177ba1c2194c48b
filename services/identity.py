"""Who is asking: what every edge learns from a token, and from nothing else."""

from typing import Protocol
from uuid import UUID

import msgspec

from events import roles


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The organisation and actor behind a token, and what they may do.

    `actor` is `user:ID` or `service:ID`, `email` the address that the token proves. A
    role is plain, for every area, or written `area:role`. `session_id` is that of
    somebody who signed in here.
    """

    org_id: str
    region: str
    actor: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    email: str | None = None
    session_id: UUID | None = None

    def holds(self, role: str, area: str) -> bool:
        """Say whether the bearer has a role in an area, or everywhere."""
        return roles.holds(self.roles, role, area)


class Verifier(Protocol):
    """Turns a bearer token into the identity that it proves."""

    def verify(self, token: str) -> Identity:
        """Return the identity, or raise `Unauthenticated` with the reason."""
        ...
