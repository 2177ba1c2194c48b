"""/v1/auth/service-tokens: administrators give programs what these sign in with.

The tokens there are is a read table, `access.service_tokens`.
"""

from typing import Final

from aiohttp import web

from events.roles import demand
from services.access.organisations import granted
from services.accounts.service_tokens import ServiceTokens
from services.http import asking
from services.http.asking import Identify
from services.http.auth import ADMINISTRATORS, answered, caller, read_body
from services.http.auth_bodies import IssueToken, Revoked, RevokeToken
from services.http.limits import Limits
from services.identity import Identity


PATH: Final = "/v1/auth/service-tokens"


class ServiceTokenRoutes:
    """The routes of service tokens."""

    def __init__(
        self, *, tokens: ServiceTokens, identify: Identify, limits: Limits
    ) -> None:
        self._tokens = tokens
        self._identify = identify
        self._limits = limits

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        return [
            web.post(PATH, self.issue),
            web.post(f"{PATH}/{{id}}/revocation", self.revoke),
        ]

    async def issue(self, request: web.Request) -> web.Response:
        """Answer a new token, whose secret is not shown again."""
        identity = self._administrator(request)
        asked = await read_body(request, IssueToken)
        issued = await self._tokens.issue(
            identity.org_id,
            service=asked.service,
            grants=granted(asked.grants),
            scopes=asked.scopes,
            days=asked.days,
            caller=caller(request, self._limits),
            actor=identity.actor,
        )
        return answered(issued, status=201)

    async def revoke(self, request: web.Request) -> web.Response:
        """Make a token good no more; a second time changes nothing."""
        identity = self._administrator(request)
        token_id = asking.identifier(request.match_info["id"], "path.id")
        asked = await read_body(request, RevokeToken)
        position = await self._tokens.revoke(
            identity.org_id,
            token_id,
            reason=asked.reason,
            caller=caller(request, self._limits),
            actor=identity.actor,
        )
        return answered(Revoked(position=position))

    def _administrator(self, request: web.Request) -> Identity:
        identity = self._identify(request)
        demand(identity.roles, ADMINISTRATORS, "access")
        return identity
