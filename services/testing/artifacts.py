"""The reports of a run: what was pinned, how each trial ended; as JSON and JUnit XML.

They follow from the run's facts alone, so the same run gives the same bytes. In JUnit a
unit test is a suite and a trial a case: a criterion that was not met is a failure, what
broke off is an error, and what could not be judged is skipped, with the reason.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import msgspec

from events.ids import SetRunId, TrialId, UnitTestId, UnitTestSetId
from events.message import Event, Recorded
from events.testing.set_runs import (
    Fault,
    MetricResult,
    Outcome,
    SetRunCancelled,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Spec,
    TrialCounted,
    TrialsReopened,
)


NOT_IN_XML: Final = re.compile(
    "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


class TrialReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a trial ended; `index` counts the unit test's trials from 0."""

    trial_id: TrialId
    index: int
    outcome: Outcome
    failed_metrics: list[MetricResult]
    error: str | None
    fault: Fault | None
    counted_at: datetime


class TestReport(msgspec.Struct, frozen=True, kw_only=True):
    """A unit test as it was pinned, and its trials in order."""

    __test__ = False

    spec: Spec
    trials: list[TrialReport]


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its facts tell it."""

    run_id: SetRunId
    set_id: UnitTestSetId
    origin: str
    seed: int
    status: str
    started_at: datetime
    ended_at: datetime | None
    passed: int
    failed: int
    inconclusive: int
    errored: int
    unit_tests: list[TestReport]


def report_of(history: Sequence[Recorded[Event]]) -> RunReport:
    """Return the report of a run, from its whole history or a part from its start."""
    (first, *_) = history
    requested = first.event
    if not isinstance(requested, SetRunRequested):
        message = f"A run's history starts with {type(requested).__name__}."
        raise TypeError(message)
    specs = requested.specs
    status, ended_at = "running", None
    trials: dict[tuple[UnitTestId, int], TrialReport] = {}
    for recorded in history:
        event = recorded.event
        match event:
            case SetRunPinned():
                specs = event.specs
            case TrialCounted():
                trials[event.unit_test_id, event.index] = trial_report(event, recorded)
            case TrialsReopened():
                for slot in event.slots:
                    del trials[slot.unit_test_id, slot.index]
                status, ended_at = "running", None
            case SetRunCompleted():
                status, ended_at = "completed", recorded.recorded_at
            case SetRunCancelled():
                status, ended_at = "cancelled", recorded.recorded_at
            case SetRunFailed():
                status, ended_at = "failed", recorded.recorded_at
            case _:
                pass
    outcomes = [trial.outcome for trial in trials.values()]
    return RunReport(
        run_id=requested.run_id,
        set_id=requested.set_id,
        origin=requested.origin,
        seed=requested.seed,
        status=status,
        started_at=first.recorded_at,
        ended_at=ended_at,
        passed=outcomes.count("passed"),
        failed=outcomes.count("failed"),
        inconclusive=outcomes.count("inconclusive"),
        errored=outcomes.count("errored"),
        unit_tests=[
            TestReport(
                spec=spec,
                trials=[
                    trials[spec.unit_test_id, index]
                    for index in range(spec.run_count)
                    if (spec.unit_test_id, index) in trials
                ],
            )
            for spec in specs
        ],
    )


def trial_report(event: TrialCounted, recorded: Recorded[Event]) -> TrialReport:
    """Return how a trial ended."""
    return TrialReport(
        trial_id=event.trial_id,
        index=event.index,
        outcome=event.outcome,
        failed_metrics=event.failed_metrics,
        error=event.error,
        fault=event.fault,
        counted_at=recorded.recorded_at,
    )


def as_json(report: RunReport) -> bytes:
    """Return a report as one JSON object."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def as_junit(report: RunReport) -> bytes:
    """Return a report as JUnit XML."""
    root = Element(
        "testsuites",
        name=f"set run {report.run_id}",
        tests=str(sum(len(test.trials) for test in report.unit_tests)),
        failures=str(report.failed),
        errors=str(report.errored),
        skipped=str(report.inconclusive),
        timestamp=report.started_at.isoformat(),
    )
    for test in report.unit_tests:
        add_suite(root, test, report)
    indent(root)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def add_suite(root: Element, test: TestReport, report: RunReport) -> None:
    """Add a unit test's suite."""
    outcomes = [trial.outcome for trial in test.trials]
    suite = SubElement(
        root,
        "testsuite",
        name=plain(test.spec.name),
        tests=str(len(outcomes)),
        failures=str(outcomes.count("failed")),
        errors=str(outcomes.count("errored")),
        skipped=str(outcomes.count("inconclusive")),
        timestamp=report.started_at.isoformat(),
    )
    properties = SubElement(suite, "properties")
    for name, value in pins(test.spec, report):
        SubElement(properties, "property", name=name, value=value)
    for trial in test.trials:
        case = SubElement(
            suite,
            "testcase",
            classname=plain(test.spec.name),
            name=f"trial {trial.index + 1}",
        )
        add_verdict(case, trial)


def pins(spec: Spec, report: RunReport) -> Iterable[tuple[str, str]]:
    """Yield what a unit test rests on."""
    yield "run_id", str(report.run_id)
    yield "seed", str(report.seed)
    yield "unit_test_id", str(spec.unit_test_id)
    yield "persona", f"{spec.persona_id} version {spec.persona_version}"
    yield "scenario", f"{spec.scenario_id} version {spec.scenario_version}"
    yield "agent", f"{spec.service_id} version {spec.service_version}"


def add_verdict(case: Element, trial: TrialReport) -> None:
    """Add what a trial that did not pass came to."""
    SubElement(case, "system-out").text = f"trial_id={trial.trial_id}"
    match trial.outcome:
        case "failed":
            told = [
                f"{result.name}: {result.justification}"
                for result in trial.failed_metrics
            ]
            message = "; ".join(told) or "The interactions were used up."
            failure = SubElement(case, "failure", message=plain(message), type="failed")
            failure.text = plain("\n".join(told))
        case "errored":
            SubElement(
                case,
                "error",
                message=plain(trial.error or ""),
                type=trial.fault or "errored",
            )
        case "inconclusive":
            SubElement(case, "skipped", message="The rules could not judge it.")
        case "passed":
            pass


def plain(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
