"""The reports of runs."""

from typing import Final
from xml.etree import ElementTree as ET

import msgspec
import pytest

from events.errors import Missing
from events.message import Event
from events.testing import set_runs as facts
from events.testing.set_runs import (
    MetricResult,
    Outcome,
    SetRunCancelled,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Slot,
    TrialCounted,
    TrialsReopened,
)
from services.testing.artifacts import RunHistory, RunReport, as_json, as_junit
from services.testing.common import as_fact
from services.testing.set_run_states import live_trial_id
from tests.recorded import at, recorded
from tests.services.testing.examples import METRIC, OTHER_TEST, RUN, SET, TEST, a_spec


STARTED: Final = SetRunRequested(
    run_id=RUN, set_id=SET, origin="live", specs=[], seed=7
)
PINNED: Final = SetRunPinned(
    run_id=RUN,
    set_id=SET,
    specs=[
        as_fact(a_spec(TEST, run_count=2), facts.Spec),
        as_fact(a_spec(OTHER_TEST, run_count=2), facts.Spec),
    ],
)
UNMET: Final = MetricResult(
    metric_id=METRIC,
    metric_version=1,
    name="kind",
    value=False,
    outcome="failed",
    justification='It said "no" & \x07 left.',
    references=[2],
    engine="rules/1",
)
COMPLETED: Final = SetRunCompleted(
    run_id=RUN, passed=1, failed=1, inconclusive=1, errored=1
)


def counted(
    outcome: Outcome, index: int = 0, *, other: bool = False, attempt: int = 1
) -> TrialCounted:
    test = OTHER_TEST if other else TEST
    return TrialCounted(
        run_id=RUN,
        trial_id=live_trial_id(RUN, test, index, attempt),
        unit_test_id=test,
        index=index,
        outcome=outcome,
        failed_metrics=[UNMET] if outcome == "failed" else [],
        error="The policy is away." if outcome == "errored" else None,
        fault="target" if outcome == "errored" else None,
    )


WHOLE: Final[tuple[Event, ...]] = (
    STARTED,
    PINNED,
    counted("errored", 1, other=True),
    counted("passed"),
    counted("failed", 1),
    counted("inconclusive", other=True),
    COMPLETED,
)


def report(*history: Event) -> RunReport:
    told = RunHistory()
    for each in recorded(*history):
        told.add(each)
    return told.report()


def test_a_report_tells_every_trial_in_the_order_of_the_specs() -> None:
    told = report(*WHOLE)
    assert [
        (test.spec.unit_test_id, trial.index, trial.outcome)
        for test in told.unit_tests
        for trial in test.trials
    ] == [
        (TEST, 0, "passed"),
        (TEST, 1, "failed"),
        (OTHER_TEST, 0, "inconclusive"),
        (OTHER_TEST, 1, "errored"),
    ]
    assert (told.status, told.started_at, told.ended_at) == ("completed", at(1), at(7))
    assert (told.passed, told.failed, told.inconclusive, told.errored) == (1, 1, 1, 1)


def test_the_last_attempt_of_a_trial_is_told() -> None:
    slot = Slot(
        unit_test_id=OTHER_TEST,
        index=1,
        attempt=2,
        replaces=live_trial_id(RUN, OTHER_TEST, 1, 1),
    )
    reopened = TrialsReopened(run_id=RUN, slots=[slot])
    assert report(*WHOLE, reopened).status == "running"
    told = report(
        *WHOLE, reopened, counted("passed", 1, other=True, attempt=2), COMPLETED
    )
    assert (told.passed, told.errored, told.status) == (2, 0, "completed")


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (SetRunCancelled(run_id=RUN, reason="Wrong set"), "cancelled"),
        (SetRunFailed(run_id=RUN, reason="No unit test"), "failed"),
    ],
)
def test_a_run_that_ended_early_has_a_report(end: Event, status: str) -> None:
    told = report(STARTED, end)
    assert (told.status, told.unit_tests) == (status, [])


def test_json_holds_the_whole_report() -> None:
    told = report(*WHOLE)
    assert msgspec.json.decode(as_json(told), type=RunReport) == told


def test_junit_tells_failures_errors_and_what_was_not_judged_apart() -> None:
    root = ET.fromstring(as_junit(report(*WHOLE)))  # noqa: S314 - our own report
    assert {
        name: root.attrib[name] for name in ("tests", "failures", "errors", "skipped")
    } == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    cases = [
        [part.tag for part in case if part.tag != "system-out"]
        for case in root.iter("testcase")
    ]
    assert cases == [[], ["failure"], ["skipped"], ["error"]]
    (error,) = root.iter("error")
    assert error.attrib == {"message": "The policy is away.", "type": "target"}


def test_junit_is_laid_out_as_one_document() -> None:
    for history in (WHOLE, (STARTED,)):
        written = as_junit(report(*history))
        root = ET.fromstring(written)  # noqa: S314 - our own report
        ET.indent(root)
        again = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        assert written == again + b"\n"


def test_junit_holds_no_character_that_xml_cannot() -> None:
    written = as_junit(report(*WHOLE))
    (failure,) = ET.fromstring(written).iter("failure")  # noqa: S314 - our own report
    assert failure.attrib["message"] == 'kind: It said "no" & \ufffd left.'


def test_a_limit_is_told_where_every_criterion_was_met() -> None:
    limited = msgspec.structs.replace(counted("failed"), failed_metrics=[])
    root = ET.fromstring(  # noqa: S314 - our own report
        as_junit(report(STARTED, PINNED, limited))
    )
    (failure,) = root.iter("failure")
    assert failure.attrib["message"] == "The interactions were used up."


def test_only_a_run_has_a_report() -> None:
    with pytest.raises(Missing):
        report(PINNED)
