"""The read table `metrics`."""

from projections.testing.metrics import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import (
    METRIC,
    METRIC_CREATED,
    METRIC_DELETED,
    metric_version,
)
from tests.recorded import ACTOR_ID, at


def test_a_new_metric_is_a_row_with_its_bounds() -> None:
    given(PROJECTION, METRIC_CREATED).then(
        {
            "_id": str(METRIC),
            "name": "Polite",
            "value_type": "numeric",
            "minimum": 0.0,
            "maximum": 5.0,
            "categories": [],
            "latest_version": None,
        }
    )


def test_the_definition_is_that_of_the_newest_version() -> None:
    given(PROJECTION, METRIC_CREATED, metric_version(1), metric_version(2)).then(
        {
            "latest_version": 2,
            "latest_version_definition": {"type": "recorded_reward"},
            "updated_at": at(3),
        }
    )


def test_a_deleted_metric_stays_and_says_who_deleted_it() -> None:
    given(PROJECTION, METRIC_CREATED, METRIC_DELETED).then(
        {"is_deleted": True, "deleted_at": at(2), "deleted_by_user_id": ACTOR_ID}
    )
