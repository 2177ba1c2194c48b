"""How reliable an agent is, from how many of each task's trials it passed.

pass^k is the chance that k trials of a task all pass (Yao et al. 2024, tau-bench);
pass@k that at least one of k passes (Chen et al. 2021, HumanEval). Both are means over
tasks of unbiased estimates, so their intervals take the task as the unit: trials of one
task are not independent.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb, sqrt
from statistics import NormalDist
from typing import Final, Literal

import msgspec


CONFIDENCE: Final = 0.95
MIN_CLUSTERS: Final = 2

Method = Literal["wilson", "t over tasks", "none"]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A share from 0 to 1 with its confidence interval, and what it rests on.

    `value` is None where no task counts; `low` and `high` are None with the method
    `none`, for a single task. `tasks` and `trials` count what was used, `left_out` the
    tasks with fewer than k trials. Where all tasks agree, `t over tasks` has no width:
    it knows only how much tasks differ.
    """

    value: float | None
    low: float | None
    high: float | None
    confidence: float
    method: Method
    tasks: int
    trials: int
    left_out: int = 0


def pass_rate(
    successes_per_task: Sequence[int],
    trials_per_task: Sequence[int],
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the share of all trials that passed, with Wilson's score interval.

    The interval takes trials as independent. Source: Wilson 1927, "Probable inference,
    the law of succession, and statistical inference".
    """
    counts = _counts(successes_per_task, trials_per_task)
    passed, trials = sum(c for c, _ in counts), sum(n for _, n in counts)
    used = [n for _, n in counts if n]
    if not trials:
        return _none(None, confidence, left_out=len(counts))
    share = passed / trials
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = share + z * z / (2 * trials)
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return Estimate(
        value=share,
        low=0.0 if passed == 0 else (middle - half) / scale,
        high=1.0 if passed == trials else (middle + half) / scale,
        confidence=confidence,
        method="wilson",
        tasks=len(used),
        trials=trials,
        left_out=len(counts) - len(used),
    )


def pass_hat_k(
    successes_per_task: Sequence[int],
    trials_per_task: Sequence[int],
    k: int,
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return pass^k: the mean over tasks of C(c, k) / C(n, k).

    c of a task's n trials passed. Source: Yao et al. 2024, "tau-bench: A Benchmark for
    Tool-Agent-User Interaction in Real-World Domains", section 3.
    """

    def all_pass(successes: int, trials: int) -> Fraction:
        return Fraction(comb(successes, k), comb(trials, k))

    return _over_tasks(
        _counts(successes_per_task, trials_per_task), k, all_pass, confidence
    )


def pass_at_k(
    successes_per_task: Sequence[int],
    trials_per_task: Sequence[int],
    k: int,
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return pass@k: the mean over tasks of 1 - C(n - c, k) / C(n, k).

    c of a task's n trials passed. Source: Chen et al. 2021, "Evaluating Large Language
    Models Trained on Code", equation 1.
    """

    def any_passes(successes: int, trials: int) -> Fraction:
        return 1 - Fraction(comb(trials - successes, k), comb(trials, k))

    return _over_tasks(
        _counts(successes_per_task, trials_per_task), k, any_passes, confidence
    )


def _counts(
    successes_per_task: Sequence[int], trials_per_task: Sequence[int]
) -> list[tuple[int, int]]:
    counts = list(zip(successes_per_task, trials_per_task, strict=True))
    for successes, trials in counts:
        if not 0 <= successes <= trials:
            message = f"{successes} of {trials} trials cannot have passed."
            raise ValueError(message)
    return counts


def _over_tasks(
    counts: Sequence[tuple[int, int]],
    k: int,
    estimate: Callable[[int, int], Fraction],
    confidence: float,
) -> Estimate:
    """Return the mean of the tasks' estimates, with a t interval clipped to 0 and 1."""
    if k < 1:
        message = f"k is {k}, and has to be 1 or more."
        raise ValueError(message)
    used = [(c, n) for c, n in counts if n >= k]
    values = [estimate(c, n) for c, n in used]
    tasks, trials = len(used), sum(n for _, n in used)
    left_out = len(counts) - tasks
    if not tasks:
        return _none(None, confidence, left_out=left_out)
    mean = sum(values, Fraction()) / tasks
    if tasks < MIN_CLUSTERS:
        return _none(float(mean), confidence, left_out, tasks=tasks, trials=trials)
    spread = sum(((value - mean) ** 2 for value in values), Fraction())
    error = sqrt(spread / (tasks - 1) / tasks)
    from scipy.special import stdtrit  # noqa: PLC0415 - 40 MB that few processes need

    half = float(stdtrit(tasks - 1, (1 + confidence) / 2)) * error
    return Estimate(
        value=float(mean),
        low=max(0.0, float(mean) - half),
        high=min(1.0, float(mean) + half),
        confidence=confidence,
        method="t over tasks",
        tasks=tasks,
        trials=trials,
        left_out=left_out,
    )


def _none(
    value: float | None,
    confidence: float,
    left_out: int,
    *,
    tasks: int = 0,
    trials: int = 0,
) -> Estimate:
    return Estimate(
        value=value,
        low=None,
        high=None,
        confidence=confidence,
        method="none",
        tasks=tasks,
        trials=trials,
        left_out=left_out,
    )
