from typing import Literal

import pytest
from msgspec.structs import replace

from events.testing import agents as facts
from events.testing.agents import (
    AgentConfigured,
    AgentRegistered,
    AgentRetired,
    VersionSetAssigned,
)
from events.testing.references import ReferencesClosed, ReferencesOpened
from services.testing.agents import (
    AssignVersionSet,
    ConfigureAgent,
    Connection,
    RetireAgent,
    Unreachable,
)
from services.testing.common import (
    AlreadyExists,
    Deleted,
    NewerVersion,
    NoSuchVersion,
    version_id,
)
from services.testing.references import StillReferenced
from tests.given import given
from tests.services.testing.examples import AGENT, AN_AGENT, DESK, a_test


KEPT_AS = "desk"
OVER_HTTP = Connection(
    kind="http", endpoint="https://desk.example/talk", secret_ref=KEPT_AS
)
SECOND = ConfigureAgent(agent_id=AGENT, connection=OVER_HTTP)
CANARY = AssignVersionSet(agent_id=AGENT, name="canary", version=2)

Kind = Literal["recorded", "http", "sse", "websocket", "openai", "python", "rules"]


def test_an_agent_is_registered_with_a_release() -> None:
    given().when(AN_AGENT).then(
        AgentRegistered(agent_id=AGENT, name="Desk", description="", tags={}),
        AgentConfigured(
            agent_id=AGENT,
            version_id=version_id(AGENT, 1),
            version=1,
            connection=facts.Connection(kind="recorded"),
        ),
        VersionSetAssigned(agent_id=AGENT, name="release", version=1),
        ReferencesOpened(target_id=AGENT, kind="agent"),
    )


def test_registering_twice_changes_nothing() -> None:
    given(AN_AGENT, SECOND, CANARY).when(AN_AGENT).then()


def test_another_agent_with_the_id_is_refused() -> None:
    given(AN_AGENT).when(replace(AN_AGENT, name="Door")).then_refused(AlreadyExists)


def test_a_configuration_that_differs_is_added() -> None:
    given(AN_AGENT).when(SECOND).then(
        AgentConfigured(
            agent_id=AGENT,
            version_id=version_id(AGENT, 2),
            version=2,
            connection=facts.Connection(
                kind="http",
                endpoint="https://desk.example/talk",
                secret_ref=KEPT_AS,
            ),
        )
    ).when(SECOND).then()


def test_a_configuration_is_refused_where_another_came_first() -> None:
    late = ConfigureAgent(
        agent_id=AGENT,
        connection=Connection(kind="rules"),
        expected_latest_version=1,
    )
    given(AN_AGENT, SECOND).when(late).then_refused(NewerVersion)


@pytest.mark.parametrize(
    ("kind", "endpoint"),
    [
        ("http", None),
        ("http", "ftp://desk.example"),
        ("sse", "https://"),
        ("openai", "http://[broken"),
        ("http", "https://ada:secret@desk.example"),
        ("websocket", "https://desk.example"),
        ("python", "desk.agent"),
        ("python", "desk.agent:1st"),
        ("recorded", "https://desk.example"),
    ],
)
def test_an_endpoint_suits_the_connection(kind: Kind, endpoint: str | None) -> None:
    connection = Connection(kind=kind, endpoint=endpoint)
    given().when(replace(AN_AGENT, connection=connection)).then_refused(
        Unreachable, path="$.connection.endpoint"
    )


@pytest.mark.parametrize(
    ("kind", "endpoint"),
    [
        ("openai", "http://127.0.0.1:8000/v1"),
        ("websocket", "wss://desk.example"),
        ("python", "desk.agent:Desk.answer"),
        ("rules", None),
    ],
)
def test_an_agent_may_be_reached_in_many_ways(kind: Kind, endpoint: str | None) -> None:
    connection = Connection(kind=kind, endpoint=endpoint)
    assert given().when(replace(AN_AGENT, connection=connection)).failure is None


def test_a_version_set_points_to_a_configuration_that_exists() -> None:
    given(AN_AGENT).when(CANARY).then_refused(NoSuchVersion, path="$.version")
    given(AN_AGENT, SECOND).when(CANARY).then(
        VersionSetAssigned(agent_id=AGENT, name="canary", version=2)
    ).when(CANARY).then()


def test_an_agent_is_retired_once_and_stays_as_it_was() -> None:
    retirement = RetireAgent(agent_id=AGENT)
    world = (
        given(AN_AGENT)
        .when(retirement)
        .then(AgentRetired(agent_id=AGENT), ReferencesClosed(target_id=AGENT))
    )
    world.when(retirement).then()
    world.when(SECOND).then_refused(Deleted, path="$.agent_id")


def test_an_agent_in_use_is_not_retired() -> None:
    given(*DESK, a_test()).when(RetireAgent(agent_id=AGENT)).then_refused(
        StillReferenced
    )
