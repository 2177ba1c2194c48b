"""The read table `simulation_persona_versions`."""

from projections.testing.simulation_persona_versions import PROJECTION
from tests.given_rows import given
from tests.projections.testing.story import PERSONA, identifier, persona_version
from tests.recorded import ORG, REGION, at


def test_every_version_is_a_row_of_its_own() -> None:
    first, second = persona_version(1), persona_version(2, "Hurries")
    rows = given(PROJECTION, first, second).rows()
    assert {row["version"]: row["background"] for row in rows} == {
        1: "Reads a lot",
        2: "Hurries",
    }


def test_a_version_says_whose_it_is_and_when_it_came() -> None:
    given(PROJECTION, persona_version(1)).then(
        {
            "_id": str(identifier("persona version 1")),
            "simulation_persona_id": str(PERSONA),
            "preferred_language": "en",
            "timezone": "Europe/Lisbon",
            "org_id": ORG,
            "region_name": REGION,
            "created_at": at(1),
            "updated_at": at(1),
        }
    )
