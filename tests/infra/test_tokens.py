"""Tokens: only what our key signed for us, while it is valid, is believed."""

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Unauthenticated
from infra.postgres.sign_in import EVERY_GENERATION
from infra.tokens import (
    BadKey,
    Issuer,
    TokenVerifier,
    development_key,
    read_public_key,
    thumbprint,
)
from services.identity import Identity


KEY: Final = Ed25519PrivateKey.generate()
OTHER: Final = Ed25519PrivateKey.generate()
NOON: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def issuer(watch: Watch) -> Issuer:
    return Issuer(KEY, issuer="us", audience="rehearsal", clock=watch)


@pytest.fixture
def verifier(watch: Watch) -> TokenVerifier:
    return TokenVerifier(
        [KEY.public_key()],
        issuer="us",
        audience="rehearsal",
        region="local",
        clock=watch,
        remembered=2,
    )


def test_a_token_of_a_session_is_believed_until_the_session_ends(
    issuer: Issuer, watch: Watch
) -> None:
    session, ended = UUID(int=1), dict[UUID, int]()
    verifier = TokenVerifier(
        [KEY.public_key()],
        issuer="us",
        audience="rehearsal",
        region="local",
        clock=watch,
        ended=ended,
    )
    first, second, third = (
        issuer.issue("user:mila", org="library", session=session, generation=number)
        for number in (1, 2, 3)
    )
    assert verifier.verify(first).session_id == session
    ended[session] = 2
    for outdated in (first, second):
        with pytest.raises(Unauthenticated, match="to be refreshed"):
            verifier.verify(outdated)
    verifier.verify(third)
    ended[session] = EVERY_GENERATION
    with pytest.raises(Unauthenticated, match="session has ended"):
        verifier.verify(third)
    verifier.verify(issuer.issue("user:mila", org="library"))


def forged(
    key: Any = KEY,  # noqa: ANN401 - any kind of key
    *,
    algorithm: str = "EdDSA",
    headers: dict[str, object] | None = None,
    **claims: object,
) -> str:
    payload = {
        "iss": "us",
        "aud": "rehearsal",
        "sub": "user:1",
        "org": "acme",
        "iat": int(NOON.timestamp()),
        "exp": int(NOON.timestamp()) + 60,
        **claims,
    }
    ours = {"typ": "at+jwt", "kid": thumbprint(KEY.public_key())}
    return jwt.encode(
        {name: value for name, value in payload.items() if value is not None},
        key,
        algorithm=algorithm,
        headers=ours if headers is None else {**ours, **headers},
    )


def test_a_token_proves_who_asks(issuer: Issuer, verifier: TokenVerifier) -> None:
    token = issuer.issue("user:7", org="acme", roles=["admin"], scopes=["import"])
    assert verifier.verify(token) == Identity(
        org_id="acme",
        region="local",
        actor="user:7",
        roles=frozenset({"admin"}),
        scopes=frozenset({"import"}),
    )


def test_a_token_may_name_its_region(issuer: Issuer, verifier: TokenVerifier) -> None:
    token = issuer.issue("service:feed", org="acme", region="eu")
    assert verifier.verify(token).region == "eu"


def test_a_token_ends_even_when_it_was_believed(
    issuer: Issuer, verifier: TokenVerifier, watch: Watch
) -> None:
    token = issuer.issue("user:7", org="acme", lifetime=timedelta(seconds=30))
    verifier.verify(token)
    watch.now = NOON + timedelta(seconds=29)
    verifier.verify(token)
    watch.now = NOON + timedelta(seconds=30)
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(token)


def test_a_token_may_last_for_longer_than_there_are_dates(
    verifier: TokenVerifier, watch: Watch
) -> None:
    token = forged(exp=10**30)
    for year in (2_027, 9_998):
        watch.now = NOON.replace(year=year)
        assert verifier.verify(token).org_id == "acme"


def test_a_believed_token_is_believed_in_its_own_spelling_only(
    issuer: Issuer, verifier: TokenVerifier
) -> None:
    token = issuer.issue("user:7", org="acme")
    verifier.verify(token)
    for other in (f"{token}=", f" {token}", token[:-1], f"{token}\ud800"):
        with pytest.raises(Unauthenticated):
            verifier.verify(other)


