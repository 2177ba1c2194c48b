"""Accounts: how people get one, prove who they are, and change their password.

Whoever signs in is told the same of a wrong password and of an address that has no
account, after the same time.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec
import structlog

from events.access.common import Grant
from events.errors import (
    Missing,
    Refused,
    Unavailable,
)
from events.ids import UserId
from services.access.common import Deactivated
from services.access.users import (
    RegisterUser,
    SetPassword,
    VerifyEmail,
    holder,
    profile_of,
)
from services.accounts.codes import Codes, NotOpen, WrongCredentials, is_open
from services.accounts.identities import Identities
from services.accounts.limits import SignInLimits
from services.accounts.names import Names
from services.accounts.people import Caller, People
from services.accounts.ports import Hasher, Letter, Mail, Store
from services.accounts.rates import Rates, network_of
from services.accounts.secrets import Secrets
from services.accounts.sessions import Sessions, Tokens
from services.ports import Ids


LEAST_LENGTH: Final = 8
INVITED: Final = "You are invited"
INVITATION: Final = """\
You have an account at {name} now. To sign in, ask for a code
with this address: it comes by mail. Then you may set a password.
"""

_log: Final = structlog.get_logger()


class WeakPassword(Refused):
    """This password is easily guessed."""


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """The account of somebody who was invited, and whether a letter went out."""

    user_id: UserId
    position: int
    mailed: bool


class Accounts:
    """Registers, invites and signs in people."""

    def __init__(
        self,
        *,
        people: People,
        codes: Codes,
        sessions: Sessions,
        identities: Identities,
        store: Store,
        hasher: Hasher,
        mail: Mail,
        secrets: Secrets,
        limits: SignInLimits,
        ids: Ids,
    ) -> None:
        self.people = people
        self.codes = codes
        self.sessions = sessions
        self.identities = identities
        self.names = Names(
            people=people,
            codes=codes,
            store=store,
            hasher=hasher,
            mail=mail,
            secrets=secrets,
            limits=limits,
        )
        self.store = store
        self._hasher = hasher
        self._mail = mail
        self._secrets = secrets
        self._limits = limits
        self._rates = Rates(store)
        self._ids = ids

    async def register(
        self,
        org_id: str,
        *,
        email: str,
        code: str,
        username: str,
        full_name: str,
        password: str | None,
        caller: Caller,
    ) -> Tokens:
        """Make an account for an address that a code was sent to, and sign in.

        Raises `WrongCode`, `WeakPassword`, `NotOpen`, or `Taken` for an address or a
        user name that has an account; then the code stays good.
        """
        await self._admit(org_id, email, caller)
        if password is not None:
            await self._check_password(password, (email, username, full_name, org_id))
        await self.codes.check(org_id, email, code)
        organisation = await self.people.organisation(org_id)
        if organisation is None or not is_open(organisation):
            raise NotOpen
        user_id = UserId(self._ids())
        await self.people.record(
            self._registration(
                user_id, email, username, full_name, organisation.default_grants
            ),
            caller,
            org_id=org_id,
            actor=holder(user_id),
        )
        await self.codes.spend(org_id, email, code)
        if password is not None:
            await self._keep_password(org_id, user_id, password, caller)
        return await self.sessions.begin(org_id, user_id, "code", caller)

    async def invite(
        self,
        org_id: str,
        *,
        email: str,
        username: str,
        full_name: str,
        grants: Sequence[Grant],
        caller: Caller,
        actor: str,
        user_id: UUID | None = None,
    ) -> Invitation:
        """Make an account for somebody, and write to them; or raise `Taken`."""
        invited = UserId(user_id or self._ids())
        command = self._registration(
            invited, email, username, full_name, tuple(grants), invited=True
        )
        outcome = await self.people.record(command, caller, org_id=org_id, actor=actor)
        mailed = bool(outcome.events) and await self._write(org_id, email)
        return Invitation(user_id=invited, position=outcome.position, mailed=mailed)

    async def sign_in_by_password(
        self, org_id: str, *, email: str, password: str, caller: Caller
    ) -> Tokens:
        """Begin a session, or raise `WrongCredentials`, `Deactivated` or `TooMany`."""
        await self._admit(org_id, email, caller)
        found = await self.people.find(org_id, email)
        hashed = await self.store.password(found[0]) if found else None
        if not await self._hasher.matches(password, hashed) or found is None:
            _log.info("sign_in_failed", org_id=org_id, method="password")
            raise WrongCredentials
        user_id, user = found
        if not user.active:
            raise Deactivated
        if hashed is not None and not self._hasher.is_current(hashed):
            await self._keep_password(org_id, user_id, password, caller)
        return await self.sessions.begin(org_id, user_id, "password", caller)

    async def sign_in_by_code(
        self, org_id: str, *, email: str, code: str, caller: Caller
    ) -> Tokens:
        """Begin a session by a code that was sent, or raise `WrongCode`.

        `Missing` where the address has no account yet; then the code stays good for a
        registration.
        """
        await self._admit(org_id, email, caller)
        await self.codes.check(org_id, email, code)
        found = await self.people.find(org_id, email)
        if found is None:
            raise Missing("This address has no account yet; register.")
        user_id, user = found
        await self.codes.spend(org_id, email, code)
        if not user.active:
            raise Deactivated
        if not user.verified:
            await self.people.record(
                VerifyEmail(user_id=user_id),
                caller,
                org_id=org_id,
                actor=holder(user_id),
            )
        return await self.sessions.begin(org_id, user_id, "code", caller)

    async def set_password(
        self,
        org_id: str,
        user_id: UUID,
        *,
        password: str,
        current: str | None,
        code: str | None,
        session_id: UUID | None,
        caller: Caller,
    ) -> None:
        """Set a user's password, which the one in use or a code allows.

        Every other session of theirs ends.
        """
        user = await self.people.user(org_id, user_id)
        if not user.active:
            raise Deactivated
        email, full_name = user.address.email, profile_of(user).full_name
        await self._admit(org_id, email, caller)
        names = (email, user.name.username, full_name, org_id)
        await self._check_password(password, names)
        if code is not None:
            await self.codes.spend(org_id, email, code)
        elif not await self._hasher.matches(
            current or "", await self.store.password(user_id)
        ):
            raise WrongCredentials("The current password is wrong.", path="$.current")
        await self._keep_password(org_id, UserId(user_id), password, caller)
        await self.store.end_all(user_id, "password", but=session_id)

    async def _write(self, org_id: str, email: str) -> bool:
        organisation = await self.people.organisation(org_id)
        name = organisation.name if organisation else org_id
        text = INVITATION.format(name=name)
        try:
            await self._mail.send(Letter(to=email, subject=INVITED, text=text))
        except Unavailable as error:
            _log.warning("invitation_not_sent", org_id=org_id, reason=str(error))
            return False
        return True

    async def _admit(self, org_id: str, email: str, caller: Caller) -> None:
        account = f"{org_id}:{self._secrets.address(email)}"
        network = network_of(caller.ip)
        await self._rates.admit("sign-in-from", network, self._limits.per_address)
        await self._rates.admit("sign-in-to", account, self._limits.per_account)

    async def _check_password(self, password: str, words: tuple[str, ...]) -> None:
        if len(password) < LEAST_LENGTH:
            message = f"A password has at least {LEAST_LENGTH} characters."
            raise WeakPassword(message, path="$.password")
        weakness = await self._hasher.weakness(password, words)
        if weakness is not None:
            raise WeakPassword(weakness, path="$.password")

    async def _keep_password(
        self, org_id: str, user_id: UserId, password: str, caller: Caller
    ) -> None:
        hashed = await self._hasher.hash(password)
        await self.store.keep_password(org_id, user_id, hashed)
        await self.people.record(
            SetPassword(user_id=user_id, scheme=self._hasher.scheme(hashed)),
            caller,
            org_id=org_id,
            actor=holder(user_id),
        )

    def _registration(
        self,
        user_id: UserId,
        email: str,
        username: str,
        full_name: str,
        grants: tuple[Grant, ...],
        *,
        invited: bool = False,
    ) -> RegisterUser:
        return RegisterUser(
            user_id=user_id,
            email=email,
            username=username,
            full_name=full_name,
            email_hmac=self._secrets.address(email),
            username_hmac=self._secrets.username(username),
            grants=grants,
            invited=invited,
        )
