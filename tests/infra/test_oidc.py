"""OpenID Connect against a provider that runs: what is believed, and what is not."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import jwt
import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events.errors import Unavailable
from infra.clock import now
from infra.identity.oidc import OidcProvider, Unproved
from infra.identity.providers import Provider, open_providers, read_providers
from infra.settings import SetupError
from services.accounts.identities import challenge_of
from services.accounts.ports import Proved
from tests.identity_provider import (
    BACK,
    CLIENT,
    SECRET,
    Keyed,
    Server,
    ec_key,
    identity_server,
    rsa_key,
    signed,
    visit,
)


NONCE: Final = "nonce"
VERIFIER: Final = "v" * 43


@dataclass
class Clock:
    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return now() + self.ahead


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with identity_server() as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


def provider(server: Server, clock: Clock, **fields: Any) -> OidcProvider:  # noqa: ANN401 - a provider's
    given = {
        "name": "acme",
        "title": "Acme",
        "issuer": server.issuer,
        "client_id": CLIENT,
        "redirect_uris": [BACK],
        **fields,
    }
    return OidcProvider(Provider(**given), secret=SECRET, clock=clock)


async def proved(
    made: OidcProvider,
    *,
    verifier: str = VERIFIER,
    nonce: str = NONCE,
    issuer: str | None = None,
) -> Proved:
    """Go the whole way, from the address to the proof."""
    address = await made.address(
        redirect_uri=BACK, state="s", nonce=NONCE, challenge=challenge_of(VERIFIER)
    )
    brought = await visit(address)
    assert brought["state"] == "s"
    return await made.prove(
        code=brought["code"],
        verifier=verifier,
        nonce=nonce,
        redirect_uri=BACK,
        issuer=issuer,
    )


async def test_a_proof_says_who_somebody_is(server: Server, clock: Clock) -> None:
    server.person = {
        "sub": "ines",
        "email": "ines@library.example",
        "email_verified": True,
        "preferred_username": "ines",
        "name": " Ines \u00e9",
    }
    assert await proved(provider(server, clock)) == Proved(
        issuer=server.issuer,
        subject="ines",
        email="ines@library.example",
        username="ines",
        full_name="Ines \u00e9",
    )


@pytest.mark.parametrize("said", [False, None, "true", 1, [True]])
async def test_an_address_that_is_not_verified_is_none(
    server: Server, clock: Clock, said: object
) -> None:
    server.person = {
        "sub": "ines",
        "email": "ines@library.example",
        "email_verified": said,
    }
    assert (await proved(provider(server, clock))).email is None


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "no address", "email_verified": True},
        {"email": "a\x00b@library.example\n", "email_verified": True},
        {"email": ["ines@library.example"], "email_verified": True},
        {"name": "a\nb", "preferred_username": 10**30},
        {"name": "\ud800", "preferred_username": {}},
    ],
)
async def test_what_is_no_plain_text_is_left_out(
    server: Server, clock: Clock, claims: dict[str, Any]
) -> None:
    server.person = {"sub": "ines", **claims}
    found = await proved(provider(server, clock))
    assert (found.email, found.username, found.full_name) == (None, None, None)


async def test_a_provider_may_take_the_secret_in_the_form(
    server: Server, clock: Clock
) -> None:
    server.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await proved(provider(server, clock))).subject == "somebody"


def unsigned(claims: dict[str, Any], _key: Keyed) -> str:
    head = msgspec.json.encode({"alg": "none", "typ": "JWT"})
    return b".".join(map(encoded, (head, msgspec.json.encode(claims), b""))).decode()


def signed_with_the_public_key(claims: dict[str, Any], key: Keyed) -> str:
    public = key.private.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    head = msgspec.json.encode({"alg": "HS256", "typ": "JWT", "kid": key.kid})
    text = b".".join(map(encoded, (head, msgspec.json.encode(claims))))
    return (text + b"." + encoded(hmac.digest(public, text, "sha256"))).decode()


def encoded(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def changed(claims: dict[str, Any], key: Keyed) -> str:
    head, _, signature = signed(claims, key).split(".")
    other = encoded(msgspec.json.encode({**claims, "sub": "somebody else"}))
    return f"{head}.{other.decode()}.{signature}"


def by_another(claims: dict[str, Any], key: Keyed) -> str:
    return signed(claims, rsa_key(key.kid))


def by_a_key_it_brings(claims: dict[str, Any], _key: Keyed) -> str:
    brought = rsa_key("brought")
    return signed(claims, brought, jwk=brought.jwk)


def in_an_unknown_way(claims: dict[str, Any], key: Keyed) -> str:
    return signed(claims, key, crit=["exp"])


def too_long(claims: dict[str, Any], key: Keyed) -> str:
    return signed({**claims, "more": "x" * 20_000}, key)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (unsigned, "not allowed"),
        (signed_with_the_public_key, "not allowed"),
        (changed, "not signed"),
        (by_another, "not signed"),
        (by_a_key_it_brings, "not the provider's"),
        (in_an_unknown_way, "not allowed|not signed"),
        (lambda _claims, _key: "no proof", "not signed"),
        (lambda _claims, _key: "a.b.c", "not signed"),
        (lambda _claims, _key: "", "not signed"),
    ],
)
async def test_only_what_the_issuer_signed_is_believed(
    server: Server,
    clock: Clock,
    forge: Callable[[dict[str, Any], Keyed], str],
    said: str,
) -> None:
    server.forge = forge
    with pytest.raises(Unproved, match=said):
        await proved(provider(server, clock))


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://other.example"}, "another issuer"),
        ({"aud": "another"}, "another client"),
        ({"aud": ["another", "one more"]}, "another client"),
        ({"aud": [CLIENT, "another"]}, "given to another"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "given to another"),
        ({"azp": "another"}, "given to another"),
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "nonce"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"aud": None}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"iat": 10**12}, "not valid yet"),
        ({"nbf": 10**12}, "not valid yet"),
    ],
)
async def test_a_proof_for_another_or_another_time_is_not_believed(
    server: Server, clock: Clock, claims: dict[str, Any], said: str
) -> None:
    server.claims = claims
    with pytest.raises(Unproved, match=said):
        await proved(provider(server, clock))


async def test_a_proof_may_name_others_beside_us(server: Server, clock: Clock) -> None:
    server.claims = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert (await proved(provider(server, clock))).subject == "somebody"


async def test_clocks_may_differ_by_a_minute(server: Server, clock: Clock) -> None:
    made, moment = provider(server, clock), int(now().timestamp())
    server.claims = {"exp": moment - 50, "iat": moment + 50}
    assert (await proved(made)).subject == "somebody"
    clock.ahead = timedelta(seconds=120)
    with pytest.raises(Unproved, match="expired"):
        await proved(made)


async def test_a_verifier_of_another_gets_nothing(server: Server, clock: Clock) -> None:
    with pytest.raises(Unproved, match="of no use"):
        await proved(provider(server, clock), verifier="w" * 43)


async def test_a_code_is_of_use_once(server: Server, clock: Clock) -> None:
    made = provider(server, clock)
    address = await made.address(
        redirect_uri=BACK, state="s", nonce=NONCE, challenge=challenge_of(VERIFIER)
    )
    code = (await visit(address))["code"]
    given = {"verifier": VERIFIER, "nonce": NONCE, "redirect_uri": BACK}
    await made.prove(code=code, issuer=None, **given)
    with pytest.raises(Unproved, match="before"):
        await made.prove(code=code, issuer=None, **given)


async def test_an_answer_of_another_provider_is_not_taken(
    server: Server, clock: Clock
) -> None:
    made = provider(server, clock)
    with pytest.raises(Unproved, match="another identity provider"):
        await proved(made, issuer="https://other.example")
    assert (await proved(made, issuer=server.issuer)).subject == "somebody"
    server.metadata = {"authorization_response_iss_parameter_supported": True}
    with pytest.raises(Unproved, match="another identity provider"):
        await proved(provider(server, clock), issuer=None)
    assert "/token" not in server.asked[-1:]


async def test_keys_are_kept_and_fetched_anew_when_they_rotate(
    server: Server, clock: Clock
) -> None:
    made = provider(server, clock)
    await proved(made)
    await proved(made)
    assert server.asked.count("/keys") == 1
    server.keys.append(ec_key("second"))
    with pytest.raises(Unproved, match="not the provider's"):
        await proved(made)
    assert server.asked.count("/keys") == 1, "asked again too soon"
    clock.ahead = timedelta(seconds=31)
    assert (await proved(made)).subject == "somebody"
    assert server.asked.count("/keys") == 2
    clock.ahead = timedelta(hours=2)
    server.keys = [rsa_key("third")]
    server.claims = {"exp": 10**10, "iat": 0}
    assert (await proved(made)).subject == "somebody"
    assert server.asked.count("/.well-known/openid-configuration") == 2


async def test_an_algorithm_is_used_only_where_it_is_allowed(
    server: Server, clock: Clock
) -> None:
    server.keys = [ec_key("first")]
    assert (await proved(provider(server, clock))).subject == "somebody"
    with pytest.raises(Unproved, match="not allowed"):
        await proved(provider(server, clock, algorithms=["RS256"]))


async def test_a_short_key_is_not_believed(server: Server, clock: Clock) -> None:
    server.keys = [rsa_key("first", bits=1024)]
    server.forge = signed_anyhow
    with pytest.raises(Unproved, match="too short"):
        await proved(provider(server, clock))


def signed_anyhow(claims: dict[str, Any], key: Keyed) -> str:
    signer = jwt.PyJWT(options={"enforce_minimum_key_length": False})
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        return signer.encode(
            claims, key.private, algorithm="RS256", headers={"kid": key.kid}
        )


def moved() -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://169.254.169.254/"})


@pytest.mark.parametrize(
    "path", ["/.well-known/openid-configuration", "/keys", "/token"]
)
@pytest.mark.parametrize(
    "answer",
    [
        moved,
        lambda: web.Response(status=500),
        lambda: web.Response(body=b"x" * 300_000),
        lambda: web.Response(body=b"[" * 100_000),
        lambda: web.Response(body=b'{"issuer": 1, "keys": 1, "id_token": 1}'),
        lambda: web.Response(body=b"\xff"),
    ],
)
async def test_a_provider_that_does_not_answer_as_it_should_is_away(
    server: Server,
    clock: Clock,
    path: str,
    answer: Callable[[], web.StreamResponse],
) -> None:
    server.respond = {path: answer}
    with pytest.raises(Unavailable):
        await proved(provider(server, clock))


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example"},
        {"authorization_endpoint": None},
        {"token_endpoint": "http://127.0.0.2:1/token"},
        {"token_endpoint": "https://169.254.169.254/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user@127.0.0.1/keys"},
        {"jwks_uri": "https://["},
    ],
)
async def test_nobody_is_asked_but_the_issuer(
    server: Server, clock: Clock, metadata: dict[str, Any]
) -> None:
    server.metadata = metadata
    with pytest.raises(Unavailable):
        await proved(provider(server, clock))


async def test_a_proof_has_a_length(server: Server, clock: Clock) -> None:
    server.forge = too_long
    with pytest.raises(Unavailable):
        await proved(provider(server, clock))


async def test_a_provider_that_is_not_there_is_away(clock: Clock) -> None:
    made = provider(Server(issuer="http://127.0.0.1:9"), clock)
    with pytest.raises(Unavailable):
        await made.address(redirect_uri=BACK, state="s", nonce="n", challenge="c")


GOOD: Final = """
[[providers]]
name = "acme"
title = "Acme"
issuer = "https://login.acme.example"
client_id = "rehearsal"
client_secret_file = "secret"
redirect_uris = ["https://app.example/signed-in"]
organisations = ["acme"]
trusted_by = ["acme"]
"""


def written(folder: Path, text: str) -> Path:
    (folder / "secret").write_text("of nobody\n")
    path = folder / "providers.toml"
    path.write_text(text)
    return path


def test_a_file_names_the_providers(tmp_path: Path, clock: Clock) -> None:
    path = written(tmp_path, GOOD)
    found, secret = read_providers(path)["acme"]
    assert (found.issuer, secret) == ("https://login.acme.example", "of nobody")
    made = open_providers(path, clock=clock)["acme"]
    assert made.serves("acme")
    assert made.trusted_by("acme")
    assert not made.serves("library")
    assert not made.trusted_by("library")
    assert open_providers(None, clock=clock) == {}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("https://login", "http://login", "no https://"),
        ("https://app", "http://app", "no https://"),
        ("signed-in", "signed-in#here", "no https://"),
        ("login.acme.example", "me@login.acme.example", "no https://"),
        ("login.acme.example", "login.acme.example?x=1", "query"),
        ('"acme"', '"Acme/.."', "name"),
        ('"secret"', '"nowhere"', "cannot be read"),
        ('"secret"', '"providers.toml"\nalgorithms = ["none"]', "algorithms"),
        ('"secret"', '"secret"\nclient_secret = "x"', "client_secret"),
        ("[[providers]]", "[[providers", "TOML"),
        ('redirect_uris = ["https://app.example/signed-in"]', "", "redirect_uris"),
    ],
)
def test_a_file_that_makes_no_sense_keeps_the_system_from_starting(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    with pytest.raises(SetupError, match=said):
        read_providers(written(tmp_path, GOOD.replace(before, after, 1)))


def test_a_provider_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="two providers acme"):
        read_providers(written(tmp_path, GOOD + GOOD))
