"""What holds for the projection of every read table."""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from events.message import Event
from projections.catalogue import GROUPS
from projections.projection import Projection
from tests.given_rows import MemoryRows, project
from tests.projections.access import story as access
from tests.projections.playgrounds import story as playgrounds
from tests.projections.testing import story as testing
from tests.recorded import recorded
from tests.services.experiments import examples as experiments
from tests.services.experiments import outside_examples


STORIES: Final[Mapping[str, Callable[[], list[Event]]]] = {
    "access": access.whole,
    "testing": lambda: [*testing.whole(), testing.ERASED_SUBJECT],
    "playgrounds": playgrounds.whole,
    "experiments": lambda: [
        experiments.CREATED,
        experiments.STARTED,
        experiments.requested(),
        experiments.recorded(experiments.chunk(1, 333)),
        *outside_examples.happened(),
    ],
    "audit": lambda: [*playgrounds.whole(), *testing.whole()],
}
EVERY = pytest.mark.parametrize(
    "projection",
    [
        projection
        for group in GROUPS.values()
        for projection in group.projections
        if projection.fill is None
    ],
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
