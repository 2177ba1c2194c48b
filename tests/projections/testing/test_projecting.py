"""What holds for the projection of every read table."""

import pytest

from projections.catalogue import TESTING
from projections.projection import Projection
from tests.given_rows import MemoryRows, project
from tests.projections.testing.story import ERASED_SUBJECT, whole
from tests.recorded import recorded


EVERY = pytest.mark.parametrize(
    "projection", TESTING.projections, ids=lambda projection: projection.table.name
)


@EVERY
def test_one_batch_gives_the_rows_that_many_give(projection: Projection) -> None:
    batch = recorded(*whole(), ERASED_SUBJECT)
    at_once, one_by_one = MemoryRows(projection.table), MemoryRows(projection.table)
    project(projection, batch, at_once)
    for each in batch:
        project(projection, [each], one_by_one)
    assert at_once.rows == one_by_one.rows
    assert at_once.rows


@EVERY
def test_facts_of_others_change_nothing(projection: Projection) -> None:
    batch = recorded(*whole())
    asked, all_of_them = MemoryRows(projection.table), MemoryRows(projection.table)
    project(projection, batch, asked)
    projection.project(batch, all_of_them)
    assert asked.rows == all_of_them.rows
