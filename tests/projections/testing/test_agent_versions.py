"""The read table `agent_versions`."""

from projections.testing.agent_versions import PROJECTION, TABLE
from tests.given_rows import given
from tests.projections.testing.story import AGENT, agent_version, identifier


def test_every_configuration_is_a_row_of_its_own() -> None:
    rows = given(PROJECTION, agent_version(1), agent_version(2)).rows()
    assert {row["version"] for row in rows} == {1, 2}


def test_a_configuration_says_how_the_agent_is_reached() -> None:
    given(PROJECTION, agent_version(1)).then(
        {
            "_id": str(identifier("agent version 1")),
            "agent_id": str(AGENT),
            "kind": "http",
            "endpoint": "https://desk.example/turn",
            "secret_ref": "desk-key",
            "settings": {"timeout": "10"},
        }
    )


def test_only_administrators_see_secrets_names_and_settings() -> None:
    hidden = {column.name: column.visible for column in TABLE.columns if column.visible}
    assert hidden == {
        "secret_ref": "access.has_role('testing', 'admin')",
        "settings": "access.has_role('testing', 'admin')",
    }
