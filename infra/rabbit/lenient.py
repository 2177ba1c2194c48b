"""Reads what any producer may write into a message's properties.

AMQP promises no more of text than its length, of a time no more than 64 bits, and of
tables no depth. The library raises on text that is not UTF-8, on times after the year
9999 and on deep tables, from where it reads frames: that ends the connection, the
broker delivers the message again, and one producer has stopped every consumer. Here
such values read as near as can be instead: text with replacement characters, a time
that has no date as none, a table that is too deep as empty.
"""

import struct
from datetime import UTC, datetime
from typing import Final

from pamqp import decode
from pamqp.common import FieldTable, FieldValue


DEEPEST: Final = 16
MILLISECONDS_FROM: Final = 1 << 32

_length: Final = struct.Struct(">I").unpack_from
_seconds: Final = struct.Struct(">Q").unpack_from


def install() -> None:
    """Have the library read leniently from now on, in this process."""
    decode.METHODS |= {"shortstr": _short, "table": _table, "timestamp": _timestamp}
    decode.TABLE_MAPPING |= {b"T": _timestamp}


def _short(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode(errors="replace")


def _timestamp(value: bytes) -> tuple[int, datetime | None]:
    (number,) = _seconds(value)
    try:
        seconds = number / 1000 if number >= MILLISECONDS_FROM else number
        return 8, datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return 8, None


def _table(value: bytes, depth: int = 0) -> tuple[int, FieldTable]:
    end = _length(value)[0] + 4
    found: FieldTable = {}
    if depth == DEEPEST:
        return end, found
    at = 4
    while at < end:
        name_end = at + 1 + value[at]
        name = value[at + 1 : name_end].decode(errors="replace")
        at, found[name] = _field(value, name_end, depth)
    return end, found


def _array(value: bytes, depth: int) -> tuple[int, list[FieldValue]]:
    end = _length(value)[0] + 4
    found: list[FieldValue] = []
    if depth == DEEPEST:
        return end, found
    at = 4
    while at < end:
        at, item = _field(value, at, depth)
        found.append(item)
    return end, found


def _field(value: bytes, at: int, depth: int) -> tuple[int, FieldValue]:
    """Return where a field of a table ends, and its value."""
    kind, rest = value[at : at + 1], value[at + 1 :]
    found: FieldValue
    match kind:
        case b"F":
            length, found = _table(rest, depth + 1)
        case b"A":
            length, found = _array(rest, depth + 1)
        case _:
            length, found = decode.embedded_value(value[at:])
            length -= 1
    return at + 1 + length, found
