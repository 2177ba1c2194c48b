"""Bodies as they are kept: named by their sha256 and compressed by Zstandard."""

from hashlib import sha256
from typing import Final

import msgspec
import zstandard


LEVEL: Final = 1  # 3 takes twice as long, to save a tenth


class BadlyPackedError(Exception):
    """What was packed is not what its name says."""


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """A body that is ready to be kept; `size` is that of the body, in bytes."""

    sha256: str
    size: int
    media_type: str
    content: bytes

    def opened(self) -> bytes:
        """Return the body, or raise `BadlyPackedError`."""
        return unpacked(self.content, size=self.size, name=self.sha256)


def packed(body: bytes, *, media_type: str) -> Packed:
    """Return a body ready to be kept."""
    return Packed(
        sha256=sha256(body).hexdigest(),
        size=len(body),
        media_type=media_type,
        content=zstandard.ZstdCompressor(level=LEVEL).compress(body),
    )


def unpacked(content: bytes, *, size: int, name: str) -> bytes:
    """Return the body of a name that was packed, or raise `BadlyPackedError`."""
    try:
        body = zstandard.ZstdDecompressor().decompress(content, max_output_size=size)
    except zstandard.ZstdError as error:
        raise BadlyPackedError(name) from error
    if sha256(body).hexdigest() != name:
        raise BadlyPackedError(name)
    return body
