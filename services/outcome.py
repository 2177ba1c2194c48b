"""What became of a command, as every edge answers it."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from events.errors import Closed, Conflict, Failure, Fenced, Mismatch
from events.log import Status, Verdict
from events.message import Meta


# Looking a status up in its class costs as much as a call.
_OK: Final = Status.OK
_DUPLICATE: Final = Status.DUPLICATE


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to an accepted command.

    `stream_id` is the command's first stream and `version` its version afterwards,
    `position` that of the last of its `events` in the log. A retry of the command is
    answered `duplicate` with the same figures. `receipt` is the log's proof.
    """

    command_id: UUID
    status: Literal["ok", "duplicate"]
    stream_id: str
    position: int
    version: int
    events: int
    recorded_at: datetime
    receipt: str | None = None


def answer(
    meta: Meta, first: str, verdict: Verdict, *, cause: Failure | None = None
) -> Outcome:
    """Return the outcome that a verdict means, or raise the failure."""
    status, recorded_at = verdict.status, verdict.recorded_at
    if recorded_at is not None and (status is _OK or status is _DUPLICATE):
        return Outcome(
            command_id=meta.command_id,
            status="ok" if status is _OK else "duplicate",
            stream_id=first,
            position=verdict.position,
            version=verdict.version,
            events=verdict.events,
            recorded_at=recorded_at,
            receipt=verdict.receipt,
        )
    match status:
        case Status.CONFLICT:
            raise Conflict(actual=verdict.version) from cause
        case Status.MISMATCH:
            raise Mismatch from cause
        case Status.CLOSED:
            raise Closed from cause
        case Status.FENCED:
            raise Fenced from cause
        case _:
            message = f"The log answered {verdict!r}, which has no time."
            raise AssertionError(message) from cause
