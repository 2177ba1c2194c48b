import pytest
from msgspec.structs import replace

from events.errors import Missing
from events.ids import PersonaId
from events.testing.personas import (
    PersonaCreated,
    PersonaDeleted,
    PersonaDetailsChanged,
    PersonaVersionAdded,
)
from events.testing.references import ReferencesClosed, ReferencesOpened
from services.testing.common import (
    AlreadyExists,
    Deleted,
    NewerVersion,
    NoSuchVersion,
    Pin,
    version_id,
)
from services.testing.personas import (
    AddPersonaVersion,
    ChangePersonaDetails,
    ConfirmPersonaVersions,
    DeletePersona,
)
from services.testing.references import IdTaken, StillReferenced
from tests.given import given
from tests.services.testing.examples import (
    A_PERSONA,
    A_SCENARIO,
    DESK,
    PERSONA,
    SCENARIO,
    TEST,
    a_test,
)


SECOND = AddPersonaVersion(persona_id=PERSONA, background="Was burgled.")
A_SECOND_VERSION = PersonaVersionAdded(
    persona_id=PERSONA,
    version_id=version_id(PERSONA, 2),
    version=2,
    background="Was burgled.",
    preferred_language="en",
    timezone="Europe/Berlin",
)


def test_a_persona_is_created_with_its_first_version() -> None:
    given().when(A_PERSONA).then(
        PersonaCreated(
            persona_id=PERSONA, name="Mira", role="reader", tags={"patient": None}
        ),
        PersonaVersionAdded(
            persona_id=PERSONA,
            version_id=version_id(PERSONA, 1),
            version=1,
            background="Returns books late and is sorry about it.",
            preferred_language="en",
            timezone="Europe/Berlin",
        ),
        ReferencesOpened(target_id=PERSONA, kind="persona"),
    )


def test_creating_twice_changes_nothing_even_after_changes() -> None:
    given(A_PERSONA, SECOND).when(A_PERSONA).then()


def test_another_persona_with_the_id_is_refused() -> None:
    given(A_PERSONA).when(replace(A_PERSONA, name="Noor")).then_refused(
        AlreadyExists, path="$.persona_id"
    )


def test_an_id_belongs_to_one_kind_of_thing() -> None:
    taken = replace(A_PERSONA, persona_id=PersonaId(SCENARIO))
    given(A_SCENARIO).when(taken).then_refused(IdTaken, saying="a scenario")


def test_details_change_where_they_differ() -> None:
    given(A_PERSONA).when(
        ChangePersonaDetails(persona_id=PERSONA, role="visitor", tags={"age": "30"})
    ).then(
        PersonaDetailsChanged(
            persona_id=PERSONA, name="Mira", role="visitor", tags={"age": "30"}
        )
    )
    given(A_PERSONA).when(
        ChangePersonaDetails(persona_id=PERSONA, name="Mira", tags=["patient"])
    ).then()


def test_a_version_takes_over_what_is_not_given() -> None:
    given(A_PERSONA).when(SECOND).then(A_SECOND_VERSION)


def test_adding_the_newest_version_again_changes_nothing() -> None:
    retry = replace(SECOND, expected_latest_version=1)
    given(A_PERSONA, SECOND).when(retry).then()


def test_a_version_is_refused_where_another_came_first() -> None:
    late = AddPersonaVersion(
        persona_id=PERSONA, background="Moved.", expected_latest_version=1
    )
    given(A_PERSONA, SECOND).when(late).then_refused(
        NewerVersion, path="$.expected_latest_version", saying="is 2, not 1"
    )


def test_a_persona_is_deleted_once() -> None:
    deletion = DeletePersona(persona_id=PERSONA)
    given(A_PERSONA).when(deletion).then(
        PersonaDeleted(persona_id=PERSONA), ReferencesClosed(target_id=PERSONA)
    ).when(deletion).then()


def test_a_persona_in_use_is_not_deleted() -> None:
    given(*DESK, a_test()).when(DeletePersona(persona_id=PERSONA)).then_refused(
        StillReferenced, path="$.persona_id", saying=f"unit_test:{TEST}"
    )


@pytest.mark.parametrize(
    "command",
    [SECOND, ChangePersonaDetails(persona_id=PERSONA, name="Noor"), A_PERSONA],
)
def test_a_deleted_persona_stays_as_it_was(
    command: AddPersonaVersion | ChangePersonaDetails,
) -> None:
    given(A_PERSONA, DeletePersona(persona_id=PERSONA)).when(command).then_refused(
        Deleted, path="$.persona_id"
    )


@pytest.mark.parametrize("command", [SECOND, DeletePersona(persona_id=PERSONA)])
def test_a_persona_that_never_was_is_missing(
    command: AddPersonaVersion | DeletePersona,
) -> None:
    given().when(command).then_refused(Missing, path="$.persona_id")


def test_only_versions_that_exist_are_confirmed() -> None:
    pins = (Pin(version=1, path="$.a"), Pin(version=2, path="$.b"))
    confirm = ConfirmPersonaVersions(persona_id=PERSONA, pins=pins)
    given(A_PERSONA).when(confirm).then_refused(NoSuchVersion, path="$.b")
    given(A_PERSONA, SECOND).when(confirm).then()
