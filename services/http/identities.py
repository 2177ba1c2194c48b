"""/v1/auth/oidc: signing in by an identity provider, and linking an account to one.

A client begins, keeps the binding, sends its browser away, and comes back with what the
browser brings. It alone can go on, since it alone has the binding.
"""

from typing import Final

from aiohttp import web

from events.errors import Malformed
from services.accounts.identities import Identities, Returned
from services.http import asking
from services.http.asking import Identify
from services.http.auth import answered, caller, read_body, user_of
from services.http.auth_bodies import (
    BeginIdentity,
    FinishIdentity,
    ProvidersOffered,
)
from services.http.limits import Limits


PATH: Final = "/v1/auth/oidc"


class IdentityRoutes:
    """The routes of identity providers."""

    def __init__(
        self, *, identities: Identities, identify: Identify, limits: Limits
    ) -> None:
        self._identities = identities
        self._identify = identify
        self._limits = limits

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        one = f"{PATH}/{{provider}}"
        return [
            web.get(PATH, self.offered, allow_head=False),
            web.post(f"{one}/start", self.begin),
            web.post(f"{one}/finish", self.finish),
            web.post(f"{one}/link", self.link),
            web.delete(one, self.unlink),
        ]

    async def offered(self, request: web.Request) -> web.Response:
        """Answer by which providers the people of an organisation may sign in."""
        org = asking.single(request, frozenset({"org"})).get("org")
        if org is None:
            raise Malformed("Say of which organisation.", path="query.org")
        return answered(ProvidersOffered(providers=self._identities.offered(org)))

    async def begin(self, request: web.Request) -> web.Response:
        """Answer where to send the browser."""
        asked = await read_body(request, BeginIdentity)
        begun = await self._identities.begin(
            asked.org,
            _provider(request),
            redirect_uri=asked.redirect_uri,
            caller=caller(request, self._limits),
        )
        return answered(begun)

    async def finish(self, request: web.Request) -> web.Response:
        """Begin a session of who came back."""
        asked = await read_body(request, FinishIdentity)
        tokens = await self._identities.sign_in(
            _provider(request), _returned(asked), caller(request, self._limits)
        )
        return answered(tokens)

    async def link(self, request: web.Request) -> web.Response:
        """Link who came back to the bearer's account."""
        identity = self._identify(request)
        user_id = user_of(identity)
        asked = await read_body(request, FinishIdentity)
        await self._identities.link(
            identity.org_id,
            user_id,
            _provider(request),
            _returned(asked),
            caller(request, self._limits),
        )
        return web.Response(status=204)

    async def unlink(self, request: web.Request) -> web.Response:
        """Let the bearer sign in by a provider no more."""
        identity = self._identify(request)
        await self._identities.unlink(
            identity.org_id,
            user_of(identity),
            _provider(request),
            caller(request, self._limits),
        )
        return web.Response(status=204)


def _provider(request: web.Request) -> str:
    return asking.text(request.match_info["provider"], "path.provider")


def _returned(asked: FinishIdentity) -> Returned:
    return Returned(
        state=asked.state, code=asked.code, binding=asked.binding, issuer=asked.iss
    )
