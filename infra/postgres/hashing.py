"""The hash of an event, its slice and the chain over the log, as PostgreSQL makes them.

The hash has two steps, because what an event says is known before its place is.

digest  sha256 over 16 bytes event id, int8 occurred_at, int2 slice, then stream_id,
        org_id, region, command_id, correlation_id, causation_id, actor, ip, key_id,
        data and headers, each as int4 length and bytes, with length -1 and no bytes for
        null. `type` follows from `data`. Whoever appends makes it.
hash    sha256 over the last 7 bytes of int8 position, int8 version, int8 recorded_at
        and the digest: one block of sha256. The append makes it, under its lock.

Integers are big endian, times are microseconds since 2000-01-01 UTC, texts are UTF-8,
UUIDs are 16 bytes, `data` and `headers` are the stored text.

Before digests, the hash was one sha256 over int8 position, int8 version, 16 bytes event
id, int8 occurred_at, int8 recorded_at, int2 slice and the rest as in the digest: 94
bytes or more, so that no bytes are both.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import Struct
from typing import Any, Final, Protocol
from uuid import UUID
from zlib import crc32


GENESIS: Final = bytes(32)
SLICES: Final = 1024
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
HASHED: Final = (
    "position",
    "version",
    "event_id",
    "occurred_at",
    "recorded_at",
    "slice",
    "stream_id",
    "org_id",
    "region",
    "command_id",
    "correlation_id",
    "causation_id",
    "actor",
    "ip",
    "key_id",
    "data",
    "headers",
)

_MICROSECOND: Final = timedelta(microseconds=1)
_PLACE: Final = Struct(">qqq").pack
_NUMBERS: Final = Struct(">16sqh").pack
_EARLIER_NUMBERS: Final = Struct(">qq16sqqh").pack
_LENGTH: Final = Struct(">i").pack

LENGTH_OF_UUID: Final = _LENGTH(16)
NULL: Final = _LENGTH(-1)


class Row(Protocol):
    """Values of columns by name, as an asyncpg record has them."""

    def __getitem__(self, column: str, /) -> Any:  # noqa: ANN401 - as asyncpg
        """Return the value of a column."""
        ...


def event_hash(row: Row) -> bytes:
    """Return the hash of a row that holds at least the columns `HASHED`.

    Times are aware datetimes, UUIDs are `UUID`, `data` and `headers` stored text.
    """
    numbers = _NUMBERS(
        row["event_id"].bytes, microseconds(row["occurred_at"]), row["slice"]
    )
    return placed(
        sha256(numbers + _texts(row)).digest(),
        row["position"],
        row["version"],
        microseconds(row["recorded_at"]),
    )


def earlier_hash(row: Row) -> bytes:
    """Return the hash that a row has that was appended before there were digests."""
    numbers = _EARLIER_NUMBERS(
        row["position"],
        row["version"],
        row["event_id"].bytes,
        microseconds(row["occurred_at"]),
        microseconds(row["recorded_at"]),
        row["slice"],
    )
    return sha256(numbers + _texts(row)).digest()


def placed(digest: bytes, position: int, version: int, recorded_at: int) -> bytes:
    """Return the hash of an event with a digest at a place in the log."""
    place = _PLACE(position, version, recorded_at)
    return sha256(place[1:] + digest).digest()


def chain(previous: bytes, hashes: Iterable[bytes]) -> bytes:
    """Return the chain after a commit of events with these hashes, in order."""
    return sha256(previous + b"".join(hashes)).digest()


def slice_of(stream_id: str) -> int:
    """Return the slice of a stream, 0 to 1023: the CRC-32 of its name, modulo 1024."""
    return crc32(stream_id.encode()) % SLICES


def microseconds(moment: datetime) -> int:
    """Return an aware moment as PostgreSQL stores it: microseconds since 2000."""
    return (moment - EPOCH) // _MICROSECOND


def field(value: str | None) -> bytes:
    """Return a text, or null, as the digest takes it."""
    if value is None:
        return NULL
    data = value.encode()
    return _LENGTH(len(data)) + data


def field_of_uuid(value: UUID | None) -> bytes:
    """Return a UUID, or null, as the digest takes it."""
    return NULL if value is None else LENGTH_OF_UUID + value.bytes


def _texts(row: Row) -> bytes:
    return b"".join(
        (
            field(row["stream_id"]),
            field(row["org_id"]),
            field(row["region"]),
            field_of_uuid(row["command_id"]),
            field_of_uuid(row["correlation_id"]),
            field_of_uuid(row["causation_id"]),
            field(row["actor"]),
            field(row["ip"]),
            field_of_uuid(row["key_id"]),
            field(row["data"]),
            field(row["headers"]),
        )
    )