def test_many_tokens_are_forgotten_and_still_believed(
    issuer: Issuer, verifier: TokenVerifier
) -> None:
    tokens = [issuer.issue(f"user:{n}", org="acme") for n in range(5)]
    for token in tokens * 2:
        assert verifier.verify(token).org_id == "acme"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (forged(OTHER), "signature"),
        (forged(OTHER, headers={"kid": thumbprint(OTHER.public_key())}), "not ours"),
        (forged(headers={"kid": ""}), "not ours"),
        (forged(headers={"typ": "JWT"}), "type"),
        (forged("s" * 32, algorithm="HS256"), "EdDSA"),
        (forged(None, algorithm="none"), "EdDSA"),
        (forged(generate_private_key(SECP256R1()), algorithm="ES256"), "EdDSA"),
        (forged(aud="elsewhere"), "audience"),
        (forged(iss="them"), "issuer"),
        (forged(exp=None), "no claim exp"),
        (forged(org=None), "no claim org"),
        (forged(iat=int(NOON.timestamp()) + 60), "not valid yet"),
        (forged(nbf=int(NOON.timestamp()) + 60), "not valid yet"),
        (forged(exp=int(NOON.timestamp())), "expired"),
        (forged(exp="soon"), "claims"),
        (forged(sub="system:7"), "claims"),
        (forged(sub="user:a b"), "claims"),
        (forged(org="a,b"), "claims"),
        (forged(roles=["a,b"]), "claims"),
        (forged(roles="admin"), "claims"),
        ("", "JWT"),
        ("a.b.c", "JWT"),
        ("x" * 5_000, "too long"),
        ("\ud800", "JWT"),
    ],
)
def test_a_token_that_is_not_ours_is_refused_with_the_reason(
    token: str, reason: str, verifier: TokenVerifier
) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        verifier.verify(token)


def test_a_token_cannot_bring_its_key(verifier: TokenVerifier) -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}
    headers: dict[str, object] = {"jku": "https://example.org/keys", "jwk": jwk}
    with pytest.raises(Unauthenticated, match="signature"):
        verifier.verify(forged(OTHER, headers=headers))


def test_a_changed_token_is_refused(issuer: Issuer, verifier: TokenVerifier) -> None:
    head, claims, signature = issuer.issue("user:7", org="acme").split(".")
    changed = msgspec.json.decode(jwt.utils.base64url_decode(claims))
    changed["org"] = "another"
    claims = jwt.utils.base64url_encode(msgspec.json.encode(changed)).decode()
    with pytest.raises(Unauthenticated, match="signature"):
        verifier.verify(f"{head}.{claims}.{signature}")


def test_a_deeply_nested_token_is_refused(verifier: TokenVerifier) -> None:
    header = jwt.utils.base64url_encode(b"[" * 2_000).decode()
    with pytest.raises(Unauthenticated):
        verifier.verify(f"{header}.e30.e30")


@given(
    token=st.text(alphabet=st.characters(codec=None)) | st.from_regex(r"\w*\.\w*\.\w*")
)
def test_nothing_but_unauthenticated_escapes(token: str) -> None:
    verifier = TokenVerifier(
        [KEY.public_key()], issuer="us", audience="us", region="local", clock=Watch()
    )
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


def test_a_subject_without_a_kind_is_not_issued(issuer: Issuer) -> None:
    with pytest.raises(msgspec.ValidationError):
        issuer.issue("7", org="acme")


def test_the_development_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = development_key(tmp_path / "data")
    again = development_key(tmp_path / "data")
    (path,) = (tmp_path / "data").iterdir()
    assert first.private_bytes_raw() == again.private_bytes_raw()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert thumbprint(read_public_key(path)) == thumbprint(first.public_key())


def test_a_public_key_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(
        KEY.public_key().public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
    )
    assert thumbprint(read_public_key(path)) == thumbprint(KEY.public_key())


def rsa_like() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize("content", [lambda: b"", lambda: b"no key", rsa_like])
def test_another_kind_of_key_is_named(
    content: Callable[[], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content())
    with pytest.raises(BadKey, match=r"key\.pem"):
        read_public_key(path)
