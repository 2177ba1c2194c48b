"""The tokens of services: issued with a secret that is shown once, and revoked.

A token is `rhs_` and the base64url of 16 bytes id and 32 bytes of chance. Only the
SHA-256 of these is kept; of so much chance nobody can find what a digest is of.
"""

import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated, Final, Protocol
from uuid import UUID

import msgspec

from events.access.common import Grant
from events.errors import Refused, Unauthenticated
from events.ids import ServiceTokenId
from events.roles import Scope
from services.access.service_tokens import IssueServiceToken, RevokeServiceToken
from services.accounts.people import Caller, People
from services.identity import Identity, Verifier
from services.ports import Clock, Ids


PREFIX: Final = "rhs_"
MOST_DAYS: Final = 366
MOST_TOKENS: Final = 1_000

_ID: Final = 16
_CHANCE: Final = 32

Days = Annotated[int, msgspec.Meta(ge=1, le=MOST_DAYS)]


class TooManyServiceTokens(Refused):
    """The organisation has 1,000 service tokens that are good; revoke some."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a token to believe its bearer; `roles` are written area:role."""

    token_id: UUID
    org_id: str
    service: str
    roles: frozenset[str]
    scopes: frozenset[str]
    digest: bytes
    expires_at: datetime
    revoked_at: datetime | None = None


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A new token; it cannot be shown again. It is good everywhere in two seconds."""

    token_id: UUID
    token: str
    expires_at: datetime
    position: int


class TokenStore(Protocol):
    """Keeps what tokens are believed by; raises `Unavailable`."""

    async def keep(self, kept: Kept, *, most: int) -> bool:
        """Keep a new token, unless its organisation has so many that are good."""
        ...

    async def revoke(self, org_id: str, token_id: UUID) -> None:
        """Believe a token of an organisation no more."""
        ...


class Known:
    """The tokens that are good, as this process knows them."""

    def __init__(self) -> None:
        self._kept: dict[UUID, Kept] = {}

    def learn(self, kept: Kept) -> None:
        """Believe a token from now on, or no more if it was revoked."""
        if kept.revoked_at is None:
            self._kept[kept.token_id] = kept
        else:
            self._kept.pop(kept.token_id, None)

    def forget(self, token_id: UUID) -> None:
        """Believe a token no more."""
        self._kept.pop(token_id, None)

    def get(self, token_id: UUID) -> Kept | None:
        """Return what is known of a token that was not revoked."""
        return self._kept.get(token_id)


class BearerVerifier:
    """Believes the tokens of services that are known, and asks another of the rest."""

    def __init__(
        self, known: Known, *, others: Verifier, region: str, clock: Clock
    ) -> None:
        self._known = known
        self._others = others
        self._region = region
        self._clock = clock

    def verify(self, token: str) -> Identity:
        """Return the identity that a token proves, or raise `Unauthenticated`."""
        if not token.startswith(PREFIX):
            return self._others.verify(token)
        token_id = id_of(token)
        kept = self._known.get(token_id)
        if kept is None or not compare_digest(digest_of(token), kept.digest):
            raise Unauthenticated("This service token is not known, or was revoked.")
        if self._clock() >= kept.expires_at:
            self._known.forget(token_id)
            raise Unauthenticated("The service token has expired.")
        return Identity(
            org_id=kept.org_id,
            region=self._region,
            actor=f"service:{kept.service}",
            roles=kept.roles,
            scopes=kept.scopes,
        )


class ServiceTokens:
    """Issues and revokes the tokens of services."""

    def __init__(
        self, *, people: People, store: TokenStore, clock: Clock, ids: Ids
    ) -> None:
        self._people = people
        self._store = store
        self._clock = clock
        self._ids = ids

    async def issue(
        self,
        org_id: str,
        *,
        service: str,
        grants: Sequence[Grant],
        scopes: Sequence[Scope],
        days: int,
        caller: Caller,
        actor: str,
    ) -> Issued:
        """Return a new token, or raise `TooManyServiceTokens`.

        It is recorded before it is kept: one of which nobody got the secret can be
        seen, and revoked.
        """
        token_id = ServiceTokenId(self._ids())
        token = new_token(token_id)
        expires_at = self._clock() + timedelta(days=days)
        outcome = await self._people.record(
            IssueServiceToken(
                token_id=token_id,
                service=service,
                grants=tuple(grants),
                scopes=tuple(scopes),
                expires_at=expires_at,
            ),
            caller,
            org_id=org_id,
            actor=actor,
        )
        kept = Kept(
            token_id=token_id,
            org_id=org_id,
            service=service,
            roles=frozenset(each.written for each in grants),
            scopes=frozenset(scopes),
            digest=digest_of(token),
            expires_at=expires_at,
        )
        if not await self._store.keep(kept, most=MOST_TOKENS):
            reason = RevokeServiceToken(token_id=token_id, reason="Too many tokens")
            await self._people.record(reason, caller, org_id=org_id, actor=actor)
            raise TooManyServiceTokens
        return Issued(
            token_id=token_id,
            token=token,
            expires_at=expires_at,
            position=outcome.position,
        )

    async def revoke(
        self, org_id: str, token_id: UUID, *, reason: str, caller: Caller, actor: str
    ) -> int:
        """Revoke a token, and return the position; `Missing` where there is none.

        It is believed no more before that is recorded.
        """
        await self._store.revoke(org_id, token_id)
        outcome = await self._people.record(
            RevokeServiceToken(token_id=ServiceTokenId(token_id), reason=reason),
            caller,
            org_id=org_id,
            actor=actor,
        )
        return outcome.position


def new_token(token_id: UUID) -> str:
    """Return a token that nobody can guess."""
    body = token_id.bytes + secrets.token_bytes(_CHANCE)
    return PREFIX + urlsafe_b64encode(body).decode()


def digest_of(token: str) -> bytes:
    """Return what a token is kept by."""
    return sha256(token.encode()).digest()


def id_of(token: str) -> UUID:
    """Return the id that a token names, or raise `Unauthenticated`."""
    try:
        body = b64decode(token.removeprefix(PREFIX), b"-_", validate=True)
    except ValueError:
        body = b""
    if len(body) != _ID + _CHANCE:
        raise Unauthenticated("This is no service token of ours.")
    return UUID(bytes=body[:_ID])
