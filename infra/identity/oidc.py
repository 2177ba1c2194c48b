"""OpenID Connect 1.0: a provider's addresses, its keys, and the proofs that it signs.

Only the issuer's host is asked, and those that the operator named beside it; redirects
are not followed, and an answer has a length and a time. Of a proof are checked: the
algorithm (of those that the operator allows, all with a public key), the key (by `kid`
among those of the issuer), the signature, `iss`, `aud`, `azp`, `exp`, `nbf`, `iat` and
`nonce`. Keys are fetched anew when a proof names one that is not known, though not more
often than twice a minute.
"""

import asyncio
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.types import Options
from msgspec import Meta

from events.errors import Unauthenticated, Unavailable
from infra.identity.providers import Provider, is_safe
from services.access.common import Email
from services.accounts.ports import Proved
from services.ports import Clock


DISCOVERY: Final = "/.well-known/openid-configuration"
SCOPE: Final = "openid email profile"
LEEWAY: Final = timedelta(seconds=60)
KEPT: Final = timedelta(hours=1)
AGAIN: Final = timedelta(seconds=30)
SECONDS: Final = 10.0
ANSWER_BYTES: Final = 262_144
PROOF_LENGTH: Final = 16_384
MOST_KEYS: Final = 64
LEAST_RSA_BITS: Final = 2_048
FAMILIES: Final[Mapping[str, tuple[str, str | None]]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "EdDSA": ("OKP", "Ed25519"),
}
UNCHECKED: Final[Options] = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
"""All but the signature is checked here, with our clock."""

T = TypeVar("T")

_log: Final = structlog.get_logger()


