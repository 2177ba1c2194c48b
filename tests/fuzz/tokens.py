"""Tokens that prove nothing, each sent to routes of every kind: nobody gets in."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.clock import now
from infra.tokens import TYPE, development_key, thumbprint
from tests.fuzz.stack import ACTOR, ORG, Stack
from tests.fuzz.wire import JSON, Wire


COMMAND: Final = msgspec.json.encode(
    {
        "type": "testing.DeletePersona",
        "persona_id": "01970000-0000-7000-8000-000000000001",
    }
)
ROUTES: Final = (
    ("POST", "/v1/commands", COMMAND),
    ("GET", "/v1/events", None),
    ("GET", "/v1/streams/testing.persona-1", None),
    ("POST", "/v1/blobs", b"blob"),
    ("GET", f"/v1/blobs/{'0' * 64}", None),
    ("GET", "/v1/testing/agents", None),
    ("GET", "/v1/testing/agents/01970000-0000-7000-8000-000000000001", None),
)


def campaign(wire: Wire, stack: Stack) -> None:
    """Send every bad token to every route, and good ones that do not suffice."""
    for name, header in bad_headers(stack):
        for method, target, body in ROUTES:
            headers = {"Authorization": header, "Content-Type": JSON}
            reply = wire.ask(
                f"token: {name}", method, target, headers, body, expect=(401,)
            )
            if reply.status and "WWW-Authenticate" not in reply.headers:
                wire.findings.add("a 401 without a challenge", f"{name} {target}")
    viewer = f"Bearer {stack.token(roles=['viewer'], scopes=[])}"
    for method, target, body in ROUTES[:5]:
        headers = {
            "Authorization": viewer,
            "Content-Type": JSON,
            "Idempotency-Key": str(wire.new_id()),
        }
        wire.ask("token: a viewer's", method, target, headers, body, expect=(403,))


def bad_headers(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield Authorization headers that prove nothing, by name; none is empty."""
    yield "missing", ""
    for name, header in (
        ("no scheme", stack.token()),
        ("another scheme", f"Basic {stack.token()}"),
        ("nothing", "Bearer"),
        ("blank", "Bearer  "),
        ("dots", "Bearer .."),
        ("null", "Bearer null"),
        ("letters outside ASCII", "Bearer \xe9.\xe9.\xe9"),
        ("long", f"Bearer {'a' * 5_000}"),
        ("cut off", f"Bearer {stack.token()[:-10]}"),
        ("two", f"Bearer {stack.token()}, Bearer {stack.token()}"),
    ):
        yield name, header
    for name, token in bad_tokens(stack):
        yield name, f"Bearer {token}"


def bad_tokens(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield tokens that are JWTs, and still prove nothing."""
    key = development_key(stack.folder)
    public = key.public_key()
    kid = thumbprint(public)
    good = claims(stack)
    late = stack.issuer().issue(ACTOR, org=ORG, lifetime=timedelta(seconds=-1))
    yield "expired", late
    yield "another audience", stack.issuer(audience="else").issue(ACTOR, org=ORG)
    yield "another issuer", stack.issuer(name="else").issue(ACTOR, org=ORG)
    forger = Ed25519PrivateKey.generate()
    yield "forged", signed(good, forger, {"typ": TYPE, "kid": kid})
    yield (
        "another's key",
        signed(good, forger, {"typ": TYPE, "kid": thumbprint(forger.public_key())}),
    )
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64(forger.public_key().public_bytes_raw()),
    }
    yield "its own key", signed(good, forger, {"typ": TYPE, "kid": kid, "jwk": jwk})
    yield (
        "a key elsewhere",
        signed(good, forger, {"typ": TYPE, "kid": kid, "jku": "http://127.0.0.1:9/"}),
    )
    yield "no type", signed(good, key, {"typ": "JWT", "kid": kid})
    yield "no key id", signed(good, key, {"typ": TYPE})
    for alg in ("none", "None", "", "HS256", "EdDSA"):
        head = {"alg": alg, "typ": TYPE, "kid": kid}
        secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        unsigned = (
            f"{base64(msgspec.json.encode(head))}.{base64(msgspec.json.encode(good))}"
        )
        mark = hmac.digest(secret, unsigned.encode(), sha256)
        yield f"alg {alg or 'empty'}", f"{unsigned}."
        yield f"alg {alg or 'empty'}, marked", f"{unsigned}.{base64(mark)}"
    for name, change in CHANGES.items():
        changed = {**good, **change}
        kept = {field: value for field, value in changed.items() if value is not None}
        yield name, signed(kept, key, {"typ": TYPE, "kid": kid})
    header, body, signature = stack.token().split(".")
    other = base64(msgspec.json.encode({**good, "org": "museum"}))
    yield "other claims", f"{header}.{other}.{signature}"
    yield "no claims", f"{header}.{base64(b'[]')}.{signature}"
    yield "deep claims", f"{header}.{base64(b'[' * 1_000)}.{signature}"
    yield "a deep head", f"{base64(b'[' * 1_000)}.{body}.{signature}"


CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "no subject": {"sub": None},
    "no organisation": {"org": None},
    "no end": {"exp": None},
    "an end before all": {"exp": -(10**30)},
    "an end as text": {"exp": "tomorrow"},
    "an end that is no number": {"exp": 1e400},
    "not yet": {"nbf": 4_000_000_000},
    "issued later": {"iat": 4_000_000_000},
    "a subject of no kind": {"sub": "mila"},
    "a system's": {"sub": "system:dispatch"},
    "a NUL in the subject": {"sub": "user:mi\0la"},
    "a comma in a role": {"roles": ["viewer,admin"]},
    "a role as text": {"roles": "admin"},
    "an organisation with a quote": {"org": "li'brary"},
    "an organisation as a list": {"org": ["library"]},
}


def claims(stack: Stack) -> dict[str, Any]:
    """Return the claims of a token that the API believes."""
    moment = int(now().timestamp())
    return {
        "iss": stack.settings.token_issuer,
        "aud": stack.settings.token_audience,
        "sub": ACTOR,
        "org": ORG,
        "iat": moment,
        "exp": moment + 3_600,
        "roles": ["admin"],
        "scopes": [],
    }


def signed(
    told: Mapping[str, Any], key: Ed25519PrivateKey, head: Mapping[str, Any]
) -> str:
    """Return claims signed with a key."""
    return jwt.encode(dict(told), key, algorithm="EdDSA", headers=dict(head))


def base64(content: bytes) -> str:
    """Return bytes as a part of a JWT."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()
