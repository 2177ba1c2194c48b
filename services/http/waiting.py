"""Positions that callers name: of the log, and waited for in the read tables."""

from collections.abc import Awaitable, Callable, Mapping

from events.errors import Malformed
from events.log import EventLog
from services.http import asking
from services.http.reading import translating
from services.problems import NotCaughtUp


CaughtUp = Callable[[str, int, float], Awaitable[int]]
"""Waits until a group's read tables are at a position, at most so many seconds, and
returns the position that they have reached."""


class Waiting:
    """What knows how far the log and the read tables are; it waits for `seconds`."""

    def __init__(self, *, log: EventLog, caught_up: CaughtUp, seconds: float) -> None:
        self._log = log
        self._caught_up = caught_up
        self._seconds = seconds

    async def for_tables(self, parameters: Mapping[str, str], group: str) -> None:
        """Return once a group's tables are at `min_position`, where that is asked."""
        asked = parameters.get("min_position")
        if asked is None:
            return
        position = await self.reached(asked, "query.min_position")
        reached = await self.reaching(group, position)
        if reached < position:
            raise NotCaughtUp(asked=position, reached=reached)

    async def reaching(self, group: str, position: int) -> int:
        """Return where a group's tables are: at a position, or below after a while."""
        with translating():
            return await self._caught_up(group, position, self._seconds)

    async def reached(self, asked: str, path: str) -> int:
        """Return a position that the log has reached, or raise `Malformed`."""
        position = asking.integer(asked, path)
        head = await self._log.head()
        if position > head.position:
            message = f"The log is only at position {head.position}."
            raise Malformed(message, path=path)
        return position
