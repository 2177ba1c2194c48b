"""The present moment and new identifiers: the only place where either comes from."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from struct import Struct
from typing import Final
from uuid import UUID

from events.ids import named, uuid_of


LOW_BITS: Final = 62
TAIL_BITS: Final = 74  # the low bits, and the 12 between version and variant
STEP_BITS: Final = 32
RANDOM_BYTES: Final = 10
MILLISECOND: Final = 1_000_000  # in nanoseconds
RUN: Final = 32  # numbers
LONGEST_RUN: Final = RUN << STEP_BITS

_LOW: Final = (1 << LOW_BITS) - 1
_TAIL: Final = (1 << TAIL_BITS) - 1
_STEPS: Final = Struct(f"{RUN}I")


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


def derived_id(namespace: UUID, name: str) -> UUID:
    """Return the identifier that a name always has in a namespace (UUIDv5)."""
    return named(namespace, name)


class MonotonicIds:
    """Makes UUIDv7, each greater than all before it, also when the clock goes back.

    RFC 9562, 6.2, method 2: within a millisecond the 74 random bits grow by a random
    step, so that ids stay hard to guess. Numbers come in runs, each above all that the
    one before can still give. To take the next of a run is one step of the interpreter
    and needs no lock. A process that forks off must `forget` what it shares.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run: Iterator[int] = iter(())
        self._until = 0  # the end of the millisecond, in nanoseconds
        self._place = 0  # the millisecond and 74 bits, not below what was made

    def make(self) -> UUID:
        """Return a new identifier."""
        if time.time_ns() < self._until:
            number = next(self._run, None)
            if number is not None:
                return uuid_of(number)
        return uuid_of(self._begin())

    def forget(self) -> None:
        """Throw away randomness that another process may use as well."""
        self._lock = threading.Lock()
        self._until, self._run = 0, iter(())

    def _begin(self) -> int:
        """Begin a run and return its first number."""
        with self._lock:
            moment, place = time.time_ns(), self._place
            if moment >= self._until:
                place = moment // MILLISECOND << TAIL_BITS | random_tail()
            if place & _LOW > _LOW - LONGEST_RUN:
                place = (place | _LOW) + 1  # a run stays within the low bits
            run = accumulate(random_steps(), initial=_number(place))
            next(run)  # what the run before may have come to
            first = next(run)
            self._run = run
            self._until = ((place >> TAIL_BITS) + 1) * MILLISECOND
            self._place = place + LONGEST_RUN
            return first


def random_tail() -> int:
    """Return a random number of 73 bits, above which there is room to grow."""
    return int.from_bytes(os.urandom(RANDOM_BYTES)) & (_TAIL >> 1)


def random_steps() -> Sequence[int]:
    """Return the steps of a run: random numbers from 1 to 2^32 - 1."""
    steps = _STEPS.unpack(os.urandom(_STEPS.size))
    return random_steps() if 0 in steps else steps


def _number(place: int) -> int:
    """Return the number of a UUIDv7: a millisecond and 74 bits, version and variant."""
    middle = (place >> LOW_BITS) & 0xFFF
    high = place >> TAIL_BITS << 80 | 0x7 << 76 | middle << 64 | 0b10 << LOW_BITS
    return high | place & _LOW


_ids: Final = MonotonicIds()
new_id: Final = _ids.make
os.register_at_fork(after_in_child=_ids.forget)
