"""When to ask again, and how long to wait before."""

from collections.abc import Iterator
from random import SystemRandom
from typing import Final


FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 5.0

_random: Final = SystemRandom()


def pauses() -> Iterator[float]:
    """Yield seconds to wait: doubling, and each drawn from zero to that bound.

    The full jitter keeps clients that failed together from coming back together.
    """
    bound = FIRST_PAUSE
    while True:
        yield _random.uniform(0, bound)
        bound = min(bound * 2, LONGEST_PAUSE)
