"""The read table `trials`."""

from msgspec.structs import replace

from events.message import ERASED
from events.testing.trials import TrialStarted
from projections.testing.trials import PROJECTION
from tests.given_rows import Given, given
from tests.projections.testing.story import (
    ERASED_SUBJECT,
    RUN,
    SUBJECT,
    TEST,
    TRIAL,
    TRIAL_REOPENED,
    called,
    ended,
    finished,
    returned,
    said,
    started,
)
from tests.recorded import at, recorded


def test_a_started_trial_has_no_verdict() -> None:
    given(PROJECTION, started()).then(
        {
            "_id": str(TRIAL),
            "run_id": str(RUN),
            "unit_test_id": str(TEST),
            "index": 0,
            "outcome": None,
            "metric_results": None,
            "failed_metrics": None,
            "entries": 0,
            "end_reason": None,
            "external_id": "t-1",
            "created_at": at(1),
        }
    )


def test_a_trial_counts_its_entries_as_they_come() -> None:
    given(
        PROJECTION, started(), said(1, "Hi"), called(2, "{}"), returned(3, "ok")
    ).then({"entries": 3, "updated_at": at(4)})


def test_an_ended_conversation_says_why() -> None:
    given(PROJECTION, started(), ended(0)).then(
        {"end_reason": "agent_stop", "ended_at": at(2), "outcome": None}
    )


def test_a_finished_trial_has_its_verdict_and_reward() -> None:
    (row,) = given(PROJECTION, started(), ended(0), finished("passed")).rows()
    assert (row["outcome"], row["reward"]) == ("passed", 1.0)
    assert row["judged_at"] == at(3)
    assert row["failed_metrics"] is None


def test_failed_metrics_are_those_of_the_results_that_failed() -> None:
    (row,) = given(PROJECTION, started(), finished("failed")).rows()
    results, failed = row["metric_results"], row["failed_metrics"]
    assert isinstance(results, list)
    assert isinstance(failed, list)
    assert [each["outcome"] for each in results] == ["passed", "failed"]
    assert failed == results[1:]


def test_other_worlds_conversations_are_not_trials() -> None:
    (start,) = recorded(started())
    elsewhere = recorded(
        said(1, "Hi"), ended(1), after=1, stream_id="education.playthrough-1"
    )
    Given(PROJECTION, [start, *elsewhere]).then({"entries": 0, "end_reason": None})


def test_a_live_trial_says_which_attempt_it_is_and_whose_fault_it_was() -> None:
    start = started()
    assert isinstance(start, TrialStarted)
    broken = replace(finished("errored"), error="No policy.", fault="target", attempt=1)
    given(PROJECTION, replace(start, attempt=1), broken).then(
        {"attempt": 1, "fault": "target", "error": "No policy.", "retried": False}
    )


def test_a_trial_that_is_held_again_is_marked_so() -> None:
    given(PROJECTION, started(), finished("errored"), TRIAL_REOPENED).then(
        {"retried": True, "updated_at": at(3)}
    )


def test_why_a_trial_broke_off_is_gone_with_whose_it_was() -> None:
    broken = replace(finished("errored"), error="Ana hung up", subject_id=SUBJECT)
    given(PROJECTION, started(), broken).then({"error": "Ana hung up"})
    told = replace(broken, error=ERASED)
    before = given(PROJECTION, started(), broken, ERASED_SUBJECT)
    before.then({"error": ERASED})
    assert given(PROJECTION, started(), told, ERASED_SUBJECT).rows() == before.rows()
    whole = replace(finished("passed"), subject_id=SUBJECT)
    given(PROJECTION, started(), whole, ERASED_SUBJECT).then({"error": None})
    ours = recorded(started(), broken)
    theirs = recorded(ERASED_SUBJECT, after=2, org_id="elsewhere")
    Given(PROJECTION, [*ours, *theirs]).then({"error": "Ana hung up"})
