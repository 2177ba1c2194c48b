"""The read table `set_run_history`."""

from projections.testing.set_run_history import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import (
    LATER_RUN,
    OTHER_TEST,
    RUN,
    SET,
    TEST,
    TRIAL_REOPENED,
    counted,
    live,
    pinned,
    requested,
)
from tests.recorded import ORG, at


def test_a_run_has_a_row_for_each_unit_test() -> None:
    rows = given(PROJECTION, requested()).rows()
    assert {row["unit_test_id"]: row["ordinal"] for row in rows} == {
        str(TEST): 1,
        str(OTHER_TEST): 2,
    }
    assert {row["run_id"] for row in rows} == {str(RUN)}
    assert {row["set_id"] for row in rows} == {str(SET)}
    assert {row["org_id"] for row in rows} == {ORG}
    assert {row["started_at"] for row in rows} == {at(1)}


def test_trials_add_up_by_outcome() -> None:
    rows = given(
        PROJECTION,
        requested(),
        counted("passed"),
        counted("failed", index=1),
        counted("passed", index=2),
    ).rows()
    (row,) = [row for row in rows if row["unit_test_id"] == str(TEST)]
    assert (row["passed"], row["failed"]) == (2, 1)
    assert (row["inconclusive"], row["errored"]) == (0, 0)


def test_runs_are_counted_apart() -> None:
    rows = given(
        PROJECTION, requested(), requested(LATER_RUN), counted("passed", run=LATER_RUN)
    ).rows()
    assert {
        row["run_id"]: row["passed"] for row in rows if row["unit_test_id"] == str(TEST)
    } == {str(RUN): 0, str(LATER_RUN): 1}


def test_a_live_run_has_its_rows_once_it_is_pinned() -> None:
    assert not given(PROJECTION, live()).rows()
    rows = given(PROJECTION, live(), pinned()).rows()
    assert [(row["name"], row["started_at"]) for row in rows] == [
        ("Renews", at(2)),
        ("Returns", at(2)),
    ]


def test_what_is_held_again_does_not_count_as_errored() -> None:
    rows = given(
        PROJECTION, live(), pinned(), counted("errored"), TRIAL_REOPENED
    ).rows()
    assert [row["errored"] for row in rows] == [0, 0]
