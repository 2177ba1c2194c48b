"""What was found in texts is remembered, up to so many characters of the texts.

A text may have a quarter of a million characters, and what the rules see in it takes up
to forty times its size: a memory of so many texts would have no bound worth the name.

Answers are kept in two generations. What is asked for goes into the younger one; once
that holds half of the characters it becomes the older one, and what nobody asked for
since is forgotten with the generation before. The latest answer is kept at any size.
"""

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Final, TypeVar, TypeVarTuple

import msgspec


WORDS: Final = 1_000_000
TEXTS: Final = 500_000
POLICIES: Final = 2_000_000  # read anew, a policy takes milliseconds
ENTRY: Final = 64  # characters that an entry counts for besides its own

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def remembered(
    *, characters: int
) -> Callable[[Callable[[*Ts], T]], Callable[[*Ts], T]]:
    """Have a pure function remember its answers about so many characters of texts."""

    def remember(answer: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
        younger: dict[Hashable, T] = {}
        older: dict[Hashable, T] = {}
        held = 0

        @wraps(answer)
        def recall(*asked: *Ts) -> T:
            nonlocal younger, older, held
            if asked in younger:
                return younger[asked]
            found = older[asked] if asked in older else answer(*asked)
            size = ENTRY + length(asked)
            if 2 * (held + size) > characters:
                younger, older, held = {}, younger, 0
            held += size
            younger[asked] = found
            return found

        return recall

    return remember


def length(value: object) -> int:
    """Return how many characters the texts in a value have."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    return sum(map(length, value)) if isinstance(value, tuple) else 0
