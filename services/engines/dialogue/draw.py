"""Choices that follow from where a conversation stands, never from a generator's state.

A draw is the SHA-256 of the run's seed, the unit test, the trial's index, the turn and
the purpose, so that the same conversation comes out the same in any process.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec


T = TypeVar("T")

RANGE: Final = 1 << 64


class Draw(msgspec.Struct, frozen=True):
    """The key of every choice in a trial; `index` counts the trials from 0."""

    seed: int
    unit_test_id: UUID
    index: int
    turn: int = 0

    def at(self, turn: int) -> "Draw":
        """Return the key of a turn."""
        return Draw(self.seed, self.unit_test_id, self.index, turn)

    def number(self, purpose: str) -> int:
        """Return a number from 0 to 2**64 - 1."""
        key = (self.seed, self.unit_test_id, self.index, self.turn, purpose)
        digest = hashlib.sha256(msgspec.json.encode(key)).digest()
        return int.from_bytes(digest[:8])

    def choose(self, purpose: str, options: Sequence[T]) -> T:
        """Return one of the options, of which there is at least one."""
        return options[self.number(purpose) * len(options) // RANGE]

    def chance(self, purpose: str, share: float) -> bool:
        """Return True in a share of the cases, from 0 to 1."""
        return self.number(purpose) < share * RANGE
