"""What the facts of the access context share."""

import msgspec

from events.message import Event
from events.roles import Area, Role


class AccessEvent(Event, frozen=True, kw_only=True, tag=lambda name: f"access.{name}"):
    """A fact about people and what they may do."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A role in an area."""

    area: Area
    role: Role

    @property
    def written(self) -> str:
        """Return the grant as tokens carry it: `area:role`."""
        return f"{self.area}:{self.role}"
