"""The read table `agents`."""

from projections.testing.agents import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import (
    AGENT,
    AGENT_REGISTERED,
    AGENT_RETIRED,
    agent_version,
    assigned,
)
from tests.recorded import ACTOR_ID, at


def test_a_registered_agent_is_a_row() -> None:
    given(PROJECTION, AGENT_REGISTERED).then(
        {
            "_id": str(AGENT),
            "name": "Desk",
            "description": "Answers at the desk",
            "latest_version": None,
            "is_retired": False,
            "created_at": at(1),
        }
    )


def test_the_latest_version_follows_the_configurations() -> None:
    given(PROJECTION, AGENT_REGISTERED, agent_version(1), agent_version(2)).then(
        {"latest_version": 2, "latest_version_kind": "http", "updated_at": at(3)}
    )


def test_assigning_a_version_set_updates_the_agent() -> None:
    given(PROJECTION, AGENT_REGISTERED, assigned("release", 1)).then(
        {"updated_at": at(2)}
    )


def test_a_retired_agent_stays_and_says_who_retired_it() -> None:
    given(PROJECTION, AGENT_REGISTERED, AGENT_RETIRED).then(
        {"is_retired": True, "retired_at": at(2), "retired_by_user_id": ACTOR_ID}
    )
