"""Roles: what somebody may be, in one area or in all of them.

A grant is written `area:role`; a plain `role` holds in every area. An area is a
context. The role `platform` is of no area: it is held by those who run the
installation, and makes nobody an administrator of an organisation.
"""

from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final, Literal, get_args

from events.errors import Forbidden


Area = Literal["access", "testing", "education", "crews", "experiments", "playgrounds"]
Role = Literal["admin", "user", "teacher", "student", "tester", "viewer"]
Scope = Literal["blobs", "delegate", "events", "import", "parallel-runs"]

AREAS: Final[tuple[Area, ...]] = get_args(Area)
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PLATFORM: Final = "platform"


def holds(held: AbstractSet[str], role: str, area: str) -> bool:
    """Say whether a role is among those held, for the area or for all."""
    return role in held or f"{area}:{role}" in held


def demand(held: frozenset[str], wanted: frozenset[str], area: str) -> None:
    """Raise `Forbidden` unless one of the wanted roles is held."""
    if held.isdisjoint(names(wanted, area)):
        needed = " or ".join(sorted(wanted))
        message = f"This needs the role {needed}, in {area} or everywhere."
        raise Forbidden(message)


@lru_cache(maxsize=256)
def names(wanted: frozenset[str], area: str) -> frozenset[str]:
    """Return every name under which one of some roles is held in an area."""
    return wanted | {f"{area}:{role}" for role in wanted}
