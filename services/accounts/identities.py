"""Identity providers: signing in by OpenID Connect, by a code with PKCE.

Whoever begins keeps a binding, which nobody can guess. State, nonce and verifier are
HMACs of it, and none tells another: so a code that comes back is taken from who began
only, for the provider and the address that it was asked of, and once.

Issuer and subject are who somebody is, whatever their address. An identity that no
account is linked to gets in by an address only where the provider says that it verified
the address and the organisation trusts the provider with that: it is linked to the
account of the address, or registers where the organisation is open. Elsewhere people
sign in otherwise, and link it themselves.
"""

import re
import secrets as chance
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog

from events.errors import Forbidden, Missing, Refused, Unauthenticated
from events.ids import UserId
from services.access.common import Deactivated
from services.access.users import (
    Identity,
    LinkIdentity,
    RegisterUser,
    UnlinkIdentity,
    VerifyEmail,
    holder,
)
from services.accounts.codes import NotOpen, is_open
from services.accounts.limits import SignInLimits
from services.accounts.people import Caller, People
from services.accounts.ports import Handshake, IdentityProvider, Proved, Store
from services.accounts.rates import Rates, network_of
from services.accounts.secrets import Secrets, new_binding
from services.accounts.sessions import Sessions, Tokens
from services.ports import Ids
from services.reservations import Taken


ATTEMPTS: Final = 4
HANDLE_LENGTH: Final = 24
FULL_NAME_LENGTH: Final = 255

_log: Final = structlog.get_logger()


class NotBegunHere(Unauthenticated):
    """This sign-in was not begun here, or lately, or it was gone on with before."""


class NotLinked(Forbidden):
    """No account is linked to this identity; sign in otherwise, and link it."""


class NoSuchProvider(Missing):
    """There is no such identity provider here."""


class NotAllowedThere(Refused):
    """People may not be sent back to this address."""


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """A provider by which people may sign in."""

    name: str
    title: str


class Doorway(Offered, frozen=True, kw_only=True):
    """A provider that may send people back to a page; whose, if of one organisation."""

    organisation: str | None
    redirect_uri: str


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send the browser; `binding` is to be kept from everybody else.

    Both are good for `expires_in` seconds, and once.
    """

    authorization_url: str
    binding: str
    expires_in: int


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What came back with the browser, and the binding that was kept."""

    state: str
    code: str
    binding: str
    issuer: str | None = None


