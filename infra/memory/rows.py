"""An event as it is stored, and the hash over all of its columns."""

import hashlib
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from events.message import Event, Recorded
from infra.memory.draft import Fact


EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)
FIXED: Final = struct.Struct(">16sqh")
PLACE: Final = struct.Struct(">qqq")
SLICES: Final = 1024
LENGTH: Final = struct.Struct(">i")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An event at its position, with the hash over all of its columns."""

    position: int
    recorded_at: datetime
    fact: Fact
    hash: bytes

    def recorded(self, event: Event) -> Recorded[Event]:
        """Return what a reader gets, with the event opened."""
        fact, meta = self.fact, self.fact.meta
        return Recorded(
            position=self.position,
            stream_id=fact.stream_id,
            version=fact.version,
            event_id=fact.sealed.event_id,
            org_id=meta.org_id,
            region=meta.region,
            command_id=meta.command_id,
            correlation_id=meta.correlation_id,
            causation_id=meta.causation_id,
            actor=meta.actor,
            ip=meta.ip,
            occurred_at=meta.occurred_at,
            recorded_at=self.recorded_at,
            headers=meta.headers or None,
            event=event,
        )


def stored(fact: Fact, *, position: int, recorded_at: datetime) -> Row:
    """Return an event as it is stored at a position."""
    return Row(
        position=position,
        recorded_at=recorded_at,
        fact=fact,
        hash=event_hash(fact, position=position, recorded_at=recorded_at),
    )


def event_hash(fact: Fact, *, position: int, recorded_at: datetime) -> bytes:
    """Return the sha256 over an event's place and digest.

    The place is 7 bytes of the position, the version and the moment of recording.
    """
    place = PLACE.pack(position, fact.version, (recorded_at - EPOCH) // TICK)
    return hashlib.sha256(place[1:] + digest(fact)).digest()


def digest(fact: Fact) -> bytes:
    """Return the sha256 over an event's other columns: fixed ones, then sized ones.

    Integers are big endian, moments are microseconds since 2000; a sized column is
    its length (-1: none) and its bytes.
    """
    meta, sealed = fact.meta, fact.sealed
    fixed = FIXED.pack(
        sealed.event_id.bytes,
        (meta.occurred_at - EPOCH) // TICK,
        slice_of(fact.stream_id),
    )
    columns = (
        fact.stream_id.encode(),
        meta.org_id.encode(),
        meta.region.encode(),
        meta.command_id.bytes,
        meta.correlation_id.bytes,
        meta.causation_id.bytes if meta.causation_id else None,
        meta.actor.encode(),
        meta.ip.encode() if meta.ip else None,
        sealed.key_id.bytes if sealed.key_id else None,
        sealed.data,
        msgspec.json.encode(meta.headers) if meta.headers else None,
    )
    return hashlib.sha256(fixed + b"".join(map(sized, columns))).digest()


def slice_of(stream_id: str) -> int:
    """Return which of 1,024 slices a stream belongs to."""
    return zlib.crc32(stream_id.encode()) % SLICES


def sized(column: bytes | None) -> bytes:
    """Return a column with its length before it."""
    return LENGTH.pack(-1) if column is None else LENGTH.pack(len(column)) + column
