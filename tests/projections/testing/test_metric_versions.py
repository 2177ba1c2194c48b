"""The read table `metric_versions`."""

from projections.testing.metric_versions import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import METRIC, identifier, metric_version


def test_a_version_says_how_it_measures() -> None:
    given(PROJECTION, metric_version(1)).then(
        {
            "_id": str(identifier("metric version 1")),
            "metric_id": str(METRIC),
            "version": 1,
            "kind": "text_match",
            "definition": {
                "type": "text_match",
                "mode": "contains",
                "pattern": "please",
                "role": "assistant",
                "ignore_case": True,
            },
        }
    )


def test_every_version_is_a_row_of_its_own() -> None:
    rows = given(PROJECTION, metric_version(1), metric_version(2)).rows()
    assert {row["kind"] for row in rows} == {"text_match", "recorded_reward"}
