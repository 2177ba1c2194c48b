"""Rows of numbers as bytes: column after column, shuffled so that they compress well.

A body is the length of its head in 4 bytes, the head as JSON (`rows`, and name and type
of every column), and the columns: little-endian values, all first bytes of a column,
then all second bytes, and so on. Equal rows are equal bytes, on any machine. A chunk is
the bodies of several tables by their names, as MessagePack.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from events.errors import Malformed


if TYPE_CHECKING:
    import numpy.typing as npt


MEDIA_TYPE: Final = "application/vnd.rehearsal.chunk"
LENGTH: Final = 4


class Head(msgspec.Struct, frozen=True):
    """What a body says of itself."""

    rows: int
    columns: tuple[tuple[str, str], ...]


def encoded(rows: "npt.NDArray[Any]") -> bytes:
    """Return rows, an array with named fields, as bytes."""
    import numpy as np  # noqa: PLC0415 - heavy, and most processes never need it

    fields = [(name, rows.dtype[name].newbyteorder("<")) for name in _names(rows)]
    head = Head(len(rows), tuple((name, kind.str) for name, kind in fields))
    parts: list[bytes | memoryview] = [_encode(head)]
    parts.insert(0, len(parts[0]).to_bytes(LENGTH, "little"))
    for name, kind in fields:
        column = np.ascontiguousarray(rows[name], dtype=kind)
        shuffled = column.view(np.uint8).reshape(-1, kind.itemsize).T
        parts.append(np.ascontiguousarray(shuffled).data)
    return b"".join(parts)


def decoded(body: bytes) -> "npt.NDArray[Any]":
    """Return the rows of a body, or raise `Malformed`."""
    import numpy as np  # noqa: PLC0415 - heavy, and most processes never need it

    size = int.from_bytes(body[:LENGTH], "little")
    try:
        head = _decode(body[LENGTH : LENGTH + size])
        fields = [(name, np.dtype(kind)) for name, kind in head.columns]
    except (msgspec.MsgspecError, TypeError) as error:
        message = f"These are no columns: {error}"
        raise Malformed(message) from error
    width = sum(kind.itemsize for _, kind in fields)
    if len(body) != LENGTH + size + width * head.rows:
        message = f"{head.rows} rows of {width} bytes are not {len(body)} bytes long."
        raise Malformed(message)
    rows = np.empty(head.rows, dtype=fields)
    at = LENGTH + size
    for name, kind in fields:
        values = np.empty((head.rows, kind.itemsize), dtype=np.uint8)
        for place in range(kind.itemsize):
            values[:, place] = np.frombuffer(body, np.uint8, head.rows, at)
            at += head.rows
        rows[name] = values.view(kind).reshape(-1)
    return rows


def archived(tables: Mapping[str, bytes]) -> bytes:
    """Return the rows of several tables as one body."""
    return msgspec.msgpack.encode(tables)


def unpacked(body: bytes) -> dict[str, bytes]:
    """Return the rows of each table, or raise `Malformed`."""
    try:
        return msgspec.msgpack.decode(body, type=dict[str, bytes])
    except msgspec.MsgspecError as error:
        message = f"This is no chunk: {error}"
        raise Malformed(message) from error


def _names(rows: "npt.NDArray[Any]") -> tuple[str, ...]:
    return rows.dtype.names or ()


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Head).decode
