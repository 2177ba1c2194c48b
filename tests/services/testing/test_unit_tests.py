from uuid import UUID

import pytest
from msgspec.structs import replace

from events.errors import Missing
from events.ids import MetricId, PersonaId, ScenarioId
from events.testing import unit_tests as facts
from events.testing.references import (
    ReferenceAdded,
    ReferenceDropped,
    ReferencesClosed,
    ReferencesOpened,
)
from events.testing.unit_tests import (
    UnitTestChanged,
    UnitTestCreated,
    UnitTestDeleted,
)
from services.testing.agents import NoSuchVersionSet
from services.testing.common import AlreadyExists, Deleted, NoSuchVersion
from services.testing.metrics import CreateMetric, CriterionDoesNotFit, RecordedReward
from services.testing.personas import DeletePersona
from services.testing.references import NoSuchTarget, StillReferenced
from services.testing.unit_tests import (
    ChangeUnitTest,
    CreateUnitTest,
    Criterion,
    DeleteUnitTest,
)
from tests.given import given
from tests.services.testing.examples import (
    A_METRIC,
    A_PERSONA,
    AGENT,
    DESK,
    METRIC,
    PERSONA,
    SCENARIO,
    TEST,
    a_set,
    a_test,
)


BY = f"unit_test:{TEST}"
OTHER_PERSONA = PersonaId(UUID(int=11))
OTHER_METRIC = MetricId(UUID(int=13))
NOOR = replace(A_PERSONA, persona_id=OTHER_PERSONA, name="Noor")
MOOD = CreateMetric(
    metric_id=OTHER_METRIC,
    name="mood",
    value_type="categorical",
    categories=["calm", "angry"],
    definition=RecordedReward(),
)
CRITERION = facts.Criterion(metric_id=METRIC, operator="==", value=True)


def test_a_unit_test_is_created_with_its_references() -> None:
    given(*DESK).when(a_test()).then(
        UnitTestCreated(
            unit_test_id=TEST,
            name="The fee is waived",
            description="",
            persona_id=PERSONA,
            scenario_id=SCENARIO,
            service_id=AGENT,
            service_version_set_name="release",
            max_interactions=30,
            success_criterions=[CRITERION],
            tags={},
        ),
        ReferencesOpened(target_id=TEST, kind="unit_test"),
        ReferenceAdded(target_id=PERSONA, by=BY),
        ReferenceAdded(target_id=SCENARIO, by=BY),
        ReferenceAdded(target_id=AGENT, by=BY),
        ReferenceAdded(target_id=METRIC, by=BY),
    )


def test_creating_twice_changes_nothing() -> None:
    given(*DESK, a_test()).when(a_test()).then()


def test_another_unit_test_with_the_id_is_refused() -> None:
    other = replace(a_test(), max_interactions=3)
    given(*DESK, a_test()).when(other).then_refused(AlreadyExists)


@pytest.mark.parametrize(
    ("missing", "path"),
    [
        (0, "$.persona_id"),
        (1, "$.scenario_id"),
        (2, "$.success_criterions[0].metric_id"),
        (3, "$.service_id"),
    ],
)
def test_what_a_unit_test_needs_must_exist(missing: int, path: str) -> None:
    rest = [command for place, command in enumerate(DESK) if place != missing]
    given(*rest).when(a_test()).then_refused(NoSuchTarget, path=path)


def test_what_a_unit_test_needs_must_not_be_deleted() -> None:
    given(*DESK, DeletePersona(persona_id=PERSONA)).when(a_test()).then_refused(
        Deleted, path="$.persona_id"
    )


def test_an_id_of_another_kind_is_missing() -> None:
    confused = replace(a_test(), scenario_id=ScenarioId(PERSONA))
    given(*DESK).when(confused).then_refused(NoSuchTarget, path="$.scenario_id")


def test_the_version_set_must_exist() -> None:
    command = replace(a_test(), service_version_set_name="canary")
    given(*DESK).when(command).then_refused(
        NoSuchVersionSet, path="$.service_version_set_name"
    )


