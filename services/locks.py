"""Locks by stream name, so that commands on one stream decide one after another.

They save conflicts inside one process; between processes the log decides. Every user
takes the locks it needs in one sorted pass, so no two can wait for each other. A lock
that nobody waits for is an entry in a table and nothing more, because nearly all are.
"""

import asyncio
from collections import deque
from collections.abc import Iterable


class StreamLocks:
    """A lock for each stream in use, handed over in the order of asking."""

    def __init__(self) -> None:
        self._turns: dict[str, deque[asyncio.Future[None]] | None] = {}

    def take(self, stream_id: str) -> bool:
        """Take a stream's lock if it is free, and say whether it was."""
        if stream_id in self._turns:
            return False
        self._turns[stream_id] = None
        return True

    def give_back(self, stream_id: str) -> None:
        """Give a lock back, to whoever has waited for it longest."""
        turns = self._turns[stream_id]
        while turns:
            turn = turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._turns[stream_id]

    async def acquire(self, streams: Iterable[str]) -> list[str]:
        """Take the locks of streams and return them in order, to be released."""
        taken: list[str] = []
        try:
            for stream_id in sorted(streams):
                if not self.take(stream_id):
                    await self._wait(stream_id)
                taken.append(stream_id)
        except BaseException:
            self.release(taken)
            raise
        return taken

    def release(self, taken: Iterable[str]) -> None:
        """Give locks back, each to whoever has waited for it longest."""
        for stream_id in taken:
            self.give_back(stream_id)

    async def _wait(self, stream_id: str) -> None:
        turns = self._turns[stream_id]
        if turns is None:
            turns = self._turns[stream_id] = deque()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turns.append(turn)
        try:
            await turn
        except BaseException:
            if not turn.cancelled():
                # The lock was handed over before whoever waited was cancelled.
                self.give_back(stream_id)
            raise
