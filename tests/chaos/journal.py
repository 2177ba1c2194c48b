"""What a writer knows for certain, in a file of its own that a crash does not take.

A command is `asked` before it is sent. It is `acknowledged`, `refused` or `undone`
after the answer; such a line counts only once it is on the disk.
"""

import asyncio
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

import msgspec

from events.conversation import MessageAdded
from events.log import Append


LINGER: Final = 0.25


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """A command that is about to be sent: how many events, and the digest of them."""

    id: UUID
    streams: tuple[str, ...]
    events: int
    digest: str


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True, tag="acknowledged"):
    """A command that the log says it holds."""

    id: UUID
    position: int
    version: int
    events: int
    receipt: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """A command that the log says it does not hold, nor ever will."""

    id: UUID
    status: str


class Undone(msgspec.Struct, frozen=True, kw_only=True, tag="undone"):
    """A command whose transaction was rolled back by whoever sent it."""

    id: UUID


Line = Asked | Acknowledged | Refused | Undone
Count = Literal["acknowledged", "refused", "undone"]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Line).decode


class Journal:
    """Appends lines to a file; one flush to the disk serves all that wait."""

    def __init__(self, path: Path) -> None:
        self.kept = 0
        self._file = path.open("ab", buffering=0)
        self._lines: list[bytes] = []
        self._certain = 0
        self._task = asyncio.create_task(self._keep())
        self._ended = False

    def ask(self, entry: Append) -> None:
        """Write that a command will be sent."""
        asked = Asked(
            id=entry.meta.command_id,
            streams=tuple(write.stream_id for write in entry.writes),
            events=sum(len(write.events) for write in entry.writes),
            digest=digest_of(entry),
        )
        self._file.write(_encode(asked) + b"\n")

    def answer(self, line: Acknowledged | Refused | Undone, *, counts: bool) -> None:
        """Write what became of a command; `counts` towards what is kept."""
        self._lines.append(_encode(line) + b"\n")
        self._certain += counts

    async def close(self) -> None:
        """Put everything on the disk."""
        self._ended = True
        await self._task
        self._file.close()

    async def _keep(self) -> None:
        while not self._ended or self._lines:
            lines, certain = self._lines, self._certain
            self._lines = []
            if lines:
                self._file.write(b"".join(lines))
                await asyncio.to_thread(os.fdatasync, self._file.fileno())
                self.kept = certain
            if not self._ended:
                await asyncio.sleep(LINGER)


def digest_of(entry: Append) -> str:
    """Return the digest of a command's events, in order."""
    return digest(
        (write.stream_id, event.text)
        for write in entry.writes
        for event in write.events
        if isinstance(event, MessageAdded)
    )


def digest(events: Iterator[tuple[str, str]]) -> str:
    """Return the digest of (stream, text) pairs."""
    hasher = sha256()
    for stream_id, text in events:
        hasher.update(f"{stream_id} {text}\n".encode())
    return hasher.hexdigest()


def lines_of(path: Path) -> Iterator[Line]:
    """Yield the lines of a journal."""
    with path.open("rb") as file:
        for line in file:
            yield _decode(line)
