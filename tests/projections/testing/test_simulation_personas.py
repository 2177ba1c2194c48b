"""The read table `simulation_personas`."""

from projections.testing.simulation_personas import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import (
    PERSONA,
    PERSONA_CHANGED,
    PERSONA_CREATED,
    PERSONA_DELETED,
    persona_version,
)
from tests.recorded import ACTOR_ID, ORG, REGION, at


def test_a_new_persona_is_a_row_with_its_envelope() -> None:
    given(PROJECTION, PERSONA_CREATED).then(
        {
            "_id": str(PERSONA),
            "name": "Late reader",
            "role": "borrower",
            "tags": {"desk": "loans"},
            "latest_version_background": None,
            "external_id": "p-1",
            "org_id": ORG,
            "region_name": REGION,
            "created_at": at(1),
            "updated_at": at(1),
            "creator_user_id": ACTOR_ID,
            "updated_by_user_id": ACTOR_ID,
            "is_deleted": False,
            "deleted_at": None,
            "deleted_by_user_id": None,
        }
    )


def test_the_background_is_that_of_the_newest_version() -> None:
    given(
        PROJECTION, PERSONA_CREATED, persona_version(1), persona_version(2, "Hurries")
    ).then(
        {
            "latest_version": 2,
            "latest_version_background": "Hurries",
            "created_at": at(1),
            "updated_at": at(3),
        }
    )


def test_changed_details_replace_the_old_ones() -> None:
    given(PROJECTION, PERSONA_CREATED, PERSONA_CHANGED).then(
        {"name": "Later reader", "role": "visitor", "tags": {}, "updated_at": at(2)}
    )


def test_a_deleted_persona_stays_and_says_who_deleted_it() -> None:
    given(PROJECTION, PERSONA_CREATED, PERSONA_DELETED).then(
        {
            "name": "Late reader",
            "is_deleted": True,
            "deleted_at": at(2),
            "deleted_by_user_id": ACTOR_ID,
        }
    )
