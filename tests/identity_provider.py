"""A small OpenID Connect provider: real HTTP, real keys, real signatures.

It does what the standard says, unless a test has it lie: `claims` are laid over those
of a proof, `forge` makes the proof itself, `metadata` is laid over its description, and
`refuses` is what people bring back instead of a code.
"""

import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from infra.clock import now
from services.http.serving import serving


CLIENT: Final = "rehearsal"
SECRET: Final = "a secret: of 100 %"  # noqa: S105 - of nobody
BACK: Final = "https://app.example/signed-in"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Forge = Callable[[dict[str, Any], "Keyed"], str]


@dataclass(frozen=True)
class Keyed:
    """A key under its name."""

    kid: str
    private: PrivateKey

    @property
    def algorithm(self) -> str:
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    @property
    def jwk(self) -> dict[str, Any]:
        """Return the public key as the provider publishes it."""
        public = self.private.public_key()
        made: dict[str, Any]
        if isinstance(public, rsa.RSAPublicKey):
            made = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
        else:
            made = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
        return {**made, "kid": self.kid, "use": "sig", "alg": self.algorithm}


def rsa_key(kid: str, bits: int = 2048) -> Keyed:
    return Keyed(kid, rsa.generate_private_key(public_exponent=65537, key_size=bits))


def ec_key(kid: str) -> Keyed:
    return Keyed(kid, ec.generate_private_key(ec.SECP256R1()))


def signed(claims: dict[str, Any], key: Keyed, **header: Any) -> str:  # noqa: ANN401 - JSON
    """Return a proof that a key signed."""
    named = {"kid": key.kid, **header}
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=named)


@dataclass(kw_only=True)
class Server:
    """What runs, and how it is to behave."""

    issuer: str = ""
    keys: list[Keyed] = field(default_factory=lambda: [rsa_key("first")])
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "somebody"})
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    forge: Forge = signed
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refuses: dict[str, str] | None = None
    respond: Mapping[str, Callable[[], web.StreamResponse]] = field(
        default_factory=dict
    )

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self.describe),
            web.get("/keys", self.publish),
            web.get("/authorize", self.authorize),
            web.post("/token", self.exchange),
        ]

    async def describe(self, request: web.Request) -> web.StreamResponse:
        described = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.metadata,
        }
        return self._answer(request, described)

    async def publish(self, request: web.Request) -> web.StreamResponse:
        return self._answer(request, {"keys": [key.jwk for key in self.keys]})

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Send the browser back with a code, as somebody who is signed in already."""
        asked = dict(request.query)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        back = urlencode({**(self.refuses or {"code": code}), "state": asked["state"]})
        address = f"{asked['redirect_uri']}?{back}"
        raise web.HTTPFound(address)

    async def exchange(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked = self.codes.pop(form["code"], None)
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest())
        good = (
            asked is not None
            and asked["redirect_uri"] == form["redirect_uri"]
            and asked["code_challenge"] == challenge.decode().rstrip("=")
        )
        if client_of(request.headers, form) != (CLIENT, SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        if asked is None or not good:
            return web.json_response({"error": "invalid_grant"}, status=400)
        moment = int(now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": moment,
            "exp": moment + 300,
            "nonce": asked["nonce"],
            **self.person,
            **self.claims,
        }
        given = {name: value for name, value in claims.items() if value is not None}
        proof = self.forge(given, self.keys[-1])
        answer = {"access_token": "unused", "token_type": "Bearer", "id_token": proof}
        return self._answer(request, answer)

    def _answer(self, request: web.Request, value: object) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path in self.respond:
            return self.respond[request.path]()
        return web.json_response(value)


def known(name: str, **claims: object) -> dict[str, Any]:
    """Return somebody as the provider knows them."""
    return {
        "sub": f"subject of {name}",
        "email": f"{name}@library.example",
        "email_verified": True,
        "preferred_username": name,
        "name": f"{name} of Acme",
        **claims,
    }


def client_of(headers: Mapping[str, str], form: Mapping[str, str]) -> tuple[str, str]:
    """Return who asks for a token."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    client, _, secret = b64decode(given).decode().partition(":")
    return unquote(client), unquote(secret)


@asynccontextmanager
async def identity_server() -> AsyncIterator[Server]:
    """Yield a provider that runs."""
    server = Server()
    app = web.Application()
    app.add_routes(server.routes())
    async with serving(app, host="127.0.0.1", port=0) as port:
        server.issuer = f"http://127.0.0.1:{port}"
        yield server


async def visit(address: str) -> dict[str, str]:
    """Go where a browser is sent, and return what it brings back."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(address, allow_redirects=False) as response,
    ):
        assert response.status == 302
        back = urlsplit(response.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
    return dict(parse_qsl(back.query))
