"""The job `end_sessions`: who may sign in no more is signed out, wherever they are.

Whose roles or address changed goes on, with tokens that say so.
"""

from datetime import datetime
from typing import Protocol, assert_never
from uuid import UUID

import msgspec

from services.access.reactions import EndSessionsBody
from services.accounts.ports import EndedWhy
from services.ports import Lease


class SessionStore(Protocol):
    """The part of the store that ends sessions."""

    async def end_all(
        self,
        user_id: UUID,
        why: EndedWhy,
        *,
        but: UUID | None = None,
        until: datetime | None = None,
    ) -> list[UUID]:
        """End the sessions of a user that began until a moment, and return which."""
        ...

    async def outdate(self, user_id: UUID) -> None:
        """Have the access tokens of a user believed no more; sessions go on."""
        ...

    async def forget_user(self, user_id: UUID) -> None:
        """Forget the password and the sessions of a user."""
        ...


class EndSessions:
    """Ends the sessions of users; again, it changes nothing."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def __call__(self, lease: Lease) -> None:
        """End the sessions that a job names."""
        body = msgspec.convert(lease.job.body, EndSessionsBody)
        match body.why:
            case "erased":
                await self._store.forget_user(body.user_id)
            case "deactivated":
                await self._store.end_all(body.user_id, body.why, until=body.until)
            case "changed":
                await self._store.outdate(body.user_id)
            case _:
                assert_never(body.why)
