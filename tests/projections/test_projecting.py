"""What holds for the projection of every read table."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

import pytest

from events.access.users import UserRegistered
from events.ids import SubjectId, UserId
from events.message import Event
from projections.catalogue import GROUPS
from projections.projection import Projection
from tests.given_rows import MemoryRows, project
from tests.projections.access import story as access
from tests.projections.playgrounds import story as playgrounds
from tests.projections.testing import story as testing
from tests.recorded import recorded


ADA: Final = UUID("01931d5e-0000-7000-8000-00000000ada0")
KEY: Final = UUID("01931d5e-0000-7000-8000-00000000e0e0")
REGISTERED: Final = UserRegistered(
    user_id=UserId(ADA),
    subject_id=SubjectId(ADA),
    email="ada@example.org",
    username="ada",
    full_name="Ada",
    email_key=KEY,
    username_key=KEY,
)
STORIES: Final[Mapping[str, Callable[[], list[Event]]]] = {
    "access": access.whole,
    "testing": lambda: [*testing.whole(), testing.ERASED_SUBJECT],
    "playgrounds": playgrounds.whole,
    "audit": lambda: [*playgrounds.whole(), *testing.whole()],
}
EVERY = pytest.mark.parametrize(
    "projection",
    [projection for group in GROUPS.values() for projection in group.projections],
    ids=lambda projection: projection.name,
)


def story_of(projection: Projection) -> list[Event]:
    return STORIES[projection.table.schema]()


@EVERY
def test_one_batch_gives_the_rows_that_many_give(projection: Projection) -> None:
    batch = recorded(*story_of(projection))
    at_once, one_by_one = MemoryRows(projection.table), MemoryRows(projection.table)
    project(projection, batch, at_once)
    for each in batch:
        project(projection, [each], one_by_one)
    assert at_once.rows == one_by_one.rows
    assert at_once.rows


@EVERY
def test_facts_of_others_change_nothing(projection: Projection) -> None:
    batch = recorded(*story_of(projection))
    asked, all_of_them = MemoryRows(projection.table), MemoryRows(projection.table)
    project(projection, batch, asked)
    projection.project(batch, all_of_them)
    assert asked.rows == all_of_them.rows
