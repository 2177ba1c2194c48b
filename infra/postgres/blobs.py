"""Large bodies in PostgreSQL, kept once under their sha256 and compressed."""

import asyncio
import re
from operator import attrgetter
from typing import Final

from events.errors import Missing, TooLarge
from events.packing import BadlyPackedError, Packed, packed, unpacked
from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool


LARGEST: Final = 256 * 1024 * 1024
SHORT: Final = 64 * 1024
NAME: Final = re.compile(r"[0-9a-f]{64}")

PUT: Final = """
INSERT INTO es.blobs (sha256, media_type, size, content)
SELECT *
  FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bytea[])
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
        _check(len(content))
        if len(content) < SHORT:
            body = packed(content, media_type=media_type)
        else:
            body = await asyncio.to_thread(packed, content, media_type=media_type)
        await self.put_packed(body)
        return body.sha256

    async def put_packed(self, *bodies: Packed) -> None:
        """Keep bodies that were packed where they were made, all in one commit."""
        for body in bodies:
            _check(body.size)
        # In one order everywhere, so that nobody waits for each other.
        ordered = sorted(bodies, key=attrgetter("sha256"))
        with reaching_database():
            await self._pool.execute(
                PUT,
                [bytes.fromhex(body.sha256) for body in ordered],
                [body.media_type for body in ordered],
                [body.size for body in ordered],
                [body.content for body in ordered],
            )

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


def _check(size: int) -> None:
    if size > LARGEST:
        message = f"A body has at most {LARGEST} bytes, not {size}."
        raise TooLarge(message)


def _unpacked(content: bytes, size: int, name: str) -> bytes:
    try:
        return unpacked(content, size=size, name=name)
    except BadlyPackedError as error:
        raise DamagedBlobError(name) from error
