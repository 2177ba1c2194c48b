"""The read table `simulation_unit_test_set_runs`."""

from projections.testing.simulation_unit_test_set_runs import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import (
    ARTIFACT_GENERATED,
    OTHER_TEST,
    RUN,
    RUN_CANCELLED,
    RUN_COMPLETED,
    RUN_FAILED,
    SET,
    TEST,
    TRIAL_REOPENED,
    counted,
    live,
    pinned,
    requested,
)
from tests.recorded import ACTOR_ID, at


def test_a_run_keeps_what_was_pinned_when_it_started() -> None:
    (row,) = given(PROJECTION, requested()).rows()
    specs = row["unit_test_run_specs"]
    assert isinstance(specs, list)
    assert [
        (each["unit_test_id"], each["persona_version"], each["service_version"])
        for each in specs
    ] == [(str(TEST), 1, 1), (str(OTHER_TEST), 1, 1)]
    assert specs[0]["success_criterions"][0]["operator"] == ">="


def test_a_run_starts_unharmed() -> None:
    given(PROJECTION, requested()).then(
        {
            "_id": str(RUN),
            "simulation_unit_test_set_id": str(SET),
            "origin": "imported",
            "status": "running",
            "errored": False,
            "trial_count": 3,
            "seed": 2**63 - 1,
            "ended_at": None,
            "creator_user_id": ACTOR_ID,
            "created_at": at(1),
        }
    )


def test_a_failed_trial_does_not_make_a_run_errored() -> None:
    given(PROJECTION, requested(), counted("failed")).then(
        {"errored": False, "updated_at": at(2)}
    )


def test_a_trial_that_broke_off_makes_a_run_errored() -> None:
    given(PROJECTION, requested(), counted("errored"), counted("passed", index=1)).then(
        {"errored": True, "updated_at": at(3)}
    )


def test_a_completed_run_says_when_it_ended() -> None:
    given(PROJECTION, requested(), RUN_COMPLETED).then(
        {"status": "completed", "ended_at": at(2), "cancel_reason": None}
    )


def test_a_cancelled_run_says_why() -> None:
    given(PROJECTION, requested(), RUN_CANCELLED).then(
        {"status": "cancelled", "ended_at": at(2), "cancel_reason": "Too slow"}
    )


def test_an_artifact_updates_the_run() -> None:
    given(PROJECTION, requested(), RUN_COMPLETED, ARTIFACT_GENERATED).then(
        {"status": "completed", "ended_at": at(2), "updated_at": at(3)}
    )


def test_a_live_run_waits_to_be_pinned() -> None:
    given(PROJECTION, live()).then(
        {
            "origin": "live",
            "status": "pinning",
            "trial_count": 0,
            "unit_test_run_specs": [],
            "concurrency": 8,
        }
    )


def test_a_pinned_run_shows_what_it_tests() -> None:
    (row,) = given(PROJECTION, live(), pinned()).rows()
    specs = row["unit_test_run_specs"]
    assert isinstance(specs, list)
    assert [each["unit_test_id"] for each in specs] == [str(TEST), str(OTHER_TEST)]
    assert (row["status"], row["trial_count"]) == ("running", 3)


def test_a_run_that_could_not_be_pinned_says_why() -> None:
    given(PROJECTION, live(), RUN_FAILED).then(
        {
            "status": "failed",
            "errored": True,
            "error": "The set has no unit test.",
            "ended_at": at(2),
        }
    )


def test_a_run_whose_trials_are_held_again_goes_on_unharmed() -> None:
    given(
        PROJECTION, live(), pinned(), counted("errored"), RUN_COMPLETED, TRIAL_REOPENED
    ).then({"status": "running", "errored": False, "ended_at": None})
