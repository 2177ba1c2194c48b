"""Waiting for a run: what has been counted so far, and what came out in the end."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from events.ids import SetRunId, UnitTestId
from events.log import EventLog
from events.testing.set_runs import Fault, Outcome
from infra.operations.waiting import Patience
from services.testing.artifacts import RunHistory, RunReport
from services.work.reporting import catch_up


REPORTS: Final = 2  # of each completion


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is; `trials` is None until it is pinned."""

    counted: int
    trials: int | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a trial came out, without what differs between runs of the same seed."""

    unit_test_id: UnitTestId
    name: str
    index: int
    outcome: Outcome
    failed_metrics: list[str]
    error: str | None
    fault: Fault | None


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a run; `position` is the log's end when it was told."""

    run_id: SetRunId
    status: str
    seed: int
    trials: int
    passed: int
    failed: int
    inconclusive: int
    errored: int
    position: int
    verdicts: list[Verdict]


async def completed(
    log: EventLog,
    run_id: SetRunId,
    doing: asyncio.Task[None],
    *,
    tell: Callable[[Progress], None],
) -> Verdicts:
    """Return what came out of a run, once it has ended and has its reports.

    Raises `Missing` where there is no such run, and what `doing` raises, the task that
    holds its trials.
    """
    history = RunHistory()
    patience = Patience(doing)
    while True:
        head = (await log.head()).position
        await catch_up(history, log, run_id)
        report = history.report()
        now = progress_of(report)
        tell(now)
        if report.status != "running" and (
            report.status != "completed" or history.attached >= REPORTS
        ):
            return verdicts_of(report, head)
        await patience.wait(
            run=str(run_id), status=report.status, ended=now.counted, of=now.trials
        )


def progress_of(report: RunReport) -> Progress:
    """Return how far a run is."""
    pinned = sum(test.spec.run_count for test in report.unit_tests)
    counted = sum(len(test.trials) for test in report.unit_tests)
    return Progress(counted=counted, trials=pinned or None)


def verdicts_of(report: RunReport, position: int) -> Verdicts:
    """Return what came out of a run, in the order of its specs."""
    return Verdicts(
        run_id=report.run_id,
        status=report.status,
        seed=report.seed,
        trials=sum(len(test.trials) for test in report.unit_tests),
        passed=report.passed,
        failed=report.failed,
        inconclusive=report.inconclusive,
        errored=report.errored,
        position=position,
        verdicts=[
            Verdict(
                unit_test_id=test.spec.unit_test_id,
                name=test.spec.name,
                index=trial.index,
                outcome=trial.outcome,
                failed_metrics=[metric.name for metric in trial.failed_metrics],
                error=trial.error,
                fault=trial.fault,
            )
            for test in report.unit_tests
            for trial in test.trials
        ],
    )
