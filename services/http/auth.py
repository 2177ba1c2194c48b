"""/v1/auth: codes, registration, signing in and out, sessions, passwords, invitations.

Nothing here takes a cookie. What is answered is never kept by a cache.
"""

from typing import Final, TypeVar
from uuid import UUID

import msgspec
from aiohttp import web

from events.access.common import Grant
from events.errors import Forbidden, Malformed, Missing
from events.roles import demand
from services import log_context
from services.accounts.accounts import Accounts
from services.accounts.people import Caller
from services.decoding import decode_json
from services.http import asking
from services.http.asking import Identify
from services.http.auth_bodies import (
    AskForCode,
    AskToMove,
    ChangeAddress,
    Changed,
    ChangeName,
    ChangePassword,
    CodeAsked,
    Invite,
    Me,
    Refresh,
    Register,
    SessionShown,
    SessionsShown,
    SignIn,
)
from services.http.limits import Limits
from services.identity import Identity
from services.problems import UnsupportedMedia


PATH: Final = "/v1/auth"
JSON: Final = "application/json"
MAX_BYTES: Final = 16_384
ADMINISTRATORS: Final = frozenset({"admin"})

T = TypeVar("T")


class Auth:
    """The routes of signing in."""

    def __init__(
        self, *, accounts: Accounts, identify: Identify, limits: Limits
    ) -> None:
        self._accounts = accounts
        self._identify = identify
        self._limits = limits

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        return [
            web.post(f"{PATH}/codes", self.ask_for_code),
            web.post(f"{PATH}/register", self.register),
            web.post(f"{PATH}/sign-in", self.sign_in),
            web.post(f"{PATH}/refresh", self.refresh),
            web.post(f"{PATH}/sign-out", self.sign_out),
            web.get(f"{PATH}/me", self.me, allow_head=False),
            web.put(f"{PATH}/password", self.change_password),
            web.post(f"{PATH}/email", self.ask_to_move),
            web.put(f"{PATH}/email", self.move),
            web.put(f"{PATH}/username", self.rename),
            web.get(f"{PATH}/sessions", self.sessions, allow_head=False),
            web.delete(f"{PATH}/sessions/{{id}}", self.end_session),
            web.post(f"{PATH}/invitations", self.invite),
        ]

    async def ask_for_code(self, request: web.Request) -> web.Response:
        """Send a code, or none; the answer does not tell."""
        asked = await read_body(request, AskForCode)
        seconds = await self._accounts.codes.start(
            asked.org, asked.email, self._caller(request)
        )
        return answered(CodeAsked(expires_in=seconds), status=202)

    async def register(self, request: web.Request) -> web.Response:
        """Make an account, and sign in."""
        asked = await read_body(request, Register)
        tokens = await self._accounts.register(
            asked.org,
            email=asked.email,
            code=asked.code,
            username=asked.username,
            full_name=asked.full_name,
            password=asked.password,
            caller=self._caller(request),
        )
        return answered(tokens, status=201)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Begin a session by a password or a code."""
        asked = await read_body(request, SignIn)
        caller = self._caller(request)
        if (asked.password is None) == (asked.code is None):
            raise Malformed("Give a password or a code.", path="$")
        if asked.password is not None:
            tokens = await self._accounts.sign_in_by_password(
                asked.org, email=asked.email, password=asked.password, caller=caller
            )
        else:
            tokens = await self._accounts.sign_in_by_code(
                asked.org, email=asked.email, code=asked.code or "", caller=caller
            )
        return answered(tokens)

    async def refresh(self, request: web.Request) -> web.Response:
        """Answer a session's next tokens."""
        asked = await read_body(request, Refresh)
        tokens = await self._accounts.sessions.refresh(
            asked.refresh_token, self._caller(request)
        )
        return answered(tokens)

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session of the bearer."""
        identity = self._identify(request)
        if identity.session_id is None:
            raise Missing("This token is of no session.")
        await self._accounts.sessions.end(identity.session_id, "signed-out")
        return web.Response(status=204)

    async def me(self, request: web.Request) -> web.Response:
        """Answer who the bearer is."""
        identity = self._identify(request)
        return answered(
            Me(
                actor=identity.actor,
                org=identity.org_id,
                region=identity.region,
                roles=sorted(identity.roles),
                scopes=sorted(identity.scopes),
                session_id=identity.session_id,
            )
        )

    async def change_password(self, request: web.Request) -> web.Response:
        """Set the bearer's password, and end their other sessions."""
        identity = self._identify(request)
        user_id = user_of(identity)
        asked = await read_body(request, ChangePassword)
        if (asked.current is None) == (asked.code is None):
            raise Malformed("Give the current password or a code.", path="$")
        await self._accounts.set_password(
            identity.org_id,
            user_id,
            password=asked.password,
            current=asked.current,
            code=asked.code,
            session_id=identity.session_id,
            caller=self._caller(request),
        )
        return web.Response(status=204)

    async def ask_to_move(self, request: web.Request) -> web.Response:
        """Send a code to the address that is to be the bearer's."""
        identity = self._identify(request)
        user_id = user_of(identity)
        asked = await read_body(request, AskToMove)
        seconds = await self._accounts.names.ask_to_move(
            identity.org_id, user_id, email=asked.email, caller=self._caller(request)
        )
        return answered(CodeAsked(expires_in=seconds), status=202)

    async def move(self, request: web.Request) -> web.Response:
        """Change the bearer's address."""
        identity = self._identify(request)
        user_id = user_of(identity)
        asked = await read_body(request, ChangeAddress)
        if (asked.password is None) == (asked.current_code is None):
            message = "Give the password or a code that was sent to the address in use."
            raise Malformed(message, path="$")
        position = await self._accounts.names.move(
            identity.org_id,
            user_id,
            email=asked.email,
            code=asked.code,
            password=asked.password,
            current_code=asked.current_code,
            caller=self._caller(request),
        )
        return answered(Changed(position=position))

    async def rename(self, request: web.Request) -> web.Response:
        """Change the bearer's user name."""
        identity = self._identify(request)
        user_id = user_of(identity)
        asked = await read_body(request, ChangeName)
        position = await self._accounts.names.rename(
            identity.org_id,
            user_id,
            username=asked.username,
            caller=self._caller(request),
        )
        return answered(Changed(position=position))

    async def sessions(self, request: web.Request) -> web.Response:
        """Answer the bearer's sessions."""
        identity = self._identify(request)
        found = await self._accounts.store.sessions(user_of(identity))
        shown = [
            SessionShown(
                session_id=each.session_id,
                method=each.method,
                ip=each.ip,
                agent=each.agent,
                created_at=each.created_at,
                used_at=each.used_at,
                expires_at=each.expires_at,
                current=each.session_id == identity.session_id,
            )
            for each in found
            if each.org_id == identity.org_id
        ]
        return answered(SessionsShown(sessions=shown))

    async def end_session(self, request: web.Request) -> web.Response:
        """End a session of the bearer's."""
        identity = self._identify(request)
        user_id = user_of(identity)
        session_id = asking.identifier(request.match_info["id"], "path.id")
        session = await self._accounts.store.session(session_id)
        if session is None or (session.user_id, session.org_id) != (
            user_id,
            identity.org_id,
        ):
            raise Missing("There is no such session.")
        await self._accounts.sessions.end(session_id, "signed-out")
        return web.Response(status=204)

    async def invite(self, request: web.Request) -> web.Response:
        """Make an account for somebody; sent again with the same key, it is the same.

        The Idempotency-Key is the new user's id.
        """
        identity = self._identify(request)
        demand(identity.roles, ADMINISTRATORS, "access")
        key = request.headers.get("Idempotency-Key")
        asked = await read_body(request, Invite)
        invited = await self._accounts.invite(
            identity.org_id,
            email=asked.email,
            username=asked.username,
            full_name=asked.full_name,
            grants=[Grant(area=each.area, role=each.role) for each in asked.grants],
            caller=self._caller(request),
            actor=identity.actor,
            user_id=None
            if key is None
            else asking.identifier(key.strip('"'), "headers.Idempotency-Key"),
        )
        return answered(invited, status=201)

    def _caller(self, request: web.Request) -> Caller:
        return caller(request, self._limits)


def caller(request: web.Request, limits: Limits) -> Caller:
    """Return where a request comes from, which the lines of the log say too."""
    agent = request.headers.get("User-Agent")
    ip = asking.address(request, limits)
    log_context.bind(ip=ip)
    return Caller(
        ip=ip,
        agent=None if agent is None else asking.printable(agent),
        headers=asking.trace(request.headers),
    )


def user_of(identity: Identity) -> UUID:
    """Return the user who asks, or raise `Forbidden` for who has no account here."""
    kind, _, name = identity.actor.partition(":")
    try:
        if kind == "user":
            return UUID(name)
    except ValueError:
        pass
    raise Forbidden("This token is of nobody who has an account here.")


async def read_body(request: web.Request, kind: type[T]) -> T:
    """Return the body of a request, or raise the failure that it is."""
    if request.content_type != JSON:
        message = f"This comes as {JSON}."
        raise UnsupportedMedia(message, path="headers.Content-Type")
    return decode_json(await asking.body(request, limit=MAX_BYTES), kind)


def answered(value: object, *, status: int = 200) -> web.Response:
    """Return a response that no cache keeps."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        headers={"Content-Type": JSON, "Cache-Control": "no-store"},
    )
