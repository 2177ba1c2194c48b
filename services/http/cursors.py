"""Where a page ended, as a text that only we can make.

It holds the values of the page's order in its last row, and what was asked for, so a
cursor goes on with its own query or not at all.
"""

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from events.errors import Malformed


MARK_BYTES: Final = 16
MAX_LENGTH: Final = 4_000

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(tuple[str, list[str | None]])


def fingerprint(*parts: object) -> str:
    """Return a short digest of what a query asks for."""
    return sha256(_encode(parts)).hexdigest()[:16]


def seal(secret: bytes, asked: str, values: Sequence[str | None]) -> str:
    """Return the cursor after a row with these values."""
    content = _encode((asked, values))
    return urlsafe_b64encode(_mark(secret, content) + content).decode().rstrip("=")


def unseal(secret: bytes, asked: str, cursor: str) -> list[str | None]:
    """Return the values of a cursor of this query, or raise `Malformed`."""
    try:
        sealed = urlsafe_b64decode(cursor[:MAX_LENGTH] + "=" * (-len(cursor) % 4))
    except (ValueError, binascii.Error):
        sealed = b""
    mark, content = sealed[:MARK_BYTES], sealed[MARK_BYTES:]
    if not hmac.compare_digest(mark, _mark(secret, content)):
        raise Malformed("This cursor is not one of ours.", path="query.cursor")
    found, values = _decoder.decode(content)
    if found != asked:
        message = "This cursor belongs to another query."
        raise Malformed(message, path="query.cursor")
    return values


def _mark(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, content, "sha256")[:MARK_BYTES]
