"""Locks by stream name, so that commands on one stream decide one after another.

They save conflicts inside one process; between processes the log decides. Every user
takes the locks it needs in one sorted pass, so no two can wait for each other.
"""

import asyncio
from collections.abc import Iterable


class StreamLocks:
    """A lock for each stream in use."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    async def acquire(self, streams: Iterable[str]) -> list[str]:
        """Take the locks of streams and return them in order, to be released."""
        taken: list[str] = []
        try:
            for stream_id in sorted(streams):
                lock = self._locks.get(stream_id)
                if lock is None:
                    lock = self._locks[stream_id] = asyncio.Lock()
                self._users[stream_id] = self._users.get(stream_id, 0) + 1
                try:
                    await lock.acquire()
                except BaseException:
                    self._leave(stream_id)
                    raise
                taken.append(stream_id)
        except BaseException:
            self.release(taken)
            raise
        return taken

    def release(self, taken: Iterable[str]) -> None:
        """Give locks back."""
        for stream_id in taken:
            self._locks[stream_id].release()
            self._leave(stream_id)

    def _leave(self, stream_id: str) -> None:
        users = self._users[stream_id] - 1
        if users:
            self._users[stream_id] = users
        else:
            del self._users[stream_id]
            del self._locks[stream_id]
