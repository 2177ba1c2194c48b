"""The read table `simulation_unit_tests`."""

from msgspec.structs import replace

from projections.testing.simulation_unit_tests import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import (
    AGENT,
    METRIC,
    PERSONA,
    SCENARIO,
    TEST,
    TEST_CHANGED,
    TEST_DELETED,
    unit_test,
)
from tests.recorded import ACTOR_ID, at


def test_a_unit_test_says_who_plays_what_against_whom() -> None:
    given(PROJECTION, unit_test()).then(
        {
            "_id": str(TEST),
            "name": "Renews",
            "description": "One loan",
            "persona_id": str(PERSONA),
            "scenario_id": str(SCENARIO),
            "service_id": str(AGENT),
            "service_version_set_name": "release",
            "max_interactions": 10,
            "success_criterions": [
                {
                    "metric_id": str(METRIC),
                    "operator": ">=",
                    "value": 2.0,
                    "metric_version": None,
                }
            ],
            "created_at": at(1),
        }
    )


def test_a_changed_unit_test_is_now_that() -> None:
    given(PROJECTION, unit_test(), TEST_CHANGED).then(
        {
            "name": "Renews politely",
            "description": "Two loans",
            "service_version_set_name": "candidate",
            "max_interactions": 20,
            "success_criterions": [],
            "updated_at": at(2),
        }
    )


def test_a_deleted_unit_test_stays_and_says_who_deleted_it() -> None:
    given(PROJECTION, unit_test(), TEST_DELETED).then(
        {"is_deleted": True, "deleted_at": at(2), "deleted_by_user_id": ACTOR_ID}
    )


def test_a_unit_test_says_what_its_limit_means() -> None:
    given(PROJECTION, unit_test()).then({"on_limit": "fail"})
    lenient = replace(TEST_CHANGED, on_limit="evaluate")
    given(PROJECTION, unit_test(), lenient).then({"on_limit": "evaluate"})
