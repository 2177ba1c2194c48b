"""The read table `agent_version_sets`."""

from projections.testing.agent_version_sets import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import AGENT, assigned
from tests.recorded import ACTOR_ID, at


def test_a_version_set_names_the_version_last_assigned() -> None:
    given(PROJECTION, assigned("release", 1), assigned("release", 2)).then(
        {
            "agent_id": str(AGENT),
            "name": "release",
            "version": 2,
            "assigned_at": at(2),
            "assigned_by_user_id": ACTOR_ID,
        }
    )


def test_version_sets_of_one_agent_do_not_disturb_each_other() -> None:
    given(PROJECTION, assigned("release", 1), assigned("candidate", 2)).then(
        {"name": "candidate", "version": 2}, {"name": "release", "version": 1}
    )
