"""A TCP proxy that harms what passes: late, cut, silent, half-open, or unanswered.

It knows one thing of the PostgreSQL protocol: a request of a prepared statement begins
with Bind, and its answer ends with ReadyForQuery. So it can hold an answer back until
the server has committed, and then lose it.
"""

import asyncio
import re
import socket
import struct
from contextlib import suppress
from random import Random
from typing import Final, Literal


CHUNK: Final = 65536
BIND: Final = b"B"
READY: Final = b"Z\x00\x00\x00\x05I"
LINGER: Final = struct.pack("ii", 1, 0)
RECEIPT: Final = re.compile(rb"\d+-[0-9a-f]{64}")

Side = Literal["client", "server"]


class Link:
    """One connection through the proxy: its two ends and the request under way."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.client_reads, self.client = client
        self.server_reads, self.server = server
        self.settled = True  # whether the server's last answer was complete
        self.held: bytearray | None = None
        self.silent = False
        self.over = asyncio.Event()

    def cut(self, side: Side) -> None:
        """Reset one end, so that its peer learns of it at once."""
        writer = self.client if side == "client" else self.server
        with suppress(OSError):
            end = writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        writer.transport.abort()


class Proxy:
    """Passes connections on to a server, and does harm when told to."""

    def __init__(self, host: str, port: int, random: Random) -> None:
        self.port = 0
        self.answers_lost = 0
        self._target = host, port
        self._random = random
        self._links: set[Link] = set()
        self._latency = 0.0
        self._passable = asyncio.Event()
        self._passable.set()
        self._armed = 0
        self._listening: asyncio.Server | None = None
        self._ends: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen on a free port of the loopback."""
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._listening is not None:
            self._listening.close()
        self.reset()
        for task in self._ends:
            task.cancel()
        await asyncio.gather(*self._ends, return_exceptions=True)

    def lose_answers(self, count: int) -> None:
        """Cut the next connections on which an append is answered, unanswered."""
        self._armed += count

    def reset(self) -> None:
        """Reset every connection."""
        for link in list(self._links):
            link.cut("client")
            link.cut("server")
            link.over.set()

    async def delay(self, latency: float, seconds: float) -> None:
        """Hold every chunk back for `latency` seconds."""
        self._latency = latency
        try:
            await asyncio.sleep(seconds)
        finally:
            self._latency = 0.0

    async def swallow(self, seconds: float) -> None:
        """Let nothing through, then everything that waits."""
        self._passable.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._passable.set()

    async def half_open(self, side: Side, seconds: float) -> None:
        """Reset one end of a connection and leave the other in the belief it lives."""
        if not self._links:
            return
        link = self._random.choice(sorted(self._links, key=id))
        link.silent = True
        link.cut(side)
        try:
            await asyncio.sleep(seconds)
        finally:
            link.cut("server" if side == "client" else "client")
            link.over.set()

    async def _serve(
        self, reads: asyncio.StreamReader, writes: asyncio.StreamWriter
    ) -> None:
        await self._passable.wait()
        try:
            server = await asyncio.open_connection(*self._target)
        except OSError:
            writes.transport.abort()
            return
        link = Link((reads, writes), server)
        self._links.add(link)
        pumps = [
            asyncio.create_task(self._ask(link)),
            asyncio.create_task(self._answer(link)),
        ]
        self._ends.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if link.silent:
                await link.over.wait()
        finally:
            for pump in pumps:
                pump.cancel()
            self._ends.difference_update(pumps)
            link.client.transport.abort()
            link.server.transport.abort()
            self._links.discard(link)

    async def _ask(self, link: Link) -> None:
        with suppress(OSError):
            while chunk := await link.client_reads.read(CHUNK):
                await self._pass()
                if link.settled:
                    link.settled = False
                    if self._armed and chunk.startswith(BIND):
                        link.held = bytearray()
                link.server.write(chunk)
                await link.server.drain()

    async def _answer(self, link: Link) -> None:
        with suppress(OSError):
            while chunk := await link.server_reads.read(CHUNK):
                await self._pass()
                if link.held is not None:
                    link.held += chunk
                    if not link.held.endswith(READY[:-1], 0, -1):
                        continue
                    if self._is_lost(link.held):
                        link.cut("client")
                        return
                    chunk, link.held = bytes(link.held), None
                link.settled = chunk.endswith(READY[:-1], 0, -1)
                link.client.write(chunk)
                await link.client.drain()

    def _is_lost(self, answer: bytearray) -> bool:
        """Say whether this answer tells of a commit, and is to be lost."""
        if not (self._armed and answer.endswith(READY) and RECEIPT.search(answer)):
            return False
        self._armed -= 1
        self.answers_lost += 1
        return True

    async def _pass(self) -> None:
        await self._passable.wait()
        if self._latency:
            await asyncio.sleep(self._latency * self._random.random())
