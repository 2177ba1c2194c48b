"""Problem documents as answers over HTTP, with the headers that belong to them."""

import re
from typing import Final

import msgspec
from aiohttp import web

from events.errors import Failure, TooMany, Unauthenticated, Unavailable
from services.problems import MEDIA_TYPE, Busy, document


_encode: Final = msgspec.json.Encoder().encode


def response(failure: Failure, *, instance: str | None = None) -> web.Response:
    """Return the answer to a request that failed."""
    found = document(failure, instance=instance)
    headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
    match failure:
        case Unauthenticated():
            headers["WWW-Authenticate"] = _challenge(failure)
        case TooMany(retry_after=seconds):
            headers["Retry-After"] = str(max(1, round(seconds)))
        case Busy(retry_after=seconds):
            headers["Retry-After"] = str(max(1, round(seconds)))
        case Unavailable():
            headers["Retry-After"] = "1"
        case _:
            pass
    return web.Response(status=found.status, body=_encode(found), headers=headers)


def _challenge(failure: Unauthenticated) -> str:
    reason = str(failure)
    if reason == str(Unauthenticated()):
        return 'Bearer realm="rehearsal"'
    safe = re.sub(r"[^ !#-\[\]-~]", "'", reason)
    return (
        f'Bearer realm="rehearsal", error="invalid_token", error_description="{safe}"'
    )
