"""Which model a tester is given: one pure function of what the ledger says.

Of the models that have places left, and that the tester has not evaluated as often as
is asked:

1. those that the tester was shown least often,
2. of these, those with the smallest share of their places taken,
3. of these, the one with the smallest sha256 of `<seed>/<number>/<model key>`.

`number` is that of the place in its playground, so the same ledger always decides the
same, and a tie falls to either side as often.
"""

from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256

import msgspec

from events.playgrounds.allocations import Candidate, Why


class Choice(msgspec.Struct, frozen=True):
    """The model that is given, and why."""

    model_key: str
    reason: Why


def choose(candidates: Sequence[Candidate], *, seed: int, number: int) -> Choice:
    """Return the choice among one or more candidates."""
    least_shown = min(each.shown for each in candidates)
    unseen = [each for each in candidates if each.shown == least_shown]
    least_filled = min(fill(each) for each in unseen)
    tied = [each for each in unseen if fill(each) == least_filled]
    chosen = min(tied, key=lambda each: lot(seed, number, each.model_key))
    if len(candidates) == 1:
        return Choice(chosen.model_key, "only")
    if len(unseen) == 1:
        return Choice(chosen.model_key, "unseen")
    if len(tied) == 1:
        return Choice(chosen.model_key, "least_filled")
    return Choice(chosen.model_key, "tie_break")


def fill(candidate: Candidate) -> Fraction:
    """Return the share of a model's places that are taken."""
    return Fraction(candidate.taken, candidate.cap)


def lot(seed: int, number: int, model_key: str) -> bytes:
    """Return what decides between models that are as good."""
    return sha256(f"{seed}/{number}/{model_key}".encode()).digest()
