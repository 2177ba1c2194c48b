"""The read table `set_run_artifacts`."""

from projections.testing.set_run_artifacts import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import ARTIFACT, ARTIFACT_GENERATED, RUN
from tests.recorded import at


def test_an_artifact_is_a_row_that_names_its_content() -> None:
    given(PROJECTION, ARTIFACT_GENERATED).then(
        {
            "run_id": str(RUN),
            "artifact_id": str(ARTIFACT),
            "name": "results.json",
            "media_type": "application/json",
            "sha256": "ab" * 32,
            "size": 5_000_000_000,
            "position": 1,
            "created_at": at(1),
        }
    )
