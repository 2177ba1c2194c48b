"""Data subjects: the people whose personal text the log seals."""

from events.access.common import AccessEvent
from events.ids import SubjectId


class SubjectErased(AccessEvent, frozen=True, kw_only=True):
    """A subject's key is to be destroyed; what it sealed can never be read again."""

    subject_id: SubjectId
    reason: str


SubjectEvent = SubjectErased
