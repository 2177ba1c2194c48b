from uuid import UUID

import pytest

from events.testing.references import (
    ReferenceAdded,
    ReferenceDropped,
    ReferencesClosed,
    ReferencesOpened,
)
from services.testing.common import Deleted
from services.testing.references import (
    AddReference,
    CloseReferences,
    DropReference,
    IdTaken,
    NoSuchTarget,
    OpenReferences,
    StillReferenced,
)
from tests.given import given


TARGET = UUID(int=9)
OPENED = ReferencesOpened(target_id=TARGET, kind="persona")
CLOSE = CloseReferences(target_id=TARGET, path="$.persona_id")


def used_by(user: int) -> ReferenceAdded:
    return ReferenceAdded(target_id=TARGET, by=f"unit_test:{UUID(int=user)}")


def use(user: int) -> AddReference:
    return AddReference(
        target_id=TARGET,
        kind="persona",
        by=f"unit_test:{UUID(int=user)}",
        path="$.persona_id",
    )


def test_opening_twice_changes_nothing() -> None:
    again = OpenReferences(target_id=TARGET, kind="persona", path="$")
    given(OPENED).when(again).then()


def test_an_id_is_of_one_kind() -> None:
    other = OpenReferences(target_id=TARGET, kind="metric", path="$.metric_id")
    given(OPENED).when(other).then_refused(
        IdTaken, path="$.metric_id", saying="belongs to a persona"
    )


def test_a_user_is_added_once() -> None:
    given(OPENED).when(use(1)).then(used_by(1)).when(use(1)).then()


def test_a_user_is_dropped_once() -> None:
    drop = DropReference(target_id=TARGET, by=f"unit_test:{UUID(int=1)}")
    given(OPENED, used_by(1), used_by(2)).when(drop).then(
        ReferenceDropped(target_id=TARGET, by=f"unit_test:{UUID(int=1)}")
    ).when(drop).then()


def test_what_does_not_exist_cannot_be_used() -> None:
    given().when(use(1)).then_refused(
        NoSuchTarget, path="$.persona_id", saying="There is no persona"
    )


def test_what_is_of_another_kind_cannot_be_used() -> None:
    given(ReferencesOpened(target_id=TARGET, kind="unit_test_set")).when(
        use(1)
    ).then_refused(NoSuchTarget)


def test_what_was_deleted_cannot_be_used() -> None:
    given(OPENED, ReferencesClosed(target_id=TARGET)).when(use(1)).then_refused(
        Deleted, path="$.persona_id", saying="was deleted"
    )


def test_what_nobody_uses_is_closed_once() -> None:
    given(OPENED).when(CLOSE).then(ReferencesClosed(target_id=TARGET)).when(
        CLOSE
    ).then()


@pytest.mark.parametrize(
    ("users", "ending"), [(5, f"{UUID(int=5)}."), (7, f"{UUID(int=5)} and 2 more.")]
)
def test_a_refusal_names_five_users(users: int, ending: str) -> None:
    history = [used_by(user) for user in range(users, 0, -1)]
    given(OPENED, *history).when(CLOSE).then_refused(
        StillReferenced, path="$.persona_id", saying=ending
    )
