"""What a campaign found: promises broken, by name, and everything that was counted."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec


EXAMPLES: Final = 3


class Violation(msgspec.Struct, kw_only=True):
    """A promise that was broken: how often, and the first few times."""

    count: int = 0
    examples: list[str] = msgspec.field(default_factory=list)


class Findings:
    """Collects violations."""

    def __init__(self) -> None:
        self.violations: dict[str, Violation] = {}

    def add(self, name: str, example: str = "", count: int = 1) -> None:
        """Add a violation."""
        violation = self.violations.setdefault(name, Violation())
        violation.count += count
        if example and len(violation.examples) < EXAMPLES:
            violation.examples.append(example[:300])

    def add_all(self, prefix: str, defects: Mapping[str, int]) -> None:
        """Add what a process complained of."""
        for text, count in defects.items():
            self.add(prefix, text, count)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign in figures."""

    seed: int
    without: str | None
    postgres: int
    seconds: Mapping[str, float]
    commands: Mapping[str, int]
    log: Mapping[str, int]
    kills: Mapping[str, int]
    faults: Mapping[str, int]
    writers: Mapping[str, int]
    observers: Mapping[str, int]
    audited: Mapping[str, int]
    violations: Mapping[str, Violation]

    @property
    def total(self) -> int:
        """Return how many violations there were."""
        return sum(violation.count for violation in self.violations.values())

    @property
    def as_expected(self) -> bool:
        """Say whether the log kept its promises; without the lock, that it did not."""
        return bool(self.violations) == (self.without is not None)

    def text(self) -> str:
        """Return the report as people read it."""
        lines = [
            f"chaos log: seed {self.seed}, PostgreSQL {self.postgres}"
            + (f", without the {self.without}" if self.without else "")
            + f", {sum(self.seconds.values()):.0f} s",
            "seconds    "
            + ", ".join(f"{name} {took:.1f}" for name, took in self.seconds.items()),
        ]
        for name in (
            "commands",
            "log",
            "kills",
            "faults",
            "writers",
            "observers",
            "audited",
        ):
            counts: Mapping[str, int] = getattr(self, name)
            told = ", ".join(f"{key} {counts[key]:,}" for key in sorted(counts))
            lines.append(f"{name:<10} {told}")
        lines.append(f"violations {self.total:,}")
        for name, violation in sorted(self.violations.items()):
            lines.append(f"  {violation.count:>8,}  {name}")
            lines += [f"            {example}" for example in violation.examples]
        if self.without is not None:
            verdict = "found, as expected" if self.as_expected else "NOT FOUND"
            lines.append(f"what the {self.without} prevents was {verdict}")
        return "\n".join(lines)


def summed(*counts: Mapping[str, int]) -> Counter[str]:
    """Return counts together."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total
