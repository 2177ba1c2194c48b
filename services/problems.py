"""Failures as RFC 9457 problem documents: the one mapping that all edges share.

`type` is one of `/v1/problems/<slug>`, each a page; `code` is the exact failure. The
detail is a sentence of ours: text of a driver, a query or a stack never gets here.
"""

import logging
import re
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from events.errors import (
    Conflict,
    Failure,
    Forbidden,
    Malformed,
    Missing,
    Refused,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)


PATH: Final = "/v1/problems"
MEDIA_TYPE: Final = "application/problem+json"


class MethodNotAllowed(Failure):
    """There is such a resource, but not this method."""


class NotAcceptable(Failure):
    """The resource has no form that the Accept header names."""


class UnsupportedMedia(Failure):
    """The body is of a type or encoding that this resource does not take."""


class NotCaughtUp(Unavailable):
    """The read table has not reached `min_position` yet."""

    def __init__(self, *, asked: int, reached: int) -> None:
        super().__init__(
            f"The read table is at position {reached}, not yet at {asked}.",
            path="query.min_position",
        )
        self.reached = reached


class Busy(Unavailable):
    """What this takes is being done for others."""

    def __init__(self, *, retry_after: float) -> None:
        super().__init__()
        self.retry_after = retry_after


class Defect(Failure):
    """Something of ours broke; it is in our log under the document's `instance`."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of failure: what it means, who must act, and whether to ask again."""

    title: str
    status: int
    again: str
    level: int


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document.

    `path` is the place of the fault in the body (`$.name`), or in what is named before
    the dot (`query.limit`, `headers.Idempotency-Key`). `actual_version` is the stream's
    version in a conflict; `reached` the position of a read table that lags.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    path: str | None = None
    actual_version: int | None = None
    reached: int | None = None
    command_id: UUID | None = None


_NEVER: Final = "Never with the same request."

PROBLEMS: Final[Mapping[type[Failure], Problem]] = {
    Malformed: Problem(
        title="The request cannot be decoded",
        status=400,
        again=_NEVER,
        level=logging.WARNING,
    ),
    Unauthenticated: Problem(
        title="There is no valid token",
        status=401,
        again="With a valid token.",
        level=logging.WARNING,
    ),
    Forbidden: Problem(
        title="This actor may not do this",
        status=403,
        again=_NEVER,
        level=logging.WARNING,
    ),
    Missing: Problem(
        title="There is no such thing",
        status=404,
        again=_NEVER,
        level=logging.INFO,
    ),
    MethodNotAllowed: Problem(
        title="There is no such method here",
        status=405,
        again="With a method of the Allow header.",
        level=logging.WARNING,
    ),
    NotAcceptable: Problem(
        title="There is no such form",
        status=406,
        again="With another Accept header.",
        level=logging.WARNING,
    ),
    Conflict: Problem(
        title="Someone was faster",
        status=409,
        again="After reading the stream's actual version.",
        level=logging.INFO,
    ),
    TooLarge: Problem(
        title="The request passes a documented limit",
        status=413,
        again="In smaller parts.",
        level=logging.WARNING,
    ),
    UnsupportedMedia: Problem(
        title="The body is of another type",
        status=415,
        again="With another Content-Type, and without a Content-Encoding.",
        level=logging.WARNING,
    ),
    Refused: Problem(
        title="A rule says no",
        status=422,
        again=_NEVER,
        level=logging.INFO,
    ),
    TooMany: Problem(
        title="The request passes a rate",
        status=429,
        again="After the seconds of the Retry-After header.",
        level=logging.INFO,
    ),
    Defect: Problem(
        title="Something of ours broke",
        status=500,
        again="With the same command id; perhaps it was recorded.",
        level=logging.ERROR,
    ),
    Unavailable: Problem(
        title="Something that we need is away",
        status=503,
        again="Soon, with the same command id; perhaps it was recorded.",
        level=logging.ERROR,
    ),
}


def slug(kind: type[Failure]) -> str:
    """Return a failure's name as it is written in addresses: `too-large`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def kind_of(failure: Failure) -> type[Failure]:
    """Return the kind of problem that a failure is."""
    return next(kind for kind in type(failure).__mro__ if kind in PROBLEMS)


def document(
    failure: Failure, *, instance: str | None = None, command_id: UUID | None = None
) -> Document:
    """Return the document of a failure."""
    kind = kind_of(failure)
    problem = PROBLEMS[kind]
    silent = type(failure) is Unavailable
    return Document(
        type=f"{PATH}/{slug(kind)}",
        title=problem.title,
        status=problem.status,
        detail=f"{problem.title}." if silent else str(failure),
        code=slug(type(failure)),
        instance=instance,
        path=failure.path,
        actual_version=failure.actual if isinstance(failure, Conflict) else None,
        reached=failure.reached if isinstance(failure, NotCaughtUp) else None,
        command_id=command_id,
    )


def refusals(kind: type[Failure]) -> list[type[Failure]]:
    """Return the failures that are answered as a kind of problem, itself first."""
    found = [kind]
    for each in found:
        found += [
            narrower
            for narrower in each.__subclasses__()
            if narrower not in PROBLEMS and narrower not in found
        ]
    return [kind, *sorted(found[1:], key=slug)]
