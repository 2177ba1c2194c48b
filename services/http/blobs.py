"""Large bodies by the sha256 of their bytes, kept once for all organisations.

An address is known only to who has the bytes, or can read the row or event that names
it; beyond that reading and keeping take a role, or the scope `blobs`. What comes back
is always offered as a file and never as a page.
"""

import re
from typing import Final

import msgspec
from aiohttp import web

from events.errors import Malformed
from events.log import Blobs
from services.http import asking
from services.http.asking import Identify
from services.http.limits import Limits


PATH: Final = "/v1/blobs"
ROLES: Final = frozenset({"admin", "user"})
SCOPE: Final = "blobs"

_ADDRESS: Final = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}"
)


class BlobRoutes:
    """The routes of blobs."""

    def __init__(self, *, blobs: Blobs, identify: Identify, limits: Limits) -> None:
        self._blobs = blobs
        self._identify = identify
        self._limits = limits

    async def post(self, request: web.Request) -> web.Response:
        """Keep a body and answer its address."""
        asking.demand(self._identify(request), ROLES, SCOPE)
        kind = request.content_type
        if not _MEDIA_TYPE.fullmatch(kind):
            message = "This is no media type."
            raise Malformed(message, path="headers.Content-Type")
        content = await asking.body(request, limit=self._limits.blob_bytes)
        sha256 = await self._blobs.put(content, media_type=kind)
        return web.Response(
            status=201,
            body=msgspec.json.encode({"sha256": sha256, "size": len(content)}),
            headers={
                "Content-Type": "application/json",
                "Location": f"{PATH}/{sha256}",
            },
        )

    async def get(self, request: web.Request) -> web.Response:
        """Answer the bytes of an address."""
        asking.demand(self._identify(request), ROLES, SCOPE)
        sha256 = request.match_info["sha256"]
        if not _ADDRESS.fullmatch(sha256):
            message = "An address is 64 hexadecimal digits in lower case."
            raise Malformed(message, path="path.sha256")
        return web.Response(
            body=await self._blobs.get(sha256),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": f'attachment; filename="{sha256}"',
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=31536000, immutable",
                "ETag": f'"{sha256}"',
            },
        )
