"""Waiting for what others do: a look from time to time, and a word where it is long."""

import asyncio
from time import monotonic
from typing import Final

import structlog


LOOK: Final = 0.25  # seconds between two looks
SAY: Final = 60.0  # seconds without a change until that is said, then twice as many

log = structlog.get_logger()


class Patience:
    """Waits between looks, while the task that does the work here goes on."""

    def __init__(self, doing: asyncio.Task[None], *, say: float = SAY) -> None:
        self._doing = doing
        self._first = self._say = say
        self._seen: dict[str, object] = {}
        self._since = monotonic()

    async def wait(self, **seen: object) -> None:
        """Return when it is time to look again; raises what `doing` raises.

        Where what was seen is the same for long, that is logged, ever more seldom.
        """
        if seen != self._seen:
            self._seen, self._since, self._say = seen, monotonic(), self._first
        elif (seconds := monotonic() - self._since) >= self._say:
            log.warning("still_waiting", seconds=round(seconds), **seen)
            self._say = 2 * seconds
        await asyncio.wait((self._doing,), timeout=LOOK)
        if self._doing.done():
            self._doing.result()
