"""A data subject: a person whose personal text the log seals until they are erased.

Keys are an organisation's own, and so is an erasure: whoever knows a subject's id can
erase nothing of another organisation, nor stand in the way of its erasure.
"""

from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from events.access.subjects import SubjectErased, SubjectEvent
from events.ids import SubjectId
from events.message import Meta as Envelope
from services.access.common import AccessCommand
from services.decider import Decider


class EraseSubject(AccessCommand, frozen=True, kw_only=True):
    """Destroy a subject's key, so that what it sealed can never be read again."""

    subject_id: SubjectId
    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class Subject(msgspec.Struct, frozen=True):
    """A subject as its rules see it."""

    erased: bool = False


def evolve(_state: Subject, _event: SubjectErased) -> Subject:
    """Return the state after an event."""
    return Subject(erased=True)


def decide(
    command: EraseSubject, state: Subject, _meta: Envelope
) -> list[SubjectErased]:
    """Erase a subject once."""
    if state.erased:
        return []
    return [SubjectErased(subject_id=command.subject_id, reason=command.reason)]


def identify(command: EraseSubject) -> UUID:
    """Return the subject's id."""
    return command.subject_id


SubjectCommand = EraseSubject

decider: Final = Decider[SubjectCommand, Subject, SubjectEvent](
    category="access.subject",
    commands=(EraseSubject,),
    events=(SubjectErased,),
    initial=Subject(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    apart=True,
)