class Identities:
    """Signs in people whom others know."""

    def __init__(
        self,
        *,
        providers: Mapping[str, IdentityProvider],
        people: People,
        sessions: Sessions,
        store: Store,
        secrets: Secrets,
        limits: SignInLimits,
        ids: Ids,
    ) -> None:
        self._providers = providers
        self._people = people
        self._sessions = sessions
        self._store = store
        self._secrets = secrets
        self._limits = limits
        self._rates = Rates(store)
        self._ids = ids

    def offered(self, org_id: str) -> list[Offered]:
        """Return the providers of an organisation, by name."""
        return [
            Offered(name=each.name, title=each.title)
            for _, each in sorted(self._providers.items())
            if each.serves(org_id)
        ]

    def doorways(self, host: str, path: str) -> list[Doorway]:
        """Return the providers that may send people back to a host's page, by name.

        The page's address is the path and the provider's name.
        """
        return [
            Doorway(
                name=name,
                title=each.title,
                organisation=each.organisation,
                redirect_uri=address,
            )
            for name, each in sorted(self._providers.items())
            for address in each.redirect_uris
            if is_at(address, host, f"{path}/{name}")
        ]

    async def begin(
        self, org_id: str, name: str, *, redirect_uri: str, caller: Caller
    ) -> Begun:
        """Begin to sign in; raise `NoSuchProvider`, `NotAllowedThere` or `TooMany`."""
        await self._admit(caller)
        provider = self._provider(org_id, name)
        if redirect_uri not in provider.redirect_uris:
            raise NotAllowedThere(path="$.redirect_uri")
        binding = new_binding()
        state = self._secrets.handshake(binding, "state")
        verifier = self._secrets.handshake(binding, "verifier")
        address = await provider.address(
            redirect_uri=redirect_uri,
            state=state,
            nonce=self._secrets.handshake(binding, "nonce"),
            challenge=challenge_of(verifier),
        )
        seconds = round(self._limits.handshake_lifetime.total_seconds())
        handshake = Handshake(org_id=org_id, provider=name, redirect_uri=redirect_uri)
        await self._store.keep_handshake(digest_of(state), handshake, seconds=seconds)
        return Begun(authorization_url=address, binding=binding, expires_in=seconds)

    async def sign_in(self, name: str, returned: Returned, caller: Caller) -> Tokens:
        """Begin a session of who came back, or raise the failure that it is.

        `NotBegunHere` for what was not asked for, `NotLinked` and `NotOpen` for who has
        no account, `Deactivated`.
        """
        org_id, proved = await self._proved(name, returned, caller)
        identity = self._identity(name, proved)
        user_id = await self._account(org_id, identity, proved, caller)
        return await self._sessions.begin(org_id, user_id, "oidc", caller)

    async def link(
        self, org_id: str, user_id: UUID, name: str, returned: Returned, caller: Caller
    ) -> None:
        """Link who came back to an account.

        Raises `IdentityTaken` and `AnotherIdentity` besides.
        """
        begun_for, proved = await self._proved(name, returned, caller)
        if begun_for != org_id:
            raise NotBegunHere
        command = LinkIdentity(
            user_id=UserId(user_id), identity=self._identity(name, proved)
        )
        await self._record(org_id, UserId(user_id), command, caller)

    async def unlink(
        self, org_id: str, user_id: UUID, name: str, caller: Caller
    ) -> None:
        """Unlink the identity that a provider proved, if one is linked."""
        command = UnlinkIdentity(user_id=UserId(user_id), provider=name)
        await self._record(org_id, UserId(user_id), command, caller)

    async def _proved(
        self, name: str, returned: Returned, caller: Caller
    ) -> tuple[str, Proved]:
        await self._admit(caller)
        state = self._secrets.handshake(returned.binding, "state")
        if not compare_digest(state.encode(), returned.state.encode()):
            raise NotBegunHere
        handshake = await self._store.take_handshake(digest_of(state))
        if handshake is None or handshake.provider != name:
            raise NotBegunHere
        provider = self._provider(handshake.org_id, name)
        proved = await provider.prove(
            code=returned.code,
            verifier=self._secrets.handshake(returned.binding, "verifier"),
            nonce=self._secrets.handshake(returned.binding, "nonce"),
            redirect_uri=handshake.redirect_uri,
            issuer=returned.issuer,
        )
        return handshake.org_id, proved

    async def _account(
        self, org_id: str, identity: Identity, proved: Proved, caller: Caller
    ) -> UserId:
        """Return whose an identity is, who may come to be at the same time."""
        for attempt in range(ATTEMPTS):
            found = await self._people.find_by_identity(org_id, identity)
            if found is not None:
                return found[0]
            try:
                return await self._arrive(org_id, identity, proved, caller, attempt)
            except Taken:
                if attempt == ATTEMPTS - 1:
                    raise
        raise NotLinked

    async def _arrive(
        self,
        org_id: str,
        identity: Identity,
        proved: Proved,
        caller: Caller,
        attempt: int,
    ) -> UserId:
        """Link an identity for the first time, to an account that is or comes to be."""
        provider = self._provider(org_id, identity.provider)
        if proved.email is None or not provider.trusted_by(org_id):
            _log.info("identity_not_linked", org_id=org_id, provider=provider.name)
            raise NotLinked
        found = await self._people.find(org_id, proved.email)
        if found is None:
            return await self._register(org_id, identity, proved, caller, attempt)
        user_id, user = found
        if not user.active:
            raise Deactivated
        command = LinkIdentity(user_id=user_id, identity=identity)
        await self._record(org_id, user_id, command, caller)
        if not user.verified:
            await self._record(org_id, user_id, VerifyEmail(user_id=user_id), caller)
        return user_id

    async def _register(
        self,
        org_id: str,
        identity: Identity,
        proved: Proved,
        caller: Caller,
        attempt: int,
    ) -> UserId:
        organisation = await self._people.organisation(org_id)
        if organisation is None or not is_open(organisation):
            raise NotOpen
        user_id = UserId(self._ids())
        email = proved.email or ""
        username = username_of(proved, attempt)
        command = RegisterUser(
            user_id=user_id,
            email=email,
            username=username,
            full_name=(proved.full_name or username)[:FULL_NAME_LENGTH],
            email_hmac=self._secrets.address(email),
            username_hmac=self._secrets.username(username),
            grants=organisation.default_grants,
            identity=identity,
        )
        await self._record(org_id, user_id, command, caller)
        return user_id

    async def _record(
        self,
        org_id: str,
        user_id: UserId,
        command: LinkIdentity | UnlinkIdentity | VerifyEmail | RegisterUser,
        caller: Caller,
    ) -> None:
        await self._people.record(command, caller, org_id=org_id, actor=holder(user_id))

    def _identity(self, name: str, proved: Proved) -> Identity:
        hmac = self._secrets.identity(proved.issuer, proved.subject)
        return Identity(provider=name, hmac=hmac)

    def _provider(self, org_id: str, name: str) -> IdentityProvider:
        provider = self._providers.get(name)
        if provider is None or not provider.serves(org_id):
            raise NoSuchProvider
        return provider

    async def _admit(self, caller: Caller) -> None:
        network = network_of(caller.ip)
        await self._rates.admit("sign-in-from", network, self._limits.per_address)


def is_at(address: str, host: str, path: str) -> bool:
    """Say whether an address is that of a path at a host."""
    parts = urlsplit(address)
    return (parts.netloc.lower(), parts.path, parts.query) == (host.lower(), path, "")


def challenge_of(verifier: str) -> str:
    """Return the challenge of a verifier, by the method S256 of RFC 7636."""
    made = sha256(verifier.encode()).digest()
    return urlsafe_b64encode(made).decode().rstrip("=")


def digest_of(state: str) -> bytes:
    """Return what a handshake is kept by."""
    return sha256(state.encode()).digest()


def username_of(proved: Proved, attempt: int) -> str:
    """Return a user name for somebody new, with digits once the plain one is taken."""
    wished = proved.username or (proved.email or "").partition("@")[0]
    plain = re.sub(r"[^a-z0-9]+", ".", wished.lower())[:HANDLE_LENGTH].strip(".")
    if attempt == 0 and len(plain) >= 3:  # noqa: PLR2004 - the shortest user name
        return plain
    return f"{plain or 'user'}-{chance.randbelow(10**6):06}"
