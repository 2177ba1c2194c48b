"""Bearer tokens: JWTs signed with Ed25519, of one issuer for one audience.

A token is believed for its signature by a key that we hold, and for nothing that it
says about keys: `kid` only picks among ours (it is the key's RFC 7638 thumbprint), and
`jku`, `x5u` and `jwk` are never looked at. Two key files at a time rotate the key.
"""

import os
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from events.errors import Unauthenticated
from services.identity import Identity
from services.ports import Clock


ALGORITHM: Final = "EdDSA"
TYPE: Final = "at+jwt"
LIFETIME: Final = timedelta(minutes=10)
MAX_LENGTH: Final = 4_096
SKEW: Final = timedelta(seconds=5)
LATEST: Final = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:@-]{1,128}$")]
_Subject = Annotated[
    str, msgspec.Meta(pattern=r"^(user|service):[A-Za-z0-9_.:@-]{1,128}$")
]
_Email = Annotated[
    str, msgspec.Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$(?!\n)")
]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token must say of its bearer; times are seconds since 1970, UTC."""

    sub: _Subject
    org: _Name
    exp: int
    iat: int
    nbf: int = 0
    region: _Name | None = None
    roles: frozenset[_Name] = frozenset()
    scopes: frozenset[_Name] = frozenset()
    email: _Email | None = None
    sid: UUID | None = None
    generation: int = 0


class Believed(NamedTuple):
    """A token that was believed, and until when it may be."""

    identity: Identity
    claims: Claims
    until: datetime


class BadKey(Exception):  # noqa: N818 - the name is the message
    """A key file does not hold an Ed25519 key in PEM."""


class Issuer:
    """Signs tokens with one key; production has an identity provider instead."""

    def __init__(
        self, key: Ed25519PrivateKey, *, issuer: str, audience: str, clock: Clock
    ) -> None:
        self._key = key
        self._kid = thumbprint(key.public_key())
        self._issuer = issuer
        self._audience = audience
        self._clock = clock

    def issue(
        self,
        subject: str,
        *,
        org: str,
        roles: Iterable[str] = (),
        scopes: Iterable[str] = (),
        region: str | None = None,
        email: str | None = None,
        session: UUID | None = None,
        generation: int = 0,
        lifetime: timedelta = LIFETIME,
    ) -> str:
        """Return a token for `user:ID` or `service:ID` in an organisation.

        One of a session is believed no longer than the session lasts.
        """
        now = self._clock()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "org": org,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "roles": sorted(roles),
            "scopes": sorted(scopes),
        }
        if region is not None:
            claims["region"] = region
        if email is not None:
            claims["email"] = email
        if session is not None:
            claims |= {"sid": str(session), "generation": generation}
        msgspec.convert(claims, Claims)
        headers = {"typ": TYPE, "kid": self._kid}
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers=headers)


class TokenVerifier:
    """Verifies tokens, remembering the ones that it believed until they expire.

    A token of a session is not believed once the session is among the `ended`, with
    the token's generation or a later one.
    """

    def __init__(
        self,
        keys: Iterable[Ed25519PublicKey],
        *,
        issuer: str,
        audience: str,
        region: str,
        clock: Clock,
        ended: Mapping[UUID, int] = MappingProxyType({}),
        remembered: int = 10_000,
    ) -> None:
        self._keys = {thumbprint(key): key for key in keys}
        self._issuer = issuer
        self._audience = audience
        self._region = region
        self._clock = clock
        self._ended = ended
        self._limit = remembered
        self._believed: OrderedDict[bytes, Believed] = OrderedDict()

    def verify(self, token: str) -> Identity:
        """Return the identity that a token proves; one without a region gets ours.

        Raises `Unauthenticated` with the reason.
        """
        digest = sha256(token.encode(errors="replace")).digest()
        known = self._believed.get(digest)
        if known is not None:
            if self._clock() < known.until:
                self._check_ended(known.claims)
                return known.identity
            del self._believed[digest]
        claims = self._claims(token)
        self._check_times(claims, self._clock())
        identity = Identity(
            org_id=claims.org,
            region=claims.region or self._region,
            actor=claims.sub,
            roles=claims.roles,
            scopes=claims.scopes,
            email=claims.email,
            session_id=claims.sid,
        )
        self._check_ended(claims)
        until = datetime.fromtimestamp(min(claims.exp, LATEST), UTC)
        self._believed[digest] = Believed(identity, claims, until)
        if len(self._believed) > self._limit:
            self._believed.popitem(last=False)
        return identity

    def _check_ended(self, claims: Claims) -> None:
        if claims.sid is None or claims.sid not in self._ended:
            return
        if claims.generation <= self._ended[claims.sid]:
            message = "The token's session has ended, or the token is to be refreshed."
            raise Unauthenticated(message)

    def _claims(self, token: str) -> Claims:
        if len(token) > MAX_LENGTH:
            raise Unauthenticated("The token is too long.")
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self._key(header),
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options={
                    "require": ["iss", "aud", "sub", "org", "iat", "exp"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            return msgspec.convert(claims, Claims)
        except jwt.InvalidSignatureError as error:
            message = "The token's signature is not of its key."
            raise Unauthenticated(message) from error
        except jwt.InvalidAudienceError as error:
            raise Unauthenticated("The token is for another audience.") from error
        except jwt.InvalidIssuerError as error:
            raise Unauthenticated("The token is from another issuer.") from error
        except jwt.MissingRequiredClaimError as error:
            message = f"The token has no claim {error.claim}."
            raise Unauthenticated(message) from error
        except msgspec.ValidationError as error:
            message = f"The token's claims are not ours: {error}."
            raise Unauthenticated(message) from error
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise Unauthenticated("The token is not a signed JWT.") from error

    def _key(self, header: Mapping[str, object]) -> Ed25519PublicKey:
        if header.get("alg") != ALGORITHM:
            message = f"The token is not signed with {ALGORITHM}."
            raise Unauthenticated(message)
        if str(header.get("typ")).lower().removeprefix("application/") != TYPE:
            message = f"The token is not of type {TYPE}."
            raise Unauthenticated(message)
        key = self._keys.get(str(header.get("kid")))
        if key is None:
            raise Unauthenticated("The token is signed with a key that is not ours.")
        return key

    @staticmethod
    def _check_times(claims: Claims, now: datetime) -> None:
        seconds = now.timestamp()
        if seconds >= claims.exp:
            raise Unauthenticated("The token has expired.")
        if max(claims.iat, claims.nbf) > seconds + SKEW.total_seconds():
            raise Unauthenticated("The token is not valid yet.")


def thumbprint(key: Ed25519PublicKey) -> str:
    """Return a key's RFC 7638 thumbprint, which is its `kid`."""
    x = _base64url(key.public_bytes_raw())
    return _base64url(
        sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    )


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the public key that a PEM file holds, or that of its private key."""
    content = path.read_bytes()
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        public = serialization.load_pem_public_key(content)
        if isinstance(public, Ed25519PublicKey):
            return public
    return _private_key(content, path).public_key()


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key that a PEM file holds."""
    return _private_key(path.read_bytes(), path)


def development_key(directory: Path) -> Ed25519PrivateKey:
    """Return the key of a data directory, made at first and readable by its owner only.

    Processes that start together get the same key.
    """
    path = directory / "token_key.pem"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=directory, prefix="token_key.") as draft:
            draft.write(
                Ed25519PrivateKey.generate().private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            draft.flush()
            os.fsync(draft.fileno())
            with suppress(FileExistsError):
                os.link(draft.name, path)
    return _private_key(path.read_bytes(), path)


def _private_key(content: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{path} does not hold an Ed25519 key in PEM."
        raise BadKey(message) from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{path} does not hold an Ed25519 key."
        raise BadKey(message)
    return key


def _base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
