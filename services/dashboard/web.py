"""Pages for people: rendered here, signed in by a cookie, without any script of ours.

A cookie holds a bearer token; it is sent to this site only, and no script can read it.
A form is taken only from a page of this site (`Sec-Fetch-Site`, `Origin`) that was
signed for the same cookie.
"""

import hmac
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web

from events.errors import Failure, Forbidden, Malformed, Unauthenticated
from events.message import Command, Meta
from services.commanding import Caller, Surroundings, meta_of
from services.handling import Outcome
from services.http import asking
from services.http.limits import Limits
from services.identity import Identity, Verifier
from services.ports import Clock, Ids
from services.problems import PROBLEMS, kind_of


COOKIE: Final = "__Host-rehearsal"
SIGN_IN: Final = "/playgrounds/sign-in"
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
    ) -> None:
        self.ids = ids
        self._handle = handle
        self._verifier = verifier
        self._clock = clock
        self._secret = secret
        self._limits = limits

    def identity(self, request: web.Request) -> Identity:
        """Return who is signed in, or raise `Unauthenticated`."""
        token = request.cookies.get(COOKIE)
        if not token:
            raise Unauthenticated("Please sign in.")
        return self._verifier.verify(token)

    def sign_in(self, token: str) -> web.Response:
        """Return the answer that signs somebody in, or raise `Unauthenticated`."""
        self._verifier.verify(token)
        answer = see_other("/playgrounds")
        answer.set_cookie(
            COOKIE, token, path="/", secure=True, httponly=True, samesite="Strict"
        )
        return answer

    def sign_out(self) -> web.Response:
        """Return the answer that signs somebody out."""
        answer = see_other(SIGN_IN)
        answer.del_cookie(
            COOKIE, path="/", secure=True, httponly=True, samesite="Strict"
        )
        return answer

    def form_token(self, request: web.Request) -> str:
        """Return what shows that a form is of a page that was made for a cookie."""
        cookie = request.cookies.get(COOKIE, "")
        return hmac.new(self._secret, f"form/{cookie}".encode(), sha256).hexdigest()

    async def form(self, request: web.Request) -> Mapping[str, str]:
        """Return a form's fields, or raise `Forbidden` where it is not of ours."""
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = request.headers.get("Origin", "null")
        known = origin == "null" or urlsplit(origin).netloc == request.host
        if site not in {"same-origin", "none"} or not known:
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
        signed_in = request.cookies.get(COOKIE) is not None
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

    def page(self, answer: Page) -> Page:
        """Return a handler whose failures are pages, and whose strangers sign in."""

        async def answered(request: web.Request) -> web.StreamResponse:
            try:
                return await answer(request)
            except Unauthenticated as failure:
                if request.path == SIGN_IN:
                    return self.show(
                        request, "sign_in.html", status=401, problem=str(failure)
                    )
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

        return answered


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
