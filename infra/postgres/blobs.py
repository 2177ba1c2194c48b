"""Large bodies in PostgreSQL, kept once under their sha256 and compressed."""

import asyncio
import re
from hashlib import sha256
from typing import Final

import zstandard

from events.errors import Missing, TooLarge
from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool


LARGEST: Final = 256 * 1024 * 1024
LEVEL: Final = 1  # 3 takes twice as long, to save a tenth
SHORT: Final = 64 * 1024
NAME: Final = re.compile(r"[0-9a-f]{64}")

PUT: Final = """
INSERT INTO es.blobs (sha256, media_type, size, content)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
"""
GET: Final = """
SELECT size, content
  FROM es.blobs
 WHERE sha256 = $1
"""


class DamagedBlobError(Exception):
    """A stored body is not what its name says."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the body {name} is damaged")


class PostgresBlobs:
    """`Blobs` in the table es.blobs."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, content: bytes, *, media_type: str) -> str:
        """Keep a body of at most 256 MiB and return its sha256 in hex."""
        if len(content) > LARGEST:
            message = f"A body has at most {LARGEST} bytes, not {len(content)}."
            raise TooLarge(message)
        if len(content) < SHORT:
            digest, packed = _packed(content)
        else:
            digest, packed = await asyncio.to_thread(_packed, content)
        with reaching_database():
            await self._pool.execute(PUT, digest, media_type, len(content), packed)
        return digest.hex()

    async def get(self, sha256: str) -> bytes:
        """Return a body, or raise `Missing`."""
        row = None
        if NAME.fullmatch(sha256):
            with reaching_database():
                row = await self._pool.fetchrow(GET, bytes.fromhex(sha256))
        if row is None:
            message = f"There is no body {sha256!r}."
            raise Missing(message)
        if row["size"] < SHORT:
            return _unpacked(row["content"], row["size"], sha256)
        return await asyncio.to_thread(_unpacked, row["content"], row["size"], sha256)


def _packed(content: bytes) -> tuple[bytes, bytes]:
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(content)
    return sha256(content).digest(), packed


def _unpacked(content: bytes, size: int, name: str) -> bytes:
    try:
        body = zstandard.ZstdDecompressor().decompress(content, max_output_size=size)
    except zstandard.ZstdError as error:
        raise DamagedBlobError(name) from error
    if sha256(body).hexdigest() != name:
        raise DamagedBlobError(name)
    return body
