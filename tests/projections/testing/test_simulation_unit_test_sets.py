"""The read table `simulation_unit_test_sets`."""

from projections.testing.simulation_unit_test_sets import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import (
    OTHER_TEST,
    SET,
    SET_CHANGED,
    SET_CREATED,
    SET_DELETED,
    TEST,
)
from tests.recorded import ACTOR_ID, at


def test_a_set_keeps_the_order_of_its_unit_tests() -> None:
    given(PROJECTION, SET_CREATED).then(
        {
            "_id": str(SET),
            "name": "Nightly",
            "description": "Every night",
            "unit_tests": [
                {"unit_test_id": str(TEST), "run_count": 2},
                {"unit_test_id": str(OTHER_TEST), "run_count": 1},
            ],
            "tags": {"when": "night"},
        }
    )


def test_a_changed_set_is_now_that() -> None:
    given(PROJECTION, SET_CREATED, SET_CHANGED).then(
        {
            "name": "Weekly",
            "description": "Every week",
            "unit_tests": [{"unit_test_id": str(TEST), "run_count": 1}],
            "tags": {},
            "updated_at": at(2),
        }
    )


def test_a_deleted_set_stays_and_says_who_deleted_it() -> None:
    given(PROJECTION, SET_CREATED, SET_DELETED).then(
        {"is_deleted": True, "deleted_at": at(2), "deleted_by_user_id": ACTOR_ID}
    )
