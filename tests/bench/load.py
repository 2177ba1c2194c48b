"""A client that loads a server over HTTP, in a process of its own.

Each connection sends its next command as soon as it has the answer to the last one,
and writes bytes as they go over the wire: what it measures is the server. Prints one
JSON object: how many were done in how many seconds, their latencies in milliseconds,
and the first answer that was no success.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Final, cast

import msgspec
import uvloop

from infra.clock import new_id
from tests.bench.measuring import Sample
from tests.bench.workload import persona_id, versions_of


PATIENCE: Final = 20.0  # seconds
PATH: Final = "/v1/commands"
END_OF_HEADERS: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What the client prints."""

    sample: Sample
    refused: str | None = None


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request, until time is up."""

    def __init__(self, persona: str, head: str, until: float) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []
        self.refused: str | None = None
        self._requests = [
            (f"{head}Content-Length: {len(body)}\r\n", body)
            for body in versions_of(persona_id(persona))
        ]
        self._until = until
        self._version = 2
        self._received = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by shape alone.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(END_OF_HEADERS)
        if end < 0:
            return
        head = self._received[:end].lower()
        at = head.index(LENGTH) + len(LENGTH)
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._received) < end + len(END_OF_HEADERS) + length:
            return
        now = perf_counter()
        if not head.startswith(b"http/1.1 200"):
            self.refused = self._received.decode(errors="replace")
            self._finish()
            return
        self.latencies.append((now - self._began) * 1000)
        self._received = b""
        self._version += 1
        if now < self._until:
            self._send()
        else:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.refused = f"the connection was closed: {exc}"
            self.ended.set_result(None)

    def _send(self) -> None:
        head, body = self._requests[self._version & 1]
        head += f'Idempotency-Key: {new_id()}\r\nIf-Match: "{self._version}"\r\n\r\n'
        self._began = perf_counter()
        self._transport.write(head.encode() + body)

    def _finish(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self._transport.close()


async def load(
    host: str, port: int, *, names: Sequence[str], token: str, seconds: float
) -> Loaded:
    """Load a server over one connection for each persona."""
    loop = asyncio.get_running_loop()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    )
    began = perf_counter()
    connections: list[Connection] = []
    for name in names:
        _, connection = await loop.create_connection(
            lambda name=name: Connection(name, head, began + seconds),  # type: ignore[misc]
            host,
            port,
        )
        connections.append(connection)
    async with asyncio.timeout(seconds + PATIENCE):
        await asyncio.gather(*(connection.ended for connection in connections))
    passed = perf_counter() - began
    latencies = [each for one in connections for each in one.latencies]
    refused = next((one.refused for one in connections if one.refused), None)
    return Loaded(
        sample=Sample(done=len(latencies), seconds=passed, latencies=latencies),
        refused=refused,
    )


def main() -> None:
    """Load a server as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--names", required=True, help="personas, joined by commas")
    parser.add_argument("--token", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    loaded = uvloop.run(
        load(
            given.host,
            given.port,
            names=given.names.split(","),
            token=given.token,
            seconds=given.seconds,
        )
    )
    sys.stdout.buffer.write(msgspec.json.encode(loaded))


if __name__ == "__main__":
    main()
