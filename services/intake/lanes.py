"""Lanes: what concerns one stream runs in order of coming, the rest side by side."""

import asyncio
from collections.abc import Iterable


class Turn:
    """A place behind everything that came before on the same streams."""

    def __init__(self, last: dict[str, asyncio.Event], streams: Iterable[str]) -> None:
        self._last = last
        self._streams = frozenset(streams)
        self._before = [last[name] for name in self._streams if name in last]
        self._over = asyncio.Event()
        for name in self._streams:
            last[name] = self._over

    async def come(self) -> None:
        """Return once everything before is over."""
        while self._before:
            await self._before[-1].wait()
            self._before.pop()

    def end(self) -> None:
        """Let those come that wait behind."""
        self._over.set()
        for name in self._streams:
            if self._last.get(name) is self._over:
                del self._last[name]


class Lanes:
    """For each stream, what its latest turn ends with."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Event] = {}

    def queue(self, streams: Iterable[str]) -> Turn:
        """Return a turn; whoever asks first comes first."""
        return Turn(self._last, streams)
