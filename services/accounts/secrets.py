"""The digests that accounts are kept by: no address, code or token is kept in clear.

All are HMAC-SHA-256 with keys of their own, made of one secret of the installation. An
address or a user name is the same however it is written: NFKC, case folded.

A refresh token is `rhr_` and the base64url of 16 bytes session id, 4 bytes generation
and the 32 bytes HMAC of both.
"""

import secrets
import unicodedata
from base64 import b64decode, urlsafe_b64encode
from hmac import compare_digest, digest
from typing import Final
from uuid import UUID

import msgspec

from events.errors import Unauthenticated


PREFIX: Final = "rhr_"
CODE_DIGITS: Final = 8

_ID: Final = 16
_GENERATION: Final = 4
_MAC: Final = 32


def folded(text: str) -> str:
    """Return what is the same of two ways to write an address or a name."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def new_binding() -> str:
    """Return what binds a handshake to who began it, which nobody can guess."""
    return secrets.token_urlsafe(32)


def new_code() -> str:
    """Return a code that nobody can guess."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


class Secrets:
    """The keys of an installation's digests."""

    def __init__(self, root: bytes) -> None:
        def key(purpose: str) -> bytes:
            return digest(root, purpose.encode(), "sha256")

        self._address = key("address")
        self._username = key("username")
        self._code = key("code")
        self._refresh = key("refresh")
        self._identity = key("identity")
        self._handshake = key("handshake")
        self.password = key("password")

    def address(self, email: str) -> str:
        """Return what stands for an address."""
        return digest(self._address, folded(email).encode(), "sha256").hex()

    def username(self, username: str) -> str:
        """Return what stands for a user name."""
        return digest(self._username, folded(username).encode(), "sha256").hex()

    def identity(self, issuer: str, subject: str) -> str:
        """Return what stands for somebody as an issuer knows them."""
        both = msgspec.json.encode((issuer, subject))
        return digest(self._identity, both, "sha256").hex()

    def handshake(self, binding: str, part: str) -> str:
        """Return a part of a handshake that only who began it can go on with."""
        made = digest(self._handshake, f"{part}\n{binding}".encode(), "sha256")
        return urlsafe_b64encode(made).decode().rstrip("=")

    def code(self, org_id: str, address: str, code: str) -> bytes:
        """Return the digest of a code that was sent to an address."""
        return digest(self._code, f"{org_id}\n{address}\n{code}".encode(), "sha256")

    def refresh_token(self, session_id: UUID, generation: int) -> str:
        """Return the refresh token of a session's generation."""
        body = session_id.bytes + generation.to_bytes(_GENERATION)
        mac = digest(self._refresh, body, "sha256")
        return PREFIX + urlsafe_b64encode(body + mac).decode().rstrip("=")

    def session_of(self, token: str) -> tuple[UUID, int]:
        """Return the session and the generation of a refresh token of ours."""
        failure = Unauthenticated("This is no refresh token of ours.")
        if not token.startswith(PREFIX):
            raise failure
        text = token.removeprefix(PREFIX)
        try:
            raw = b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except ValueError:
            raise failure from None
        if len(raw) != _ID + _GENERATION + _MAC:
            raise failure
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if not compare_digest(digest(self._refresh, body, "sha256"), mac):
            raise failure
        return UUID(bytes=body[:_ID]), int.from_bytes(body[_ID:])
