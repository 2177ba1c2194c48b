"""The reports of a run: what was pinned, how each trial ended; as JSON and JUnit XML.

They follow from the run's facts alone, so the same run gives the same bytes. In JUnit a
unit test is a suite and a trial a case: a criterion that was not met is a failure, what
broke off is an error, and what could not be judged is skipped, with the reason.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import msgspec

from events.errors import Missing
from events.ids import SetRunId, TrialId, UnitTestId, UnitTestSetId
from events.message import Event, Recorded
from events.testing.set_runs import (
    ArtifactGenerated,
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


class RunHistory:
    """What a run's facts come to, taken one after another; of each trial its report.

    `version` is how many were taken, `attached` how many reports were attached since
    anything else happened.
    """

    def __init__(self) -> None:
        self.version = 0
        self.completions = 0
        self.attached = 0
        self._requested: SetRunRequested | None = None
        self._specs: Sequence[Spec] = ()
        self._started_at: datetime | None = None
        self._status = "running"
        self._ended_at: datetime | None = None
        self._trials: dict[tuple[UnitTestId, int], TrialReport] = {}

    def add(self, recorded: Recorded[Event]) -> None:
        """Take the next fact, from the first on."""
        event = recorded.event
        self.version += 1
        attached, self.attached = self.attached, 0
        match event:
            case SetRunRequested():
                self._requested, self._specs = event, event.specs
                self._started_at = recorded.recorded_at
            case SetRunPinned():
                self._specs = event.specs
            case TrialCounted():
                slot = event.unit_test_id, event.index
                self._trials[slot] = trial_report(event, recorded)
            case TrialsReopened():
                for reopened in event.slots:
                    del self._trials[reopened.unit_test_id, reopened.index]
                self._status, self._ended_at = "running", None
            case SetRunCompleted():
                self.completions += 1
                self._end("completed", recorded)
            case SetRunCancelled():
                self._end("cancelled", recorded)
            case SetRunFailed():
                self._end("failed", recorded)
            case ArtifactGenerated():
                self.attached = attached + 1
            case _:
                pass

    def report(self) -> RunReport:
        """Return the report of the run after the facts so far, or raise `Missing`."""
        if self._requested is None or self._started_at is None:
            raise Missing
        outcomes = Counter(trial.outcome for trial in self._trials.values())
        return RunReport(
            run_id=self._requested.run_id,
            set_id=self._requested.set_id,
            origin=self._requested.origin,
            seed=self._requested.seed,
            status=self._status,
            started_at=self._started_at,
            ended_at=self._ended_at,
            passed=outcomes["passed"],
            failed=outcomes["failed"],
            inconclusive=outcomes["inconclusive"],
            errored=outcomes["errored"],
            unit_tests=[
                TestReport(
                    spec=spec,
                    trials=[
                        self._trials[spec.unit_test_id, index]
                        for index in range(spec.run_count)
                        if (spec.unit_test_id, index) in self._trials
                    ],
                )
                for spec in self._specs
            ],
        )

    def _end(self, status: str, recorded: Recorded[Event]) -> None:
        self._status, self._ended_at = status, recorded.recorded_at


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
    """Return a report as JUnit XML; of its elements one suite's at a time are held."""
    root = Element(
        "testsuites",
        name=f"set run {report.run_id}",
        tests=str(sum(len(test.trials) for test in report.unit_tests)),
        failures=str(report.failed),
        errors=str(report.errored),
        skipped=str(report.inconclusive),
        timestamp=report.started_at.isoformat(),
    )
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    if report.unit_tests:
        suites = [suite_of(test, report) for test in report.unit_tests]
        opened = written.removesuffix(b" />") + b">"
        written = b"\n  ".join([opened, *suites]) + b"\n</testsuites>"
    return written + b"\n"


def suite_of(test: TestReport, report: RunReport) -> bytes:
    """Return a unit test's suite, indented as it stands among the others."""
    outcomes = [trial.outcome for trial in test.trials]
    suite = Element(
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
    indent(suite, level=1)
    written: bytes = tostring(suite, encoding="utf-8")
    return written


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
