"""The present moment and new identifiers: the only place where either comes from."""

import os
import threading
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, SafeUUID, uuid5


TAIL_BITS: Final = 74
STEP_BITS: Final = 32
RANDOM_BYTES: Final = 10
IDS_AT_ONCE: Final = 256
UNKNOWN: Final = SafeUUID.unknown  # looking it up costs as much as the rest


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


def derived_id(namespace: UUID, name: str) -> UUID:
    """Return the identifier that a name always has in a namespace (UUIDv5)."""
    return uuid5(namespace, name)


class MonotonicIds:
    """Makes UUIDv7, each greater than all before it, also when the clock goes back.

    RFC 9562, 6.2, method 2: within a millisecond the 74 random bits grow by a random
    step, so that ids stay hard to guess. Randomness is asked of the system for many
    ids at once; a process that forks off must `forget` what was asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._random = b""
        self._used = 0

    def __call__(self) -> UUID:
        """Return a new identifier."""
        with self._lock:
            used = self._used
            if used == len(self._random):
                self._random, used = os.urandom(IDS_AT_ONCE * RANDOM_BYTES), 0
            self._used = used + RANDOM_BYTES
            random = int.from_bytes(self._random[used : self._used])
            fresh = (time.time_ns() // 1_000_000 << TAIL_BITS) | (random >> 7)
            if fresh >> TAIL_BITS <= self._last >> TAIL_BITS:
                # A carry out of the tail borrows from the next millisecond.
                fresh = self._last + 1 + (random & ((1 << STEP_BITS) - 1))
            self._last = fresh
        high, low = fresh >> 62, fresh & ((1 << 62) - 1)
        milliseconds, middle = high >> 12, high & 0xFFF
        return _uuid(milliseconds << 80 | 0x7 << 76 | middle << 64 | 0b10 << 62 | low)

    def forget(self) -> None:
        """Throw away randomness that another process may use as well."""
        self._lock = threading.Lock()
        self._random, self._used = b"", 0


def _uuid(value: int) -> UUID:
    """Return the UUID of a number that is in range: no argument is left to check."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", value)
    object.__setattr__(made, "is_safe", UNKNOWN)
    return made


new_id: Final = MonotonicIds()
os.register_at_fork(after_in_child=new_id.forget)
