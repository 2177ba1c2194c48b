"""Pages for people: rendered here, signed in by a cookie, without any script of ours.

A cookie holds a bearer token; it is sent to this site only, and no script can read it.
A form is taken only from a page of this site (`Sec-Fetch-Site`, `Origin`) that was
signed for the same person. A session of an account is renewed by a second cookie.
"""

import hmac
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web

from events.errors import Failure, Forbidden, Malformed, Unauthenticated
from events.message import Command, Meta
from services import log_context
from services.accounts.accounts import Accounts
from services.accounts.identities import Doorway
from services.accounts.people import Caller as Visitor
from services.accounts.sessions import Tokens
from services.commanding import Caller, Surroundings, meta_of
from services.http import asking
from services.http.limits import Limits
from services.identity import Identity, Verifier
from services.outcome import Outcome
from services.ports import Clock, Ids
from services.problems import PROBLEMS, kind_of


COOKIE: Final = "__Host-rehearsal"
REFRESH: Final = "__Host-rehearsal-refresh"
FRESH: Final = web.RequestKey("fresh", Tokens)
SIGN_IN: Final = "/playgrounds/sign-in"
WITH: Final = f"{SIGN_IN}/with"
TEMPLATES: Final = Path(__file__).with_name("templates")
STYLE: Final = (TEMPLATES / "style.css").read_text(encoding="utf-8")
FORM_BYTES: Final = 262_144
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'",
        "form-action 'self'",
        "frame-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handle = Callable[[Command, Meta], Awaitable[Outcome]]
Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Desk:
    """What every page needs: who asks, how to carry a request out, how to render."""

    def __init__(
        self,
        *,
        handle: Handle,
        verifier: Verifier,
        clock: Clock,
        ids: Ids,
        secret: bytes,
        limits: Limits,
        accounts: Accounts | None = None,
    ) -> None:
        self.ids = ids
        self.accounts = accounts
        self._handle = handle
        self._verifier = verifier
        self._clock = clock
        self._secret = secret
        self._limits = limits

    def identity(self, request: web.Request) -> Identity:
        """Return who is signed in, or raise `Unauthenticated`."""
        fresh = request.get(FRESH)
        token = fresh.access_token if fresh else request.cookies.get(COOKIE)
        if not token:
            raise Unauthenticated("Please sign in.")
        return self._verifier.verify(token)

    def sign_in(self, token: str) -> web.Response:
        """Return the answer that signs somebody in, or raise `Unauthenticated`."""
        self._verifier.verify(token)
        answer = see_other("/playgrounds")
        _set(answer, COOKIE, token)
        return answer

    def signed_in(self, tokens: Tokens) -> web.Response:
        """Return the answer that begins a session of an account."""
        answer = self.sign_in(tokens.access_token)
        _set(answer, REFRESH, tokens.refresh_token)
        return answer

    def returned(self, request: web.Request, tokens: Tokens) -> web.Response:
        """Return a page that begins a session of who came from another site.

        It leads on by itself: a redirect of that site's would not take the cookies.
        """
        answer = self.show(
            request, "onwards.html", title="Signed in", address="/playgrounds"
        )
        _set(answer, COOKIE, tokens.access_token)
        _set(answer, REFRESH, tokens.refresh_token)
        return answer

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session, and return the answer that forgets it."""
        identity = self.identity(request)
        if self.accounts is not None and identity.session_id is not None:
            await self.accounts.sessions.end(identity.session_id, "signed-out")
        answer = see_other(SIGN_IN)
        for name in (COOKIE, REFRESH):
            answer.del_cookie(
                name, path="/", secure=True, httponly=True, samesite="Strict"
            )
        return answer

    def caller(self, request: web.Request) -> Visitor:
        """Return where a request comes from, which the lines of the log say too."""
        ip = asking.address(request, self._limits)
        log_context.bind(ip=ip)
        return Visitor(
            ip=ip,
            agent=request.headers.get("User-Agent"),
            headers=asking.trace(request.headers),
        )

    async def _refresh(self, request: web.Request) -> None:
        """Renew a session whose access token is over; it stays over if that fails."""
        token = request.cookies.get(REFRESH)
        if self.accounts is None or not token:
            return
        try:
            self.identity(request)
        except Unauthenticated:
            with suppress(Unauthenticated):
                request[FRESH] = await self.accounts.sessions.refresh(
                    token, self.caller(request)
                )

    def form_token(self, request: web.Request) -> str:
        """Return what shows that a form is of a page that was made for somebody."""
        try:
            identity = self.identity(request)
            whose = f"{identity.org_id}/{identity.actor}"
        except Unauthenticated:
            whose = ""
        return hmac.new(self._secret, f"form/{whose}".encode(), sha256).hexdigest()

    async def form(self, request: web.Request) -> Mapping[str, str]:
        """Return a form's fields, or raise `Forbidden` where it is not of ours."""
        origin = request.headers.get("Origin", "null")
        known = origin == "null" or urlsplit(origin).netloc == request.host
        if not known or not is_from_here(request):
            raise Forbidden("This form was sent from elsewhere.")
        await asking.body(request, limit=FORM_BYTES)
        fields = {
            name: asking.text(value, f"form.{name}")
            for name, value in (await request.post()).items()
            if isinstance(value, str)
        }
        given = fields.pop("form_token", "")
        if not hmac.compare_digest(given.encode(), self.form_token(request).encode()):
            raise Forbidden("This form is out of date. Please go back and reload.")
        return fields

    async def ask(
        self,
        request: web.Request,
        command: Command,
        *,
        command_id: UUID | None = None,
    ) -> Outcome:
        """Carry out what a form asks for, as who is signed in."""
        caller = Caller(
            identity=self.identity(request),
            headers=asking.trace(request.headers),
            ip=asking.address(request, self._limits),
        )
        given = Surroundings(command_id=command_id or self.ids())
        return await self._handle(command, meta_of(caller, given, self._clock))

    def show(
        self,
        request: web.Request,
        name: str,
        *,
        status: int = 200,
        **values: Any,  # noqa: ANN401 - a template's
    ) -> web.Response:
        """Return a rendered page."""
        signed_in = (request.get(FRESH) or request.cookies.get(COOKIE)) is not None
        text = rendered(
            name,
            style=STYLE,
            form_token=self.form_token(request),
            signed_in=signed_in,
            **values,
        )
        return web.Response(
            text=text, status=status, content_type="text/html", headers=HEADERS
        )

    def show_sign_in(
        self,
        request: web.Request,
        *,
        problem: str | None = None,
        org: str | None = None,
        email: str | None = None,
    ) -> web.Response:
        """Return the page that signs people in; with an address it asks for a code."""
        return self.show(
            request,
            "sign_in.html",
            status=200 if problem is None else 401,
            problem=problem,
            by_code=self.accounts is not None,
            doorways=self.doorways(request),
            org=org,
            email=email,
        )

    def doorways(self, request: web.Request) -> list[Doorway]:
        """Return the identity providers that may send people back to this page."""
        if self.accounts is None:
            return []
        return self.accounts.identities.doorways(request.host, WITH)

    def page(self, answer: Page) -> Page:
        """Return a handler whose failures are pages, and whose strangers sign in."""

        async def answered(request: web.Request) -> web.StreamResponse:
            await self._refresh(request)
            response = await self._answer(request, answer)
            fresh = request.get(FRESH)
            if fresh is not None:
                _set(response, COOKIE, fresh.access_token)
                _set(response, REFRESH, fresh.refresh_token)
            return response

        return answered

    async def _answer(self, request: web.Request, answer: Page) -> web.StreamResponse:
        try:
            return await answer(request)
        except Unauthenticated as failure:
            if request.path == SIGN_IN or request.path.startswith(f"{WITH}/"):
                return self.show_sign_in(request, problem=str(failure))
            return see_other(SIGN_IN)
        except Failure as failure:
            problem = PROBLEMS[kind_of(failure)]
            if problem.status >= 500:  # noqa: PLR2004 - HTTP
                raise
            return self.show(
                request,
                "problem.html",
                status=problem.status,
                title=problem.title,
                problem=str(failure),
            )


def _set(answer: web.StreamResponse, name: str, value: str) -> None:
    answer.set_cookie(
        name, value, path="/", secure=True, httponly=True, samesite="Strict"
    )


def is_from_here(request: web.Request) -> bool:
    """Say whether no other site made a browser ask, as far as the browser tells."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    return site in {"same-origin", "none"}


def see_other(path: str) -> web.Response:
    """Return the answer that sends a browser to another page."""
    return web.Response(status=303, headers={**HEADERS, "Location": path})


@cache
def _environment() -> Any:  # noqa: ANN401 - loaded with the first page
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rendered(name: str, **values: Any) -> str:  # noqa: ANN401 - a template's
    """Return a template's text."""
    text: str = _environment().get_template(name).render(**values)
    return text


def positive(value: str, path: str) -> int:
    """Return a number from 1, or raise `Malformed`."""
    number = asking.integer(value, path)
    if number == 0:
        raise Malformed("This is no number from 1.", path=path)
    return number
