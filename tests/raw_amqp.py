"""AMQP by hand: publishes properties as bytes that no library would write."""

import socket
import struct
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pamqp import frame as frames
from pamqp.base import Frame
from pamqp.commands import Basic, Channel, Confirm, Connection
from pamqp.header import ProtocolHeader


FLAGS: Final = {
    "content_type": 15, "content_encoding": 14, "headers": 13, "delivery_mode": 12,
    "priority": 11, "correlation_id": 10, "reply_to": 9, "expiration": 8,
    "message_id": 7, "timestamp": 6, "type": 5, "user_id": 4, "app_id": 3,
}  # fmt: skip
BASIC: Final = 60
HEADER: Final = 2
BODY: Final = 3
END: Final = b"\xce"
SECONDS: Final = 10.0

Expected = TypeVar("Expected", bound=Frame)


class RawChannel:
    """A connection with one open channel; to be used in a `with`.

    Leaving it waits until the broker has confirmed what was published: what a closed
    channel had not confirmed may be lost.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        login, password = unquote(parts.username or ""), unquote(parts.password or "")
        place = (parts.hostname or "localhost", parts.port or 5672)
        self._socket = socket.create_connection(place, SECONDS)
        self._unread = b""
        self._published = 0
        self._socket.sendall(ProtocolHeader(0, 9, 1).marshal())
        self._expect(Connection.Start)
        response = f"\0{login}\0{password}"
        self._say(0, Connection.StartOk({}, "PLAIN", response, "en_US"))
        self._expect(Connection.Tune)
        self._say(0, Connection.TuneOk(10, 131_072, 0))
        self._say(0, Connection.Open(unquote(parts.path[1:]) or "/"))
        self._expect(Connection.OpenOk)
        self._say(1, Channel.Open())
        self._expect(Channel.OpenOk)
        self._say(1, Confirm.Select())
        self._expect(Confirm.SelectOk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._socket:
            if error is None:
                self._confirmed()
            self._say(1, Channel.Close(200, "done", 0, 0))
            self._expect(Channel.CloseOk)

    def publish(
        self, exchange: str, routing_key: str, body: bytes, **properties: bytes
    ) -> None:
        """Publish a message; each property is given as it is on the wire."""
        flags = sum(1 << FLAGS[name] for name in properties)
        values = b"".join(properties[name] for name in FLAGS if name in properties)
        header = struct.pack(">HHQH", BASIC, 0, len(body), flags) + values
        self._say(1, Basic.Publish(0, exchange, routing_key))
        self._frame(HEADER, header)
        self._frame(BODY, body)
        self._published += 1

    def _confirmed(self) -> None:
        left = set(range(1, self._published + 1))
        while left:
            ack = self._expect(Basic.Ack)
            tag = ack.delivery_tag
            left -= set(range(1 if ack.multiple else tag, tag + 1))

    def _frame(self, kind: int, payload: bytes) -> None:
        self._socket.sendall(struct.pack(">BHI", kind, 1, len(payload)) + payload + END)

    def _say(self, channel: int, command: Frame) -> None:
        self._socket.sendall(frames.marshal(command, channel))

    def _expect(self, kind: type[Expected]) -> Expected:
        while True:
            used, _, found = (
                frames.unmarshal(self._unread) if self._whole else (0, 0, 0)
            )
            if used:
                self._unread = self._unread[used:]
                if isinstance(found, kind):
                    return found
                assert not isinstance(found, Connection.Close | Channel.Close), found
                continue
            more = self._socket.recv(65_536)
            assert more, "the broker closed the connection"
            self._unread += more

    @property
    def _whole(self) -> bool:
        """Whether a whole frame was received."""
        if len(self._unread) < 8:
            return False
        _, _, length = struct.unpack_from(">BHI", self._unread)
        return bool(len(self._unread) >= length + 8)


def short(text: bytes) -> bytes:
    """Return text of at most 255 bytes as it is on the wire."""
    return bytes([len(text)]) + text


def table(**fields: bytes) -> bytes:
    """Return a table; each field is its type's letter and its value."""
    inner = b"".join(short(name.encode()) + value for name, value in fields.items())
    return struct.pack(">I", len(inner)) + inner


def long_text(text: bytes) -> bytes:
    """Return a text field of a table."""
    return b"S" + struct.pack(">I", len(text)) + text


def nested(depth: int) -> bytes:
    """Return tables within tables."""
    inner = table()
    for _ in range(depth):
        inner = table(a=b"F" + inner)
    return b"F" + inner


ODD: Final[dict[str, dict[str, bytes]]] = {
    "an id that is no UTF-8": {"message_id": short(b"\xff\xfe")},
    "a correlation id with NUL": {"correlation_id": short(b"\x00\xff")},
    "a reply queue that is no UTF-8": {"reply_to": short(b"\xc3")},
    "a media type that is no UTF-8": {"content_type": short(b"\xff")},
    "a time after 9999": {"timestamp": struct.pack(">Q", (1 << 63) - 1)},
    "a time and an expiration": {
        "timestamp": struct.pack(">Q", (1 << 64) - 1),
        "expiration": short(b"60000"),
    },
    "a token of bytes": {"headers": table(authorization=long_text(b"\xff\xff"))},
    "a deep table": {"headers": table(authorization=nested(3_000))},
    "a late header": {"headers": table(a=b"T" + struct.pack(">Q", (1 << 64) - 1))},
    "a token that is true": {"headers": table(a=b"V", authorization=b"t\x01")},
    "a name that is no UTF-8": {
        "headers": struct.pack(">I", 6) + short(b"\xff\xfe\xfd") + b"t\x01"
    },
}
"""Properties that the broker takes and few readers can read."""
