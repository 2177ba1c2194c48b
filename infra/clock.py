"""The present moment and new identifiers: the only place where either comes from."""

import os
import threading
import time
from array import array
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from events.ids import named, uuid_of


LOW_BITS: Final = 62
TAIL_BITS: Final = 74  # the low bits, and the 12 between version and variant
STEP_BITS: Final = 32
RANDOM_BYTES: Final = 10
MILLISECOND: Final = 1_000_000  # in nanoseconds
STEPS_AT_ONCE: Final = 256

_LOW: Final = (1 << LOW_BITS) - 1
_TAIL: Final = (1 << TAIL_BITS) - 1


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


def derived_id(namespace: UUID, name: str) -> UUID:
    """Return the identifier that a name always has in a namespace (UUIDv5)."""
    return named(namespace, name)


class MonotonicIds:
    """Makes UUIDv7, each greater than all before it, also when the clock goes back.

    RFC 9562, 6.2, method 2: within a millisecond the 74 random bits grow by a random
    step, so that ids stay hard to guess. Steps are asked of the system many at once; a
    process that forks off must `forget` what was asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0  # the end of the millisecond, in nanoseconds
        self._last = 0
        self._highest = 0  # the last id before a carry out of the low bits
        self._steps: list[int] = []

    def __call__(self) -> UUID:
        """Return a new identifier."""
        with self._lock:
            if time.time_ns() >= self._until:
                self._start(time.time_ns() // MILLISECOND, os.urandom(RANDOM_BYTES))
            else:
                steps = self._steps
                if not steps:
                    steps = self._steps = random_steps()
                self._last = last = self._last + 1 + steps.pop()
                if last > self._highest:
                    self._carry()
            return uuid_of(self._last)

    def forget(self) -> None:
        """Throw away randomness that another process may use as well."""
        self._lock = threading.Lock()
        self._until, self._steps = 0, []

    def _start(self, millisecond: int, random: bytes) -> None:
        """Begin a millisecond, at a random place of its first half."""
        self._place(millisecond, int.from_bytes(random, "big") & (_TAIL >> 1))

    def _carry(self) -> None:
        """Go on above the low bits, in the next millisecond where there is no room."""
        low = self._last - self._highest + _LOW
        tail = (((self._highest >> 64) & 0xFFF) << LOW_BITS) + low
        self._place((self._highest >> 80) + (tail >> TAIL_BITS), tail & _TAIL)

    def _place(self, millisecond: int, tail: int) -> None:
        middle, low = tail >> LOW_BITS, tail & _LOW
        high = millisecond << 80 | 0x7 << 76 | middle << 64 | 0b10 << LOW_BITS
        self._until = (millisecond + 1) * MILLISECOND
        self._last = high | low
        self._highest = high | _LOW


def random_steps() -> list[int]:
    """Return random numbers of 32 bits."""
    return array("I", os.urandom(STEPS_AT_ONCE * STEP_BITS // 8)).tolist()


new_id: Final = MonotonicIds()
os.register_at_fork(after_in_child=new_id.forget)
