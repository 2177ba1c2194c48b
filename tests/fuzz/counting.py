"""What was sent and what came back, in numbers."""

from collections import Counter
from collections.abc import Iterator

import msgspec


class Counts(msgspec.Struct, kw_only=True):
    """How much of everything; `cases` are by kind, `statuses` by HTTP's classes.

    `events`, `commands` and `blobs` are what accepted requests must have stored.
    """

    cases: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: Counter[str] = msgspec.field(default_factory=Counter)
    problems: Counter[str] = msgspec.field(default_factory=Counter)
    events: int = 0
    commands: int = 0
    blobs: set[str] = msgspec.field(default_factory=set)

    def plus(self, other: "Counts") -> "Counts":
        """Return the sums of both."""
        return Counts(
            cases=self.cases + other.cases,
            statuses=self.statuses + other.statuses,
            problems=self.problems + other.problems,
            events=self.events + other.events,
            commands=self.commands + other.commands,
            blobs=self.blobs | other.blobs,
        )

    def lines(self) -> Iterator[str]:
        """Yield the numbers as people read them, kinds by what is before the colon."""
        kinds: Counter[str] = Counter()
        for kind, count in self.cases.items():
            kinds[kind.partition(":")[0]] += count
        for name, counts in (
            ("tried", kinds),
            ("answered", self.statuses),
            ("refused as", self.problems),
        ):
            if counts:
                told = ", ".join(f"{key} {counts[key]:,}" for key in sorted(counts))
                yield f"{name:<11} {counts.total():,}: {told}"
