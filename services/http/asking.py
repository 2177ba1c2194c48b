"""What every route learns of a request: who asks, from where, and its parameters.

Header and query text is hostile until checked: it may hold NUL, bytes that are no
UTF-8, and numbers of any length.
"""

import re
from collections.abc import Callable
from typing import Protocol

from aiohttp import web
from multidict import MultiMapping

from events.errors import Forbidden, Malformed, TooLarge, Unauthenticated
from services.http.limits import Limits
from services.identity import Identity, Verifier
from services.parameters import identifier, integer, moment, printable, text, trace
from services.problems import NotAcceptable, UnsupportedMedia


__all__ = [
    "Head",
    "Identify",
    "address",
    "body",
    "check_length",
    "chosen",
    "demand",
    "identifier",
    "identify",
    "integer",
    "moment",
    "printable",
    "single",
    "text",
    "trace",
]


class Head(Protocol):
    """What a request says before its body, and the address that it came from."""

    @property
    def headers(self) -> MultiMapping[str]:
        """Return the headers, under names of any case."""
        ...

    @property
    def remote(self) -> str | None:
        """Return the address at the other end of the connection."""
        ...


Identify = Callable[[Head], Identity]


def identify(request: Head, verifier: Verifier) -> Identity:
    """Return who asks, or raise `Unauthenticated`."""
    header = request.headers.get("Authorization")
    if header is None:
        raise Unauthenticated
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("The Authorization header is not of the Bearer scheme.")
    return verifier.verify(token.strip())


def demand(identity: Identity, roles: frozenset[str], scope: str) -> None:
    """Raise `Forbidden` unless the caller has one of the roles, or the scope."""
    if not identity.roles & roles and scope not in identity.scopes:
        wanted = " or ".join([*sorted(roles), f"scope {scope}"])
        message = f"This needs {wanted}."
        raise Forbidden(message)


def address(request: Head, limits: Limits) -> str | None:
    """Return the caller's network address, as our outermost proxy saw it."""
    if not limits.proxies:
        return request.remote
    forwarded = request.headers.getall("X-Forwarded-For", ())
    if forwarded:
        hops = ",".join(forwarded).split(",")
        if len(hops) >= limits.proxies:
            hop = hops[-limits.proxies].strip()
            return hop if re.fullmatch(r"[0-9A-Fa-f:.]{2,45}", hop) else None
    return request.remote


async def body(request: web.Request, *, limit: int) -> bytes:
    """Return the request's body; raises `TooLarge` before reading where it can."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        message = "A Content-Encoding is not taken."
        raise UnsupportedMedia(message, path="headers.Content-Encoding")
    length = request.content_length
    if length is not None:
        check_length(length, limit)
    content = await request.read()
    check_length(len(content), limit)
    return content


def check_length(length: int, limit: int) -> None:
    """Raise `TooLarge` for a body that is past a limit."""
    if length > limit:
        message = f"The body has {length} bytes; the limit is {limit}."
        raise TooLarge(message)


def single(request: web.Request, known: frozenset[str]) -> dict[str, str]:
    """Return the query's parameters, each known, once, and storable text."""
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            message = f"There is no parameter {printable(name)}."
            raise Malformed(message, path="query")
        if name in found:
            message = f"The parameter {name} is given twice."
            raise Malformed(message, path=f"query.{name}")
        found[name] = text(value, f"query.{name}")
    return found


def chosen(request: web.Request, offered: tuple[str, ...]) -> str:
    """Return the offered media type that the Accept header likes best.

    The first is offered where there is no preference; raises `NotAcceptable`.
    """
    header = request.headers.get("Accept")
    if header is None or header in {"*/*", offered[0]}:
        return offered[0]
    best, liked = "", 0.0
    wishes = [_wish(part) for part in header.split(",")]
    for kind in offered:
        fits = {kind: 3, f"{kind.partition('/')[0]}/*": 2, "*/*": 1}
        closest = max(
            ((fits[name], weight) for name, weight in wishes if name in fits),
            default=(0, 0.0),
        )
        if closest[1] > liked:
            best, liked = kind, closest[1]
    if not best:
        message = f"This can be had as {', '.join(offered)}."
        raise NotAcceptable(message, path="headers.Accept")
    return best


def _wish(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if re.fullmatch(r"q=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)", parameter):
            return name, float(parameter[2:])
    return name, 1.0
