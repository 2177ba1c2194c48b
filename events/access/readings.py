"""Readings: who read personal text of others in the log itself, whose, and why."""

from typing import Literal
from uuid import UUID

from events.access.common import AccessEvent
from events.ids import SubjectId


Source = Literal["stream", "page", "feed", "command-line", "elsewhere"]


class PersonalTextRead(AccessEvent, frozen=True, kw_only=True):
    """Somebody was given personal text of others, who are the `subject_ids`.

    It was in one stream, in what is between two positions, or in rows of a table; of a
    `feed`, which is told when it begins, nobody knows yet whose text will be in it.
    """

    reading_id: UUID
    reason: str
    source: Source
    stream_id: str | None
    first: int | None
    last: int | None
    subject_ids: tuple[SubjectId, ...]
    table: str | None = None


ReadingEvent = PersonalTextRead
