"""How many commands a caller may send: so many at once, and as many in each minute.

All processes count together, in a counter that is not the log. A process takes a share
of the rate at a time, a twentieth, so that the counter is asked once for many commands;
what it has not used after two seconds lapses. Who passed the rate is told how long to
wait, and is not counted again until then.
"""

import asyncio
import math
from collections import OrderedDict
from datetime import timedelta
from time import monotonic
from typing import Final, Protocol

from events.errors import TooMany
from services.identity import Identity


PERIOD: Final = timedelta(minutes=1)
PORTIONS: Final = 20
LAPSE_SECONDS: Final = 2.0
REMEMBERED: Final = 10_000


class Counter(Protocol):
    """Counts over all processes; raises `Unavailable`."""

    async def take(
        self, key: str, cost: int, *, burst: int, period: timedelta
    ) -> timedelta | None:
        """Take so much of a key's rate; return how long to wait where it is not left.

        `cost` is `burst` at most.
        """
        ...


class Share:
    """What this process took of a caller's rate, and whom it told to wait."""

    __slots__ = ("closed_to", "closed_until", "good_until", "left", "taking")

    def __init__(self) -> None:
        self.left = 0
        self.good_until = 0.0
        self.closed_to = 0
        self.closed_until = 0.0
        self.taking = asyncio.Lock()

    def spend(self, cost: int, now: float) -> bool:
        """Use what is left, if it is enough."""
        if cost > self.left or now >= self.good_until:
            return False
        self.left -= cost
        return True

    def check(self, cost: int, now: float) -> None:
        """Raise `TooMany` for whoever was told to wait, and for who asks for more."""
        if cost >= self.closed_to and now < self.closed_until:
            raise too_many(self.closed_until - now)

    def close(self, cost: int, until: float) -> None:
        """Let nobody ask for so much again before a moment."""
        self.closed_to = cost
        self.closed_until = until


class Admission:
    """Admits the commands of callers, `per_minute` of each."""

    def __init__(self, counter: Counter, *, per_minute: int) -> None:
        self._counter = counter
        self._burst = per_minute
        self._portion = max(1, per_minute // PORTIONS)
        self._shares: OrderedDict[tuple[str, str], Share] = OrderedDict()

    def admit_at_once(self, identity: Identity) -> bool:
        """Count one command if what this process took is enough, and say whether."""
        share = self._shares.get((identity.org_id, identity.actor))
        return share is not None and share.spend(1, monotonic())

    async def admit(self, identity: Identity, commands: int = 1) -> None:
        """Count commands, or raise `TooMany`.

        More than a minute's worth at once count as a minute's worth.
        """
        cost = min(commands, self._burst)
        share = self._share((identity.org_id, identity.actor))
        now = monotonic()
        share.check(cost, now)
        if share.spend(cost, now):
            return
        async with share.taking:
            now = monotonic()
            share.check(cost, now)
            if share.spend(cost, now):
                return
            key = f"commands:{identity.org_id}:{identity.actor}"
            taken = await self._take(key, cost, share, now)
            share.left = taken - cost
            share.good_until = now + LAPSE_SECONDS

    async def _take(self, key: str, cost: int, share: Share, now: float) -> int:
        """Take a portion, or just what is needed; return how much."""
        wait = None
        for wanted in sorted({cost, max(cost, self._portion)}, reverse=True):
            wait = await self._counter.take(
                key, wanted, burst=self._burst, period=PERIOD
            )
            if wait is None:
                return wanted
        seconds = 0.0 if wait is None else wait.total_seconds()
        share.close(cost, now + seconds)
        raise too_many(seconds)

    def _share(self, caller: tuple[str, str]) -> Share:
        share = self._shares.get(caller)
        if share is None:
            share = self._shares[caller] = Share()
            if len(self._shares) > REMEMBERED:
                self._shares.popitem(last=False)
        return share


def too_many(seconds: float) -> TooMany:
    """Return the failure of who passed the rate, in whole seconds."""
    whole = max(1, math.ceil(seconds))
    return TooMany(f"Too many commands; try again in {whole} s.", retry_after=whole)
