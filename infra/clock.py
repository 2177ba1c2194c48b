"""The present moment and new identifiers: the only place where either comes from."""

import os
import threading
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5


TAIL_BITS: Final = 74
STEP_BITS: Final = 32


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


def derived_id(namespace: UUID, name: str) -> UUID:
    """Return the identifier that a name always has in a namespace (UUIDv5)."""
    return uuid5(namespace, name)


class MonotonicIds:
    """Makes UUIDv7, each greater than all before it, also when the clock goes back.

    RFC 9562, 6.2, method 2: within a millisecond the 74 random bits grow by a random
    step, so that ids stay hard to guess.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> UUID:
        """Return a new identifier."""
        random = int.from_bytes(os.urandom(10))
        fresh = (time.time_ns() // 1_000_000 << TAIL_BITS) | (random >> 7)
        with self._lock:
            if fresh >> TAIL_BITS <= self._last >> TAIL_BITS:
                # A carry out of the tail borrows from the next millisecond.
                fresh = self._last + 1 + (random & ((1 << STEP_BITS) - 1))
            self._last = fresh
        high, low = fresh >> 62, fresh & ((1 << 62) - 1)
        milliseconds, middle = high >> 12, high & 0xFFF
        return UUID(
            int=milliseconds << 80 | 0x7 << 76 | middle << 64 | 0b10 << 62 | low
        )


new_id: Final = MonotonicIds()
