"""Data subjects: the people whose personal text the log seals."""

from events.ids import SubjectId
from events.message import Event


class AccessEvent(Event, frozen=True, kw_only=True, tag=lambda name: f"access.{name}"):
    """A fact about people and what they may do."""


class SubjectErased(AccessEvent, frozen=True, kw_only=True):
    """A subject's key is to be destroyed; what it sealed can never be read again."""

    subject_id: SubjectId
    reason: str


SubjectEvent = SubjectErased
