"""The event log port: every adapter keeps these promises, and one suite checks them.

Order   Positions are 1, 2, 3, ... in commit order; versions are 1, 2, 3, ... in each
        stream. A reader that has seen position p has seen every position below it.
Once    A command id takes effect at most once in its organisation. The same id with
        the same body gets the recorded outcome back (`duplicate`), with another body
        `mismatch`.
Whole   One command's writes, to 1..n streams, happen together or not at all; a
        command that loses never harms the others that were appended with it.
Kept    An acknowledged append survives the death of any process. A call that fails
        with `Unavailable` may have happened: ask again with the same command id.
Time    `recorded_at` never goes back along positions.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

import msgspec

from events.message import Event, Meta, Recorded
from events.packing import Packed


ANY: Final = -1
ABSENT: Final = 0
PRESENT: Final = -2
PAGE: Final = 500


class Write(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Events for one stream, and the version that the stream must have before.

    `expected` is `ANY`, `ABSENT`, `PRESENT` or an exact version from 1. No events: the
    expectation alone is checked. A stream belongs to the organisation that first
    wrote to it; for any other it is in `conflict`.
    """

    stream_id: str
    events: tuple[Event, ...]
    expected: int = ANY
    closes: bool = False


class Append(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one command appends, all or nothing.

    `body_hash` is the sha256 of the command's canonical bytes. No stream may occur
    twice. `writes` may be empty: then only the outcome is recorded.
    """

    meta: Meta
    body_hash: bytes
    writes: tuple[Write, ...]


class Status(StrEnum):
    """What became of one command."""

    OK = "ok"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    MISMATCH = "mismatch"
    CLOSED = "closed"
    FENCED = "fenced"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The log's answer to one append.

    For `ok` and `duplicate`: `position` is that of the command's last event (of the
    head, where it appended none), `version` that of its first stream after it, and
    `events` how many it appended. For `conflict`: `stream_id` is the stream in the
    way and `version` its actual version. `receipt` is `<position>-<chain in hex>` at
    the end of the commit that held the command: `verify` proves the log against it.
    """

    status: Status
    position: int = 0
    version: int = 0
    events: int = 0
    stream_id: str | None = None
    recorded_at: datetime | None = None
    receipt: str | None = None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the log, and the chain over everything up to it."""

    position: int
    recorded_at: datetime | None
    chain: bytes


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream's events after a version, and its version and owner now.

    `version` 0: there is no such stream. Where a limit cut the events short, the last
    has a lower version.
    """

    stream_id: str
    version: int
    org_id: str | None
    events: Sequence[Recorded[Event]]


class Blobs(Protocol):
    """Large bodies, kept once under their sha256 (hex), never changed."""

    async def put(self, content: bytes, *, media_type: str) -> str:
        """Keep a body and return its sha256; keeping it twice changes nothing."""
        ...

    async def put_packed(self, *bodies: Packed) -> None:
        """Keep bodies that were packed where they were made, all in one commit."""
        ...

    async def get(self, sha256: str) -> bytes:
        """Return a body, or raise `Missing`."""
        ...


Told = Callable[[Verdict | Exception], None]


class EventLog(Protocol):
    """An append-only log of events, as the head of this module promises."""

    def send(self, asked: Sequence[tuple[Append, Told]]) -> None:
        """Append each entry as `append` does, and tell its verdict or its failure.

        Nothing is told before this returns. Who is told raises nothing.
        """
        ...

    async def append(self, entry: Append) -> Verdict:
        """Append one command's events; concurrent calls share a commit."""
        ...

    async def append_bulk(self, entries: Sequence[Append]) -> Sequence[Verdict]:
        """Append many commands' events in order and in one transaction.

        For imports: a stream may be written by several entries, each expectation
        counting the ones before. If any verdict is neither `ok` nor `duplicate`,
        nothing is appended by the call, and the verdicts say which were in the way.
        """
        ...

    async def read(self, after: int, limit: int = 1000) -> Sequence[Recorded[Event]]:
        """Return the events at positions `after + 1 ...`, at most `limit`, in order."""
        ...

    async def read_stream(
        self,
        stream_id: str,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> Stream:
        """Return a stream's events with versions above `after`, in order.

        `upto` bounds them by position in the log, for a state as of then; `limit` is
        the most of them.
        """
        ...

    async def head(self) -> Head:
        """Return the end of the log."""
        ...

    async def wait(self, after: int, *, seconds: float) -> int:
        """Return the head's position once it is above `after`, or after `seconds`."""
        ...

    async def position_at(self, moment: datetime) -> int:
        """Return the last position recorded at or before a moment, 0 for none."""
        ...

    async def outcomes(
        self, org_id: str, asked: Sequence[tuple[UUID, bytes]]
    ) -> Sequence[Verdict | None]:
        """Return what is recorded for each (command id, body hash), in order.

        `duplicate` with the original positions, `mismatch` where the recorded body is
        another, None for a command that was not accepted.
        """
        ...


async def stream_pages(
    log: EventLog, stream_id: str, *, after: int = 0, upto: int | None = None
) -> AsyncGenerator[Stream, None]:
    """Yield a stream in pages, at least one, so that a long one is never held whole."""
    while True:
        page = await log.read_stream(stream_id, after=after, upto=upto, limit=PAGE)
        yield page
        if len(page.events) < PAGE or page.events[-1].version == page.version:
            return
        after = page.events[-1].version