class Unproved(Unauthenticated):
    """The identity provider does not prove who this is."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(
        default_factory=lambda: ["client_secret_basic"]
    )
    authorization_response_iss_parameter_supported: bool = False


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a provider, as JWKs."""

    keys: Annotated[list[dict[str, Any]], Meta(max_length=MOST_KEYS)]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a code is exchanged for."""

    id_token: Annotated[str, Meta(max_length=PROOF_LENGTH)]


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Why a code is not exchanged."""

    error: str = ""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof must say; times are seconds since 1970, UTC."""

    iss: str
    sub: Annotated[str, Meta(min_length=1, max_length=255)]
    aud: str | Annotated[list[str], Meta(min_length=1, max_length=32)]
    exp: int | float
    iat: int | float
    nonce: str
    nbf: int | float = 0
    azp: str | None = None
    email: Any = None
    email_verified: Any = None
    preferred_username: Any = None
    name: Any = None


class OidcProvider:
    """Proves who people are by OpenID Connect."""

    def __init__(self, provider: Provider, *, secret: str | None, clock: Clock) -> None:
        self._provider = provider
        self._secret = secret
        self._clock = clock
        self._hosts = {urlsplit(provider.issuer).netloc.lower()} | {
            host.lower() for host in provider.hosts
        }
        self._lock = asyncio.Lock()
        self._metadata: tuple[Metadata, datetime] | None = None
        self._keys: tuple[KeySet, datetime] | None = None

    @property
    def name(self) -> str:
        """Return the name that paths and accounts know it by."""
        return self._provider.name

    @property
    def title(self) -> str:
        """Return the name that people know it by."""
        return self._provider.title

    @property
    def redirect_uris(self) -> Collection[str]:
        """Return the addresses that it may send people back to."""
        return self._provider.redirect_uris

    @property
    def organisation(self) -> str | None:
        """Return the organisation that it serves, if it serves one only."""
        match self._provider.organisations:
            case [only]:
                return only
            case _:
                return None

    def serves(self, org_id: str) -> bool:
        """Say whether people of an organisation may sign in by it."""
        named = self._provider.organisations
        return named is None or org_id in named

    def trusted_by(self, org_id: str) -> bool:
        """Say whether an organisation believes it whose an address is."""
        return org_id in self._provider.trusted_by

    async def address(
        self, *, redirect_uri: str, state: str, nonce: str, challenge: str
    ) -> str:
        """Return where a browser is to be sent."""
        metadata = await self._described()
        asked = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = metadata.authorization_endpoint
        joint = "&" if urlsplit(endpoint).query else "?"
        return f"{endpoint}{joint}{urlencode(asked)}"

    async def prove(
        self,
        *,
        code: str,
        verifier: str,
        nonce: str,
        redirect_uri: str,
        issuer: str | None,
    ) -> Proved:
        """Return who a code is of, or raise `Unproved`."""
        metadata = await self._described()
        # RFC 9207: who answers says so, where the provider says that it does.
        named = metadata.authorization_response_iss_parameter_supported
        if (named or issuer is not None) and issuer != self._provider.issuer:
            raise Unproved("This answer is of another identity provider.")
        proof = await self._exchange(metadata, code, verifier, redirect_uri)
        claims = await self._claims(proof)
        self._check(claims, nonce)
        return Proved(
            issuer=claims.iss,
            subject=claims.sub,
            email=_address(claims.email) if claims.email_verified is True else None,
            username=_text(claims.preferred_username),
            full_name=_text(claims.name),
        )

    async def _exchange(
        self, metadata: Metadata, code: str, verifier: str, redirect_uri: str
    ) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        client, secret = self._provider.client_id, self._secret
        methods = metadata.token_endpoint_auth_methods_supported
        if secret is None:
            form["client_id"] = client
        elif "client_secret_basic" in methods or "client_secret_post" not in methods:
            # RFC 6749, 2.3.1: both are form-encoded first.
            both = f"{quote(client, safe='')}:{quote(secret, safe='')}".encode()
            headers["Authorization"] = f"Basic {b64encode(both).decode()}"
        else:
            form |= {"client_id": client, "client_secret": secret}
        status, body = await self._ask("POST", metadata.token_endpoint, form, headers)
        if status == 200:  # noqa: PLR2004 - HTTP
            return _decoded(body, Answer).id_token
        why = _decoded(body, Error).error if status < 500 else ""  # noqa: PLR2004 - HTTP
        if why == "invalid_grant":
            raise Unproved("The code is of no use, or was used before.")
        _log.error(
            "identity_provider_refused",
            provider=self.name,
            status=status,
            reason=why[:100],
        )
        raise Unavailable("The identity provider took no code.")

    async def _claims(self, proof: str) -> Claims:
        try:
            header = jwt.get_unverified_header(proof)
            key = await self._key(header)
            claims = jwt.decode(
                proof, key, algorithms=[str(header["alg"])], options=UNCHECKED
            )
            return msgspec.convert(claims, Claims)
        except msgspec.ValidationError as error:
            message = f"The proof's claims are not those of OpenID Connect: {error}."
            raise Unproved(message) from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Unproved("The proof is not signed by its key.") from error

    async def _key(self, header: Mapping[str, object]) -> jwt.PyJWK:
        algorithm = header.get("alg")
        if algorithm not in self._provider.algorithms or "crit" in header:
            raise Unproved("The proof is signed in a way that is not allowed.")
        named = header.get("kid")
        for fresh in (False, True):
            keys = await self._key_set(fresh=fresh)
            fit = [each for each in keys if _fits(each, str(algorithm), named)]
            if len(fit) == 1:
                key = jwt.PyJWK(fit[0], str(algorithm))
                public = key.key
                if (
                    isinstance(public, RSAPublicKey)
                    and public.key_size < LEAST_RSA_BITS
                ):
                    raise Unproved("The proof is signed with a key that is too short.")
                return key
        raise Unproved("The proof is signed with a key that is not the provider's.")

    def _check(self, claims: Claims, nonce: str) -> None:
        if claims.iss != self._provider.issuer:
            raise Unproved("The proof is of another issuer.")
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        client = self._provider.client_id
        if client not in audience:
            raise Unproved("The proof is for another client.")
        if claims.azp != client and (claims.azp is not None or len(audience) > 1):
            raise Unproved("The proof was given to another client.")
        if not compare_digest(claims.nonce.encode(), nonce.encode()):
            raise Unproved("The proof is of another sign-in.")
        now, leeway = self._clock().timestamp(), LEEWAY.total_seconds()
        if now >= claims.exp + leeway:
            raise Unproved("The proof has expired.")
        if max(claims.iat, claims.nbf) > now + leeway:
            raise Unproved("The proof is not valid yet.")

    async def _described(self) -> Metadata:
        async with self._lock:
            if self._metadata is None or self._is_older(self._metadata[1], KEPT):
                address = self._provider.issuer.rstrip("/") + DISCOVERY
                found = await self._document(address, Metadata)
                if found.issuer != self._provider.issuer:
                    raise self._strange("another issuer")
                self._metadata = found, self._clock()
            return self._metadata[0]

    async def _key_set(self, *, fresh: bool) -> Sequence[dict[str, Any]]:
        metadata = await self._described()
        async with self._lock:
            limit = AGAIN if fresh else KEPT
            if self._keys is None or self._is_older(self._keys[1], limit):
                found = await self._document(metadata.jwks_uri, KeySet)
                self._keys = found, self._clock()
            return self._keys[0].keys

    def _is_older(self, moment: datetime, limit: timedelta) -> bool:
        return self._clock() - moment >= limit

    async def _document(self, address: str, kind: type[T]) -> T:
        status, body = await self._ask("GET", address)
        if status != 200:  # noqa: PLR2004 - HTTP
            reason = f"status {status}"
            raise self._strange(reason)
        return _decoded(body, kind)

    async def _ask(
        self,
        method: str,
        address: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Return the status and the body that an address of the provider answers."""
        if not is_safe(address) or urlsplit(address).netloc.lower() not in self._hosts:
            raise self._strange("an address elsewhere")
        try:
            async with (
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=SECONDS),
                    headers={"Accept": "application/json"},
                    auto_decompress=False,
                ) as http,
                http.request(
                    method,
                    address,
                    data=form,
                    headers={"Accept-Encoding": "identity", **(headers or {})},
                    allow_redirects=False,
                ) as response,
            ):
                return response.status, await self._body(response.content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._strange(type(error).__name__) from error

    async def _body(self, content: aiohttp.StreamReader) -> bytes:
        body = b""
        async for part in content.iter_any():
            body += part
            if len(body) > ANSWER_BYTES:
                raise self._strange("too long an answer")
        return body

    def _strange(self, reason: str) -> Unavailable:
        _log.error("identity_provider_failed", provider=self.name, reason=reason)
        return Unavailable("The identity provider does not answer as it should.")


def _fits(key: Mapping[str, object], algorithm: str, named: object) -> bool:
    """Say whether a key may be the one that a proof is signed with."""
    family, curve = FAMILIES.get(algorithm, ("RSA", None))
    return (
        (named is None or key.get("kid") == named)
        and key.get("kty") == family
        and (curve is None or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = "The identity provider's answer is not that of OpenID Connect."
        raise Unavailable(message) from error


def _text(value: object) -> str | None:
    """Return a claim that people are shown, or None where it is no plain text."""
    if not isinstance(value, str) or not value.isprintable():
        return None
    return value.strip() or None


def _address(value: object) -> str | None:
    """Return a claim that is an address, or None."""
    try:
        return msgspec.convert(value, Email)
    except msgspec.ValidationError:
        return None
