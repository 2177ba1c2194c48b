from typing import Final
from uuid import UUID

from events.access.common import Grant
from events.access.organisations import OrganisationChanged, OrganisationCreated
from events.errors import Missing
from events.ids import OrganisationId
from services.access.common import AlreadyExists
from services.access.organisations import (
    ChangeOrganisation,
    CreateOrganisation,
    GivenGrant,
    NotThisOrganisation,
    organisation_id,
)
from tests.given import given


ACME: Final = organisation_id("acme")
CREATION: Final = CreateOrganisation(
    organisation_id=ACME,
    name="Acme",
    registration="open",
    default_grants=[
        GivenGrant(area="playgrounds", role="tester"),
        GivenGrant(area="playgrounds", role="tester"),
    ],
)
CREATED: Final = OrganisationCreated(
    organisation_id=ACME,
    name="Acme",
    registration="open",
    default_grants=(Grant(area="playgrounds", role="tester"),),
)


def test_an_organisation_is_created_once() -> None:
    world = given().when(CREATION).then(CREATED).when(CREATION).then()
    other = CreateOrganisation(organisation_id=ACME, name="Other")
    world.when(other).then_refused(AlreadyExists, path="$.organisation_id")


def test_settings_change_where_they_are_given() -> None:
    change = ChangeOrganisation(
        organisation_id=ACME, registration="invited", default_grants=[]
    )
    changed = OrganisationChanged(
        organisation_id=ACME, name="Acme", registration="invited", default_grants=()
    )
    given(CREATED).when(change).then(changed).when(change).then()


def test_what_was_not_created_is_not_changed() -> None:
    change = ChangeOrganisation(organisation_id=ACME, name="Acme")
    given().when(change).then_refused(Missing, path="$.organisation_id")


def test_an_organisation_has_the_id_of_its_own_tokens_only() -> None:
    for other in (organisation_id("museum"), OrganisationId(UUID(int=1))):
        command = CreateOrganisation(organisation_id=other, name="Museum")
        given().when(command).then_refused(
            NotThisOrganisation, path="$.organisation_id"
        )
