"""What browsers are told with every answer: it is no page, no frame and no script.

Pages and files say for themselves what they need beyond that. That a host is asked over
TLS alone is said where proxies of ours stand in front, since they are who speaks it.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import web


HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
TLS_ONLY: Final[Mapping[str, str]] = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains"
}
TOLD: Final = web.AppKey("TOLD", Mapping[str, str])


def told(*, proxies: int) -> Mapping[str, str]:
    """Return the headers of every answer of a server behind so many proxies."""
    return {**HEADERS, **TLS_ONLY} if proxies else HEADERS


def tell(app: web.Application, headers: Mapping[str, str]) -> None:
    """Have an application's answers carry headers where they have none of their own."""

    async def complete(_request: web.Request, answer: web.StreamResponse) -> None:
        for name, value in headers.items():
            answer.headers.setdefault(name, value)

    app[TOLD] = headers
    app.on_response_prepare.append(complete)