@pytest.mark.parametrize(
    ("metric", "command", "path"),
    [
        (A_METRIC, a_test(operator=">"), "operator"),
        (A_METRIC, a_test(value=1.0), "value"),
        (A_METRIC, a_test(value="yes"), "value"),
        (replace(A_METRIC, value_type="numeric"), a_test(value=True), "value"),
        (replace(MOOD, metric_id=METRIC), a_test(value="sad"), "value"),
        (
            replace(MOOD, metric_id=METRIC),
            a_test(value="calm", operator="<"),
            "operator",
        ),
    ],
)
def test_a_criterion_fits_the_metric(
    metric: CreateMetric, command: CreateUnitTest, path: str
) -> None:
    desk = [metric if asked is A_METRIC else asked for asked in DESK]
    given(*desk).when(command).then_refused(
        CriterionDoesNotFit, path=f"$.success_criterions[0].{path}"
    )


def test_a_criterion_names_a_version_that_exists() -> None:
    given(*DESK).when(a_test(version=2)).then_refused(
        NoSuchVersion, path="$.success_criterions[0].metric_version"
    )


def test_a_change_moves_the_references() -> None:
    change = ChangeUnitTest(
        unit_test_id=TEST,
        name="The fee stays",
        persona_id=OTHER_PERSONA,
        success_criterions=[
            Criterion(metric_id=OTHER_METRIC, operator="!=", value="angry"),
            Criterion(metric_id=OTHER_METRIC, operator="==", value="calm"),
        ],
    )
    given(*DESK, NOOR, MOOD, a_test()).when(change).then(
        UnitTestChanged(
            unit_test_id=TEST,
            name="The fee stays",
            description="",
            persona_id=OTHER_PERSONA,
            scenario_id=SCENARIO,
            service_id=AGENT,
            service_version_set_name="release",
            max_interactions=30,
            success_criterions=[
                facts.Criterion(metric_id=OTHER_METRIC, operator="!=", value="angry"),
                facts.Criterion(metric_id=OTHER_METRIC, operator="==", value="calm"),
            ],
            tags={},
        ),
        ReferenceAdded(target_id=OTHER_PERSONA, by=BY),
        ReferenceAdded(target_id=OTHER_METRIC, by=BY),
        ReferenceDropped(target_id=PERSONA, by=BY),
        ReferenceDropped(target_id=METRIC, by=BY),
    ).when(change).then().when(DeletePersona(persona_id=PERSONA)).then_happens(
        ReferencesClosed(target_id=PERSONA)
    )


def test_a_change_to_what_does_not_exist_is_refused() -> None:
    change = ChangeUnitTest(unit_test_id=TEST, persona_id=OTHER_PERSONA)
    given(*DESK, a_test()).when(change).then_refused(NoSuchTarget, path="$.persona_id")


def test_a_deleted_unit_test_lets_go_of_everything() -> None:
    deletion = DeleteUnitTest(unit_test_id=TEST)
    world = (
        given(*DESK, a_test())
        .when(deletion)
        .then(
            UnitTestDeleted(unit_test_id=TEST),
            ReferencesClosed(target_id=TEST),
            *(
                ReferenceDropped(target_id=target, by=BY)
                for target in (PERSONA, SCENARIO, AGENT, METRIC)
            ),
        )
    )
    world.when(deletion).then()
    world.when(ChangeUnitTest(unit_test_id=TEST, name="x")).then_refused(Deleted)


def test_a_unit_test_in_a_set_is_not_deleted() -> None:
    given(*DESK, a_test(), a_set((TEST, 1))).when(
        DeleteUnitTest(unit_test_id=TEST)
    ).then_refused(StillReferenced, saying="unit_test_set:")


def test_a_unit_test_that_never_was_is_missing() -> None:
    given().when(DeleteUnitTest(unit_test_id=TEST)).then_refused(
        Missing, path="$.unit_test_id"
    )


def test_a_limit_may_leave_the_verdict_to_the_criteria() -> None:
    lenient = ChangeUnitTest(unit_test_id=TEST, on_limit="evaluate")
    (changed, *_) = given(*DESK, a_test()).when(lenient).events
    assert isinstance(changed, UnitTestChanged)
    assert changed.on_limit == "evaluate"
