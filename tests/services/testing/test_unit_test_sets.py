from events.errors import Missing
from events.testing import unit_test_sets as facts
from events.testing.references import (
    ReferenceAdded,
    ReferenceDropped,
    ReferencesClosed,
    ReferencesOpened,
)
from events.testing.unit_test_sets import (
    UnitTestSetChanged,
    UnitTestSetCreated,
    UnitTestSetDeleted,
)
from services.testing.common import AlreadyExists, Deleted
from services.testing.references import NoSuchTarget, StillReferenced
from services.testing.unit_test_sets import (
    ChangeUnitTestSet,
    DeleteUnitTestSet,
    TwiceInTheSet,
    UnitTestEntry,
)
from tests.given import given
from tests.services.testing.examples import (
    DESK,
    OTHER_TEST,
    SET,
    TEST,
    a_run,
    a_set,
    a_spec,
    a_test,
)


BY = f"unit_test_set:{SET}"
TESTS = (*DESK, a_test(), a_test(OTHER_TEST))
DELETION = DeleteUnitTestSet(set_id=SET)


def test_a_set_is_created_with_its_references() -> None:
    given(*TESTS).when(a_set((TEST, 4), (OTHER_TEST, 1))).then(
        UnitTestSetCreated(
            set_id=SET,
            name="Fees",
            description="",
            unit_tests=[
                facts.UnitTestEntry(unit_test_id=TEST, run_count=4),
                facts.UnitTestEntry(unit_test_id=OTHER_TEST, run_count=1),
            ],
            tags={},
        ),
        ReferencesOpened(target_id=SET, kind="unit_test_set"),
        ReferenceAdded(target_id=TEST, by=BY),
        ReferenceAdded(target_id=OTHER_TEST, by=BY),
    )


def test_creating_twice_changes_nothing() -> None:
    given(*TESTS, a_set((TEST, 4))).when(a_set((TEST, 4))).then()


def test_another_set_with_the_id_is_refused() -> None:
    given(*TESTS, a_set((TEST, 4))).when(a_set((TEST, 5))).then_refused(AlreadyExists)


def test_a_unit_test_is_in_a_set_once() -> None:
    given(*TESTS).when(a_set((TEST, 1), (TEST, 2))).then_refused(
        TwiceInTheSet, path="$.unit_tests[1].unit_test_id"
    )


def test_a_unit_test_of_a_set_must_exist() -> None:
    given(*DESK, a_test()).when(a_set((TEST, 1), (OTHER_TEST, 1))).then_refused(
        NoSuchTarget, path="$.unit_tests[1].unit_test_id"
    )


def test_a_change_moves_the_references() -> None:
    entries = [UnitTestEntry(unit_test_id=OTHER_TEST, run_count=2)]
    change = ChangeUnitTestSet(set_id=SET, unit_tests=entries, tags=["nightly"])
    given(*TESTS, a_set((TEST, 1))).when(change).then(
        UnitTestSetChanged(
            set_id=SET,
            name="Fees",
            description="",
            unit_tests=[facts.UnitTestEntry(unit_test_id=OTHER_TEST, run_count=2)],
            tags={"nightly": None},
        ),
        ReferenceAdded(target_id=OTHER_TEST, by=BY),
        ReferenceDropped(target_id=TEST, by=BY),
    ).when(change).then()


def test_a_change_of_words_leaves_the_references() -> None:
    change = ChangeUnitTestSet(set_id=SET, description="What fees are about")
    result = given(*TESTS, a_set((TEST, 1))).when(change)
    assert len(result.events) == 1


def test_a_deleted_set_lets_go_of_its_unit_tests() -> None:
    world = (
        given(*TESTS, a_set((TEST, 1)))
        .when(DELETION)
        .then(
            UnitTestSetDeleted(set_id=SET),
            ReferencesClosed(target_id=SET),
            ReferenceDropped(target_id=TEST, by=BY),
        )
    )
    world.when(DELETION).then()
    world.when(ChangeUnitTestSet(set_id=SET, name="x")).then_refused(Deleted)


def test_a_set_with_an_unfinished_run_is_not_deleted() -> None:
    given(*TESTS, a_set((TEST, 1)), a_run(a_spec())).when(DELETION).then_refused(
        StillReferenced, path="$.set_id", saying="set_run:"
    )


def test_a_set_that_never_was_is_missing() -> None:
    given().when(DELETION).then_refused(Missing, path="$.set_id")
