"""The pages of signing in: by a code, by a token, by an identity provider.

Who goes to a provider is known again by a cookie that no script reads. It alone comes
along from the provider's site (`SameSite=Lax`), so that what comes back with somebody
else's browser is of no use; the session's own cookies do not.
"""

import re
from typing import Final

import structlog
from aiohttp import web

from events.errors import Malformed, Missing, Unavailable
from services.accounts.accounts import Accounts
from services.accounts.identities import Doorway, NotBegunHere, Returned
from services.dashboard.web import SIGN_IN, WITH, Desk
from services.http import asking


BINDING: Final = "__Host-rehearsal-binding"
LONGEST: Final = 4_096
ERROR: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
REASONS: Final = {
    "access_denied": "it was not allowed there",
    "server_error": "something is wrong there",
    "temporarily_unavailable": "it is not available at the moment",
}
"""Errors of RFC 6749, 4.1.2.1; another one is told by its name."""

_log: Final = structlog.get_logger()


class SignInPages:
    """The routes of signing in and out."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        page = self._desk.page
        provider = f"{WITH}/{{provider}}"
        return [
            web.get(SIGN_IN, page(self.ask)),
            web.post(SIGN_IN, page(self.sign_in)),
            web.post(f"{SIGN_IN}/code", page(self.send_code)),
            web.post(provider, page(self.begin)),
            web.get(provider, page(self.finish)),
            web.post("/playgrounds/sign-out", page(self.sign_out)),
        ]

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """Answer the page that asks who it is."""
        return self._desk.show_sign_in(request)

    async def send_code(self, request: web.Request) -> web.StreamResponse:
        """Send a code to an address that may sign in; the answer does not tell."""
        fields = await self._desk.form(request)
        org, email = fields.get("org", "").strip(), fields.get("email", "").strip()
        if self._desk.accounts is None or not org or "@" not in email:
            raise Malformed("Please give an organisation and an e-mail address.")
        await self._desk.accounts.codes.start(org, email, self._desk.caller(request))
        return self._desk.show_sign_in(request, org=org, email=email)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """Sign somebody in by the code that was sent, or by an access token."""
        fields = await self._desk.form(request)
        if "code" not in fields or self._desk.accounts is None:
            return self._desk.sign_in(fields.get("token", "").strip())
        tokens = await self._desk.accounts.sign_in_by_code(
            fields.get("org", ""),
            email=fields.get("email", ""),
            code=fields["code"].strip(),
            caller=self._desk.caller(request),
        )
        return self._desk.signed_in(tokens)

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """Forget who was signed in."""
        await self._desk.form(request)
        return await self._desk.sign_out(request)

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to an identity provider, and keep what binds it."""
        fields = await self._desk.form(request)
        accounts, doorway = self._doorway(request)
        org = doorway.organisation or fields.get("org", "").strip()
        if not org:
            raise Malformed("Please give your organisation.", path="form.org")
        try:
            begun = await accounts.identities.begin(
                org,
                doorway.name,
                redirect_uri=doorway.redirect_uri,
                caller=self._desk.caller(request),
            )
        except Unavailable as failure:
            return self._away(request, doorway, failure)
        # A redirect would be one of the form's, which goes nowhere but here.
        answer = self._desk.show(
            request,
            "onwards.html",
            title=f"On to {doorway.title}",
            address=begun.authorization_url,
        )
        answer.set_cookie(
            BINDING,
            begun.binding,
            max_age=begun.expires_in,
            path="/",
            secure=True,
            httponly=True,
            samesite="Lax",
        )
        return answer

    async def finish(self, request: web.Request) -> web.StreamResponse:
        """Sign in who comes back from an identity provider."""
        accounts, doorway = self._doorway(request)
        try:
            answer = await self._finish(request, accounts, doorway)
        except Unavailable as failure:
            answer = self._away(request, doorway, failure)
        answer.del_cookie(BINDING, path="/", secure=True, httponly=True, samesite="Lax")
        return answer

    async def _finish(
        self, request: web.Request, accounts: Accounts, doorway: Doorway
    ) -> web.Response:
        given = {
            name: asking.text(request.query.get(name, "")[:LONGEST], f"query.{name}")
            for name in ("state", "code", "iss", "error")
        }
        if given["error"]:
            return self._refused(request, doorway, given["error"])
        binding = asking.text(request.cookies.get(BINDING, ""), f"cookie.{BINDING}")
        if not (binding and given["state"] and given["code"]):
            raise NotBegunHere
        returned = Returned(
            state=given["state"],
            code=given["code"],
            binding=binding,
            issuer=given["iss"] or None,
        )
        tokens = await accounts.identities.sign_in(
            doorway.name, returned, self._desk.caller(request)
        )
        return self._desk.returned(request, tokens)

    def _doorway(self, request: web.Request) -> tuple[Accounts, Doorway]:
        name = request.match_info["provider"]
        for each in self._desk.doorways(request):
            if self._desk.accounts is not None and each.name == name:
                return self._desk.accounts, each
        raise Missing("There is no such identity provider here.")

    def _refused(
        self, request: web.Request, doorway: Doorway, error: str
    ) -> web.Response:
        known = error if ERROR.fullmatch(error) else "unknown"
        self._desk.caller(request)
        _log.info("identity_not_proved", provider=doorway.name, reason=known)
        reason = REASONS.get(known, f"it says {known}")
        problem = f"{doorway.title} did not sign you in: {reason}."
        return self._desk.show_sign_in(request, problem=problem)

    def _away(
        self, request: web.Request, doorway: Doorway, failure: Unavailable
    ) -> web.Response:
        _log.error("identity_provider_away", provider=doorway.name, reason=str(failure))
        return self._desk.show(
            request,
            "problem.html",
            status=503,
            title=f"{doorway.title} is away",
            problem="Please try again in a moment, or sign in otherwise.",
        )
