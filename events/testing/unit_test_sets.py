"""Facts about sets of unit tests."""

import msgspec

from events.ids import UnitTestId, UnitTestSetId
from events.testing.common import Tags, TestingEvent


class UnitTestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A unit test in a set, and how many trials of it a run makes."""

    unit_test_id: UnitTestId
    run_count: int = 1


class UnitTestSetCreated(TestingEvent, frozen=True, kw_only=True):
    """A set exists."""

    set_id: UnitTestSetId
    name: str
    description: str
    unit_tests: list[UnitTestEntry]
    tags: Tags
    external_id: str | None = None


class UnitTestSetChanged(TestingEvent, frozen=True, kw_only=True):
    """A set is now this."""

    set_id: UnitTestSetId
    name: str
    description: str
    unit_tests: list[UnitTestEntry]
    tags: Tags


class UnitTestSetDeleted(TestingEvent, frozen=True, kw_only=True):
    """A set may no longer be run."""

    set_id: UnitTestSetId


UnitTestSetEvent = UnitTestSetCreated | UnitTestSetChanged | UnitTestSetDeleted
