"""Sessions: an access token for minutes, and a refresh token that is good once.

Each refresh makes the next generation of the session. A token of an older generation
was copied by somebody, who may be the thief or the owner: the session ends. Within ten
seconds the token before the last one gets the same answer again, because an answer may
have been lost. What the user may do is read from the log at every refresh.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog

from events.access.users import SignInMethod
from events.errors import Missing, Unauthenticated
from events.ids import UserId
from services.access.users import RecordSignIn, User, holder
from services.accounts.limits import SignInLimits
from services.accounts.people import Caller, People
from services.accounts.ports import EndedWhy, Issuing, Session, Store
from services.accounts.rates import Rates, network_of
from services.accounts.secrets import Secrets
from services.ports import Clock, Ids


AGENT_LENGTH: Final = 200

_log: Final = structlog.get_logger()


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What signing in gives; `expires_in` and `refresh_expires_in` are seconds."""

    user_id: UUID
    session_id: UUID
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - a kind


class Ended(Unauthenticated):
    """The session has ended; sign in again."""


class Reused(Ended):
    """This refresh token was used before, so the session is ended; sign in again."""


class Sessions:
    """Begins, goes on with and ends sessions."""

    def __init__(
        self,
        *,
        people: People,
        store: Store,
        secrets: Secrets,
        issuer: Issuing,
        region: str,
        limits: SignInLimits,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._people = people
        self._store = store
        self._secrets = secrets
        self._issuer = issuer
        self._region = region
        self._limits = limits
        self._clock = clock
        self._ids = ids
        self._rates = Rates(store)

    async def begin(
        self,
        org_id: str,
        user_id: UserId,
        method: SignInMethod,
        caller: Caller,
    ) -> Tokens:
        """Begin a session of an active user, or raise `Deactivated`."""
        now = self._clock()
        session = Session(
            session_id=self._ids(),
            org_id=org_id,
            user_id=user_id,
            method=method,
            generation=1,
            ip=caller.ip,
            agent=None if caller.agent is None else caller.agent[:AGENT_LENGTH],
            created_at=now,
            used_at=now,
            expires_at=now + self._limits.session_lifetime,
        )
        signed_in = RecordSignIn(
            user_id=user_id, session_id=session.session_id, method=method
        )
        await self._people.record(
            signed_in, caller, org_id=org_id, actor=holder(user_id)
        )
        await self._store.begin(session)
        # A role that is taken meanwhile has no session to outdate before this moment.
        return self._tokens(session, await self._user(session))

    async def refresh(self, token: str, caller: Caller) -> Tokens:
        """Return the session's next tokens, or raise `Unauthenticated`."""
        network = network_of(caller.ip)
        await self._rates.admit(
            "refresh-from", network, self._limits.refreshes_per_address
        )
        session_id, generation = self._secrets.session_of(token)
        session = await self._store.renew(
            session_id, generation, idle=self._limits.session_idle
        )
        if session is None:
            session = await self._again(session_id, generation)
        user = await self._user(session)
        return self._tokens(session, user)

    async def end(self, session_id: UUID, why: EndedWhy) -> None:
        """End a session, if it has not ended."""
        await self._store.end(session_id, why)

    async def _again(self, session_id: UUID, generation: int) -> Session:
        """Return the session for a token that comes again at once, or end it."""
        session = await self._store.session(session_id)
        now = self._clock()
        if session is None or session.ended_at is not None:
            raise Ended
        if now >= min(session.expires_at, session.used_at + self._limits.session_idle):
            raise Ended
        lately = now - session.used_at <= self._limits.refresh_grace
        if generation == session.generation - 1 and lately:
            return session
        await self._store.end(session_id, "reused")
        _log.warning(
            "refresh_token_reused",
            session_id=str(session_id),
            user_id=str(session.user_id),
            org_id=session.org_id,
        )
        raise Reused

    async def _user(self, session: Session) -> User:
        try:
            user = await self._people.user(session.org_id, session.user_id)
        except Missing as error:
            raise Ended from error
        if user.active:
            return user
        why: EndedWhy = "erased" if user.erased else "deactivated"
        await self._store.end(session.session_id, why)
        raise Ended

    def _tokens(self, session: Session, user: User) -> Tokens:
        lifetime = self._limits.access_lifetime
        left = min(session.expires_at - self._clock(), self._limits.session_idle)
        return Tokens(
            user_id=session.user_id,
            session_id=session.session_id,
            access_token=self._issuer.issue(
                holder(session.user_id),
                org=session.org_id,
                roles=user.grants,
                region=self._region,
                email=email_of(user),
                session=session.session_id,
                generation=session.generation,
                lifetime=lifetime,
            ),
            expires_in=seconds(lifetime),
            refresh_token=self._secrets.refresh_token(
                session.session_id, session.generation
            ),
            refresh_expires_in=seconds(left),
        )


def email_of(user: User) -> str | None:
    """Return the address that a token may say its bearer reads."""
    return user.address.email if user.verified else None


def seconds(length: timedelta) -> int:
    """Return a length of time in whole seconds."""
    return int(length.total_seconds())
