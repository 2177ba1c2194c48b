"""Facts about references: who uses a thing, so that it is not deleted meanwhile."""

from typing import Literal
from uuid import UUID

from events.testing.common import TestingEvent


Kind = Literal["persona", "scenario", "metric", "agent", "unit_test", "unit_test_set"]


class ReferencesOpened(TestingEvent, frozen=True, kw_only=True):
    """A thing may be referred to."""

    target_id: UUID
    kind: Kind


class ReferenceAdded(TestingEvent, frozen=True, kw_only=True):
    """A thing is used by another, such as `unit_test:<id>`."""

    target_id: UUID
    by: str


class ReferenceDropped(TestingEvent, frozen=True, kw_only=True):
    """A thing is no longer used by another."""

    target_id: UUID
    by: str


class ReferencesClosed(TestingEvent, frozen=True, kw_only=True):
    """A thing was deleted and may not be referred to again."""

    target_id: UUID


ReferenceEvent = ReferencesOpened | ReferenceAdded | ReferenceDropped | ReferencesClosed
