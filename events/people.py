"""People as read tables and sealed text know them: one UUID for each actor."""

from typing import Final
from uuid import UUID, uuid5


SPACE: Final = UUID("5d2b6a94-0f0e-5c3c-9d6c-7f1f4f3c2b18")


def person_id(org_id: str, actor_id: str) -> UUID:
    """Return the UUID of an actor: the actor's id, or one made of it if it is none."""
    try:
        return UUID(actor_id)
    except ValueError:
        return uuid5(SPACE, f"{org_id}/{actor_id}")
