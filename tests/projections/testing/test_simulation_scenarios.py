"""The read table `simulation_scenarios`."""

from projections.testing.simulation_scenarios import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import (
    SCENARIO,
    SCENARIO_CHANGED,
    SCENARIO_CREATED,
    SCENARIO_DELETED,
    scenario_version,
)
from tests.recorded import ACTOR_ID, ORG, at


def test_a_new_scenario_is_a_row_with_its_envelope() -> None:
    given(PROJECTION, SCENARIO_CREATED).then(
        {
            "_id": str(SCENARIO),
            "name": "Renew a loan",
            "tags": {"loans": None},
            "external_id": "s-1",
            "org_id": ORG,
            "created_at": at(1),
            "creator_user_id": ACTOR_ID,
            "is_deleted": False,
        }
    )


def test_objective_and_instructions_are_those_of_the_newest_version() -> None:
    given(
        PROJECTION, SCENARIO_CREATED, scenario_version(1), scenario_version(2, "Return")
    ).then(
        {
            "latest_version": 2,
            "latest_version_objective": "Return",
            "latest_version_instructions": "Ask to renew",
            "updated_at": at(3),
        }
    )


def test_changed_details_replace_the_old_ones() -> None:
    given(PROJECTION, SCENARIO_CREATED, SCENARIO_CHANGED).then(
        {"name": "Renew two loans", "tags": {}, "updated_at": at(2)}
    )


def test_a_deleted_scenario_stays_and_says_who_deleted_it() -> None:
    given(PROJECTION, SCENARIO_CREATED, SCENARIO_DELETED).then(
        {"is_deleted": True, "deleted_at": at(2), "deleted_by_user_id": ACTOR_ID}
    )
