"""Costly requests: a few at a time, some waiting, and the others told to come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.problems import Busy


WAITING_PER_TURN: Final = 4
RETRY_SECONDS: Final = 5.0


class Turns:
    """Lets so many in at once, and four times as many wait."""

    def __init__(self, at_once: int) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._most = at_once * (1 + WAITING_PER_TURN)
        self._here = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place and keep it while inside, or raise `Busy`."""
        if self._here >= self._most:
            raise Busy(retry_after=RETRY_SECONDS)
        self._here += 1
        try:
            async with self._places:
                yield
        finally:
            self._here -= 1
