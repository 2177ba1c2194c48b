"""What accounts need from outside: a store beside the log, hashes, tokens and mail."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from events.access.users import SignInMethod


EndedWhy = Literal["signed-out", "reused", "deactivated", "erased", "password"]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail: plain text to one address."""

    to: str
    subject: str
    text: str


class Mail(Protocol):
    """Sends letters; at most once each."""

    async def send(self, letter: Letter) -> None:
        """Return when the letter is on its way, or raise `Unavailable`."""
        ...


class Hasher(Protocol):
    """Turns passwords into hashes that nobody can turn back."""

    async def hash(self, password: str) -> str:
        """Return a new hash of a password, its scheme and cost within."""
        ...

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Say whether a hash is of a password; no hash takes as long, and is of none.

        Raises `TooMany` where too many passwords wait for their turn.
        """
        ...

    def is_current(self, hashed: str) -> bool:
        """Say whether a hash is of the scheme and cost of new ones."""
        ...

    def scheme(self, hashed: str) -> str:
        """Return the name of a hash's scheme."""
        ...

    async def weakness(self, password: str, words: tuple[str, ...]) -> str | None:
        """Return why a password is easily guessed, by somebody who knows the words."""
        ...


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """So many at once, and again so many after the period."""

    burst: int
    period: timedelta


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in; `generation` is that of the token that is good now."""

    session_id: UUID
    org_id: str
    user_id: UUID
    method: SignInMethod
    generation: int
    ip: str | None
    agent: str | None
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    ended_why: EndedWhy | None = None


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that began: for which organisation, by whom, and where it goes on."""

    org_id: str
    provider: str
    redirect_uri: str


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is, as a provider says; issuer and subject never change.

    `email` is None where the provider does not say that it verified the address.
    """

    issuer: str
    subject: str
    email: str | None = None
    username: str | None = None
    full_name: str | None = None


class IdentityProvider(Protocol):
    """Proves who people are; raises `Unavailable` where it cannot be reached."""

    @property
    def name(self) -> str:
        """Return the name that paths and accounts know it by."""
        ...

    @property
    def title(self) -> str:
        """Return the name that people know it by."""
        ...

    @property
    def redirect_uris(self) -> Collection[str]:
        """Return the addresses that it may send people back to."""
        ...

    @property
    def organisation(self) -> str | None:
        """Return the organisation that it serves, if it serves one only."""
        ...

    def serves(self, org_id: str) -> bool:
        """Say whether people of an organisation may sign in by it."""
        ...

    def trusted_by(self, org_id: str) -> bool:
        """Say whether an organisation believes it whose an address is."""
        ...

    async def address(
        self, *, redirect_uri: str, state: str, nonce: str, challenge: str
    ) -> str:
        """Return where a browser is to be sent."""
        ...

    async def prove(
        self,
        *,
        code: str,
        verifier: str,
        nonce: str,
        redirect_uri: str,
        issuer: str | None,
    ) -> Proved:
        """Return who a code is of, or raise `Unauthenticated`."""
        ...


class Store(Protocol):
    """Passwords, codes, handshakes, sessions, rates; all raise `Unavailable`."""

    async def admit(self, key: str, rate: Rate) -> timedelta | None:
        """Count a request; return how long to wait where its key is past the rate."""
        ...

    async def password(self, user_id: UUID) -> str | None:
        """Return the hash of a user's password."""
        ...

    async def keep_password(self, org_id: str, user_id: UUID, hashed: str) -> None:
        """Keep the hash of a user's password, instead of any other."""
        ...

    async def forget_user(self, user_id: UUID) -> None:
        """Forget the password and the sessions of a user."""
        ...

    async def keep_code(
        self, org_id: str, address: str, digest: bytes, *, seconds: int, guesses: int
    ) -> None:
        """Keep the digest of the code for an address, instead of any other."""
        ...

    async def guess_code(
        self, org_id: str, address: str, digest: bytes, *, spend: bool
    ) -> bool:
        """Say whether a code is the one that was sent; a wrong guess is counted.

        One that is right can be used again unless it is to be spent.
        """
        ...

    async def keep_handshake(
        self, digest: bytes, handshake: Handshake, *, seconds: int
    ) -> None:
        """Keep a sign-in that began, by the digest of its state."""
        ...

    async def take_handshake(self, digest: bytes) -> Handshake | None:
        """Return a sign-in that began not long ago, once."""
        ...

    async def begin(self, session: Session) -> None:
        """Keep a new session."""
        ...

    async def session(self, session_id: UUID) -> Session | None:
        """Return a session, ended or not."""
        ...

    async def sessions(self, user_id: UUID) -> list[Session]:
        """Return the sessions of a user that have not ended, the newest first."""
        ...

    async def renew(
        self, session_id: UUID, generation: int, *, idle: timedelta
    ) -> Session | None:
        """Make the next generation of a session, if this is the one that is good now.

        None where it is not, or the session is over or was idle for too long.
        """
        ...

    async def end(self, session_id: UUID, why: EndedWhy) -> bool:
        """End a session; return whether it had not ended before."""
        ...

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


class Issuing(Protocol):
    """Signs access tokens."""

    def issue(
        self,
        subject: str,
        *,
        org: str,
        roles: frozenset[str],
        region: str,
        email: str | None,
        session: UUID,
        generation: int,
        lifetime: timedelta,
    ) -> str:
        """Return a bearer token."""
        ...
