"""Personal text as it is shown to those who may not read it, or have not said why."""

from collections.abc import Iterator
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from events.message import ERASED, SEALED, Event, Recorded
from events.people import person_id


REASON_LENGTH: Final = 1_000

E = TypeVar("E", bound=Event)


def personal_fields(event: Event) -> Iterator[str]:
    """Yield the fields of an event that hold personal text, erased or not."""
    if getattr(event, "subject_id", None) is None:
        return
    for name in event.personal:
        if getattr(event, name) is not None:
            yield name


def sealed(event: E) -> E:
    """Return an event without its personal text."""
    changed = dict.fromkeys(personal_fields(event), SEALED)
    return msgspec.structs.replace(event, **changed) if changed else event


def of_another(recorded: Recorded[Event], actor: str) -> UUID | None:
    """Return whose text can be read in an event, unless it is the actor's or nobody's.

    An actor is `kind:id`.
    """
    event = recorded.event
    texts = [getattr(event, name) for name in personal_fields(event)]
    if not texts or all(text == ERASED for text in texts):
        return None
    subject: UUID = event.subject_id  # type: ignore[attr-defined] # who has texts has one
    own = person_id(recorded.org_id, actor.partition(":")[2])
    return None if subject == own else subject
