"""The hash of an event, its slice and the chain over the log, as PostgreSQL makes them.

The hash is sha256 over all columns but `type`, which follows from `data`: int8
position, int8 version, 16 bytes event id, int8 occurred_at, int8 recorded_at, int2
slice, then stream_id, org_id, region, command_id, correlation_id, causation_id, actor,
ip, key_id, data and headers, each as int4 length and bytes, with length -1 and no bytes
for null. Integers are big endian, times are microseconds since 2000-01-01 UTC, texts
are UTF-8, UUIDs are 16 bytes, `data` and `headers` are the stored text.
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
_NUMBERS: Final = Struct(">qq16sqqh").pack
_LENGTH: Final = Struct(">i").pack
_NULL: Final = _LENGTH(-1)
_LENGTH_OF_UUID: Final = _LENGTH(16)


class Row(Protocol):
    """Values of columns by name, as an asyncpg record has them."""

    def __getitem__(self, column: str, /) -> Any:  # noqa: ANN401 - as asyncpg
        """Return the value of a column."""
        ...


def event_hash(row: Row) -> bytes:
    """Return the hash of a row that holds at least the columns `HASHED`.

    Times are aware datetimes, UUIDs are `UUID`, `data` and `headers` stored text.
    """
    return sha256(
        b"".join(
            (
                _NUMBERS(
                    row["position"],
                    row["version"],
                    row["event_id"].bytes,
                    microseconds(row["occurred_at"]),
                    microseconds(row["recorded_at"]),
                    row["slice"],
                ),
                _text(row["stream_id"]),
                _text(row["org_id"]),
                _text(row["region"]),
                _uuid(row["command_id"]),
                _uuid(row["correlation_id"]),
                _uuid(row["causation_id"]),
                _text(row["actor"]),
                _text(row["ip"]),
                _uuid(row["key_id"]),
                _text(row["data"]),
                _text(row["headers"]),
            )
        )
    ).digest()


def chain(previous: bytes, hashes: Iterable[bytes]) -> bytes:
    """Return the chain after a commit of events with these hashes, in order."""
    return sha256(previous + b"".join(hashes)).digest()


def slice_of(stream_id: str) -> int:
    """Return the slice of a stream, 0 to 1023: the CRC-32 of its name, modulo 1024."""
    return crc32(stream_id.encode()) % SLICES


def microseconds(moment: datetime) -> int:
    """Return an aware moment as PostgreSQL stores it: microseconds since 2000."""
    return (moment - EPOCH) // _MICROSECOND


def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    data = value.encode()
    return _LENGTH(len(data)) + data


def _uuid(value: UUID | None) -> bytes:
    return _NULL if value is None else _LENGTH_OF_UUID + value.bytes
