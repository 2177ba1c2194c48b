"""The read table `simulation_scenario_versions`."""

from projections.testing.simulation_scenario_versions import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import SCENARIO, identifier, scenario_version
from tests.recorded import at


def test_every_version_is_a_row_of_its_own() -> None:
    rows = given(PROJECTION, scenario_version(1), scenario_version(2, "Return")).rows()
    assert {row["version"]: row["objective"] for row in rows} == {
        1: "Keep the book",
        2: "Return",
    }


def test_a_version_says_how_the_conversation_opens() -> None:
    given(PROJECTION, scenario_version(1)).then(
        {
            "_id": str(identifier("scenario version 1")),
            "simulation_scenario_id": str(SCENARIO),
            "instructions": "Ask to renew",
            "initial_message_config": {
                "kind": "user_message",
                "text": "Hello",
                "starts_at": None,
            },
            "created_at": at(1),
        }
    )
