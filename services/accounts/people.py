"""Who is who: users found by address, read from the log itself, never from a table."""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

import msgspec

from events.access.organisations import OrganisationChanged
from events.errors import Missing
from events.ids import UserId
from events.message import Command, Meta
from services import reservations
from services.access import addresses, organisations, users
from services.access.users import Identity, User
from services.accounts.secrets import Secrets
from services.decider import AnyDecider
from services.outcome import Outcome
from services.ports import Clock, Ids


class Handling(Protocol):
    """What takes the commands of signing in, and folds streams."""

    async def handle(self, command: Command, meta: Meta) -> Outcome:
        """Return the command's outcome, or raise the failure that stopped it."""
        ...

    async def state(
        self, decider: AnyDecider, key: UUID, *, org_id: str, upto: int | None = None
    ) -> tuple[int, Any]:
        """Return a stream's version and state, or raise `Missing`."""
        ...


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request comes from; `headers` holds its trace context."""

    ip: str | None = None
    agent: str | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class People:
    """The users of every organisation."""

    def __init__(
        self,
        *,
        handler: Handling,
        secrets: Secrets,
        region: str,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._handler = handler
        self._secrets = secrets
        self._region = region
        self._clock = clock
        self._ids = ids

    async def find(self, org_id: str, email: str) -> tuple[UserId, User] | None:
        """Return the user whose address it is, if there is one."""
        key = users.email_key(org_id, self._secrets.address(email))
        return await self._held(org_id, key)

    async def find_by_identity(
        self, org_id: str, identity: Identity
    ) -> tuple[UserId, User] | None:
        """Return the user whom an identity is linked to, if there is one."""
        return await self._held(org_id, users.identity_key(org_id, identity.hmac))

    async def _held(self, org_id: str, key: UUID) -> tuple[UserId, User] | None:
        try:
            _, reserved = await self._handler.state(
                reservations.decider, key, org_id=org_id
            )
        except Missing:
            return None
        if reserved.holder is None:
            return None
        user_id = users.user_of(reserved.holder)
        return user_id, await self.user(org_id, user_id)

    async def user(self, org_id: str, user_id: UUID) -> User:
        """Return a user, or raise `Missing`."""
        _, user = await self._handler.state(users.decider, user_id, org_id=org_id)
        found: User = user
        return found

    async def subjects(self, org_id: str, user_id: UUID) -> list[UUID]:
        """Return for whom text about a user is sealed: themselves, and list entries.

        Who has no account here is on no list, as far as is known.
        """
        found = [user_id]
        try:
            user = await self.user(org_id, user_id)
        except Missing:
            return found
        for address in dict.fromkeys((user.address.email_key, *user.left)):
            try:
                _, listed = await self._handler.state(
                    addresses.decider, address, org_id=org_id
                )
            except Missing:
                continue
            found += listed.subjects
        return found

    async def organisation(self, org_id: str) -> OrganisationChanged | None:
        """Return the settings of an organisation that keeps accounts."""
        try:
            _, state = await self._handler.state(
                organisations.decider,
                organisations.organisation_id(org_id),
                org_id=org_id,
            )
        except Missing:
            return None
        settings: OrganisationChanged | None = state.settings
        return settings

    async def record(
        self,
        command: Command,
        caller: Caller,
        *,
        org_id: str,
        actor: str,
        command_id: UUID | None = None,
    ) -> Outcome:
        """Append what a command comes to, asked for by somebody who was identified."""
        command_id = command_id or self._ids()
        meta = Meta(
            command_id=command_id,
            org_id=org_id,
            region=self._region,
            actor=actor,
            correlation_id=command_id,
            occurred_at=self._clock(),
            ip=caller.ip,
            headers=caller.headers,
        )
        return await self._handler.handle(command, meta)
