"""What has to balance in every step: where resources come from and go, who lives.

Resources  A node gains what grows again and loses what is gathered; agents gain that
           and what children begin with, and lose what they consume, pay for attacks
           and children, and hold as they die. Gifts change no sum.
Population The living change by births less deaths, and are the sum of their types.
Nature     Nothing is negative that cannot be, generations grow by one, steps follow.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


Rows = npt.NDArray[np.void]


class Violation(NamedTuple):
    """An invariant that a step breaks, and by how much."""

    step: int
    invariant: str
    difference: int


def violations(steps: Rows, before: Rows | None = None) -> Iterator[Violation]:
    """Yield what does not balance in successive rows of steps.

    `before` is the last row that came before them; None where they begin the run.
    """
    rows = steps if before is None else np.concatenate([before, steps])
    for invariant, difference in _differences(rows):
        for place in np.flatnonzero(difference):
            step = int(rows["step"][place + 1])
            yield Violation(step, invariant, int(difference[place]))
    for invariant, wrong in _wrongs(steps):
        for place in np.flatnonzero(wrong):
            yield Violation(int(steps["step"][place]), invariant, int(wrong[place]))


def _differences(rows: Rows) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    def change(name: str) -> npt.NDArray[np.int64]:
        values: npt.NDArray[np.int64] = rows[name].astype(np.int64)
        return values[1:] - values[:-1]

    def flow(name: str) -> npt.NDArray[np.int64]:
        return rows[name][1:].astype(np.int64)

    yield "steps_follow", change("step") - 1
    yield "population", change("agents") - flow("births") + flow("deaths")
    grown = flow("regenerated") - flow("gathered")
    yield "nodes", change("nodes_total") - grown
    gained = flow("gathered") + flow("endowed")
    spent = flow("consumed") + flow("paid") + flow("spent") + flow("lost")
    yield "agents", change("agents_total") - gained + spent
    for name in ("encounters", "successes", "shared"):
        yield f"{name}_grow", np.minimum(change(name), 0)


def _wrongs(rows: Rows) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    def value(name: str) -> npt.NDArray[np.int64]:
        return rows[name].astype(np.int64)

    kinds = value("system") + value("independent") + value("control")
    yield "types", value("agents") - kinds
    for name in ("agents", "nodes_total", "health_total", "gathered", "regenerated"):
        yield f"{name}_negative", np.minimum(value(name), 0)
    yield "genomes", np.maximum(value("genomes") - value("agents"), 0)


def birth_violations(
    births: Rows, generation_of: dict[int, int]
) -> Iterator[Violation]:
    """Yield births whose generation does not follow the parent's, or is not known.

    `generation_of` knows those born before, and learns those born here.
    """
    for row in births:
        parent = int(row["parent"])
        expected = 0 if parent < 0 else generation_of.get(parent, -2) + 1
        generation_of[int(row["agent"])] = int(row["generation"])
        if int(row["generation"]) != expected:
            difference = int(row["generation"]) - expected
            yield Violation(int(row["step"]), "generation", difference)
