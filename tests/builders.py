"""Small builders of what suites append: every identifier is new and says nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Final
from uuid import UUID, uuid5

from events.conversation import MessageAdded
from events.log import ANY, Append, Write
from events.message import Event, Meta


ORG: Final = "acme"
OTHER_ORG: Final = "umbrella"
MOMENT: Final = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
BODY: Final = bytes(32)
OTHER_BODY: Final = bytes(31) + b"\x01"

_SPACE: Final = UUID("5f0c4a63-7d0e-5a52-9a3b-1de0b3f2a7c4")
_counter: Final[Iterator[int]] = count(1)


def new_id() -> UUID:
    """Return an identifier that this process has not used."""
    return uuid5(_SPACE, str(next(_counter)))


def new_stream(category: str = "testing.trial") -> str:
    """Return the name of a stream that does not exist."""
    return f"{category}-{new_id()}"


def said(text: str, *, seq: int = 1) -> MessageAdded:
    """Return a small event that holds a text."""
    return MessageAdded(conversation_id=_SPACE, seq=seq, role="user", text=text)


def meta(command_id: UUID | None = None, *, org_id: str = ORG) -> Meta:
    """Return the envelope of a command; a new one unless its id is given."""
    command_id = command_id or new_id()
    return Meta(
        command_id=command_id,
        org_id=org_id,
        region="eu-west",
        actor="user:ada",
        correlation_id=command_id,
        occurred_at=MOMENT,
    )


def write(
    stream_id: str, *events: Event, expected: int = ANY, closes: bool = False
) -> Write:
    """Return a write of events to one stream."""
    return Write(stream_id=stream_id, events=events, expected=expected, closes=closes)


def entry(
    *writes: Write,
    command_id: UUID | None = None,
    org_id: str = ORG,
    body_hash: bytes = BODY,
) -> Append:
    """Return what one command appends; a new command unless its id is given."""
    return Append(
        meta=meta(command_id, org_id=org_id), body_hash=body_hash, writes=writes
    )


def told(stream_id: str, *texts: str, expected: int = ANY) -> Append:
    """Return a new command that adds one event for each text to one stream."""
    return entry(write(stream_id, *map(said, texts), expected=expected))
