from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from events.testing import scenarios as facts
from events.testing.references import ReferencesClosed, ReferencesOpened
from events.testing.scenarios import (
    ScenarioCreated,
    ScenarioDeleted,
    ScenarioDetailsChanged,
    ScenarioVersionAdded,
)
from services.testing.common import (
    AlreadyExists,
    Deleted,
    NewerVersion,
    NoSuchVersion,
    Pin,
    version_id,
)
from services.testing.references import StillReferenced
from services.testing.scenarios import (
    AddScenarioVersion,
    ChangeScenarioDetails,
    ConfirmScenarioVersions,
    DeleteScenario,
    InitialMessage,
    UnclearOpening,
)
from tests.given import given
from tests.services.testing.examples import A_SCENARIO, DESK, SCENARIO, a_test


MOMENT = datetime(2031, 5, 6, tzinfo=UTC)
RAIN = InitialMessage(kind="external_event", text="It rains in.", starts_at=MOMENT)
SECOND = AddScenarioVersion(scenario_id=SCENARIO, initial_message=RAIN)


def test_a_scenario_is_created_with_its_first_version() -> None:
    given().when(A_SCENARIO).then(
        ScenarioCreated(scenario_id=SCENARIO, name="A lost book", tags={}),
        ScenarioVersionAdded(
            scenario_id=SCENARIO,
            version_id=version_id(SCENARIO, 1),
            version=1,
            objective="Get the fee for a lost book waived.",
            instructions="Say where you lost it only when asked.",
            initial_message=facts.InitialMessage(
                kind="user_message", text="I lost a book."
            ),
        ),
        ReferencesOpened(target_id=SCENARIO, kind="scenario"),
    )


def test_creating_twice_changes_nothing() -> None:
    given(A_SCENARIO, SECOND).when(A_SCENARIO).then()


def test_another_scenario_with_the_id_is_refused() -> None:
    other = replace(A_SCENARIO, objective="Sleep.")
    given(A_SCENARIO).when(other).then_refused(AlreadyExists)


@pytest.mark.parametrize(
    "opening",
    [
        InitialMessage(kind="user_message"),
        InitialMessage(kind="external_event", text=""),
        InitialMessage(kind="skip", text="Hello."),
    ],
)
def test_an_opening_has_a_text_or_is_skipped(opening: InitialMessage) -> None:
    unclear = replace(A_SCENARIO, initial_message=opening)
    given().when(unclear).then_refused(UnclearOpening, path="$.initial_message.text")


def test_details_change_where_they_differ() -> None:
    change = ChangeScenarioDetails(scenario_id=SCENARIO, tags=["fees"])
    given(A_SCENARIO).when(change).then(
        ScenarioDetailsChanged(
            scenario_id=SCENARIO, name="A lost book", tags={"fees": None}
        )
    ).when(change).then()


def test_a_version_takes_over_what_is_not_given() -> None:
    given(A_SCENARIO).when(SECOND).then(
        ScenarioVersionAdded(
            scenario_id=SCENARIO,
            version_id=version_id(SCENARIO, 2),
            version=2,
            objective="Get the fee for a lost book waived.",
            instructions="Say where you lost it only when asked.",
            initial_message=facts.InitialMessage(
                kind="external_event", text="It rains in.", starts_at=MOMENT
            ),
        )
    ).when(SECOND).then()


def test_a_version_is_refused_where_another_came_first() -> None:
    late = AddScenarioVersion(
        scenario_id=SCENARIO, objective="Sleep.", expected_latest_version=1
    )
    given(A_SCENARIO, SECOND).when(late).then_refused(NewerVersion)


def test_a_scenario_is_deleted_once_and_stays_as_it_was() -> None:
    deletion = DeleteScenario(scenario_id=SCENARIO)
    world = (
        given(A_SCENARIO)
        .when(deletion)
        .then(
            ScenarioDeleted(scenario_id=SCENARIO), ReferencesClosed(target_id=SCENARIO)
        )
    )
    world.when(deletion).then()
    world.when(SECOND).then_refused(Deleted, path="$.scenario_id")


def test_a_scenario_in_use_is_not_deleted() -> None:
    given(*DESK, a_test()).when(DeleteScenario(scenario_id=SCENARIO)).then_refused(
        StillReferenced
    )


def test_only_versions_that_exist_are_confirmed() -> None:
    pins = (Pin(version=2, path="$.here"),)
    confirm = ConfirmScenarioVersions(scenario_id=SCENARIO, pins=pins)
    given(A_SCENARIO).when(confirm).then_refused(NoSuchVersion, path="$.here")
    given(A_SCENARIO, SECOND).when(confirm).then()
