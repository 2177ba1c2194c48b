"""A gate before a server: what passes can be cut, kept out, or held in silence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final


CHUNK: Final = 65_536


class Gate:
    """Passes connections to one port of the loopback on to a server."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._target = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many connections pass through."""
        return len(self._writers) // 2

    async def open(self) -> None:
        """Let connections in: on a free port the first time, later on the same."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Cut every connection and let none in."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection, and let new ones in."""
        for writer in self._writers:
            writer.transport.abort()

    @asynccontextmanager
    async def silent(self) -> AsyncIterator[None]:
        """Hold back, while inside, all that present connections send either way."""
        held, self._passing = self._passing, asyncio.Event()
        self._passing.set()
        held.clear()
        try:
            yield
        finally:
            held.set()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            ahead, behind = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, behind}
        self._writers |= both
        passing = self._passing
        pumps = {
            asyncio.create_task(_pump(reader, behind, passing)),
            asyncio.create_task(_pump(ahead, writer, passing)),
        }
        self._pumps |= pumps
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in both:
                end.transport.abort()
            self._writers -= both
            self._pumps -= pumps


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: asyncio.Event
) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            await passing.wait()
            writer.write(chunk)
            await writer.drain()
