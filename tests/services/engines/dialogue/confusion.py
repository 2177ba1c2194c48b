"""The confusion matrix of the rules over the labelled conversations.

`python -m tests.services.engines.dialogue.confusion` prints it.
"""

import sys
from collections import Counter

from services.engines.dialogue.judging import judge
from tests.services.engines.dialogue.labelled import CASES, transcript


Matrix = Counter[tuple[str, bool, bool | None]]

SAID: tuple[bool | None, ...] = (True, False, None)


def matrix() -> Matrix:
    return Counter(
        (one.kind, one.verdict, judge(one.assertion, transcript(one.entries)).value)
        for one in CASES
    )


def table(counts: Matrix) -> str:
    lines = [f"{'kind':<16}{'holds':<8}{'passed':>8}{'failed':>8}{'open':>8}"]
    kinds = [*dict.fromkeys(one.kind for one in CASES), "all"]
    for kind in kinds:
        for holds in (True, False):
            row = [
                sum(
                    count
                    for (of, label, said), count in counts.items()
                    if label == holds and said == value and kind in (of, "all")
                )
                for value in SAID
            ]
            if any(row):
                cells = "".join(f"{count:>8}" for count in row)
                lines.append(f"{kind:<16}{'yes' if holds else 'no':<8}{cells}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{table(matrix())}\n")
