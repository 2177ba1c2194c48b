"""A reading: told once a day, before anything is given away."""

from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from events.access.readings import PersonalTextRead, ReadingEvent, Source
from events.ids import SubjectId, named
from events.message import Meta as Envelope
from services.access.common import AccessCommand, AlreadyExists, Reason
from services.decider import Decider


MOST_SUBJECTS: Final = 1_000
# The id of a reading that has none yet, and the namespace of the ids of readings.
UNNAMED: Final = UUID("6f0c7b1e-3d52-5a94-8c1b-2e7d90a4f563")

Position = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
StreamName = Annotated[str, Meta(min_length=1, max_length=500)]
TableName = Annotated[str, Meta(min_length=1, max_length=200)]
Subjects = Annotated[list[SubjectId], Meta(max_length=MOST_SUBJECTS)]


class RecordReading(AccessCommand, frozen=True, kw_only=True):
    """Say that one reads personal text of others, and why.

    The interface itself says so of what it shows; whoever reads by other means says
    it with `elsewhere`.
    """

    reading_id: UUID
    reason: Reason
    source: Source = "elsewhere"
    stream_id: StreamName | None = None
    first: Position | None = None
    last: Position | None = None
    subject_ids: Subjects = msgspec.field(default_factory=list)
    table: TableName | None = None


def of_the_day(said: RecordReading, meta: Envelope) -> RecordReading:
    """Return what is said of a reading under the id that it has all day.

    Who reads the same again, for the same reason, on the same day in UTC, is told of
    once.
    """
    content = msgspec.json.encode(msgspec.structs.replace(said, reading_id=UNNAMED))
    day = meta.occurred_at.date().isoformat()
    name = f"{meta.org_id}\n{meta.actor}\n{day}\n{content.decode()}"
    return msgspec.structs.replace(said, reading_id=named(UNNAMED, name))


class Reading(msgspec.Struct, frozen=True):
    """A reading as its rules see it."""

    told: PersonalTextRead | None = None


def evolve(_state: Reading, event: ReadingEvent) -> Reading:
    """Return the state after an event."""
    return Reading(told=event)


def decide(
    command: RecordReading, state: Reading, _meta: Envelope
) -> list[ReadingEvent]:
    """Tell a reading once."""
    fact = PersonalTextRead(
        reading_id=command.reading_id,
        reason=command.reason,
        source=command.source,
        stream_id=command.stream_id,
        first=command.first,
        last=command.last,
        subject_ids=tuple(dict.fromkeys(command.subject_ids)),
        table=command.table,
    )
    if state.told is None:
        return [fact]
    if state.told != fact:
        raise AlreadyExists(path="$.reading_id")
    return []


def identify(command: RecordReading) -> UUID:
    """Return the reading's id."""
    return command.reading_id


decider: Final = Decider[RecordReading, Reading, ReadingEvent](
    category="access.reading",
    commands=(RecordReading,),
    events=(PersonalTextRead,),
    initial=Reading(),
    evolve=evolve,
    decide=decide,
    identify=identify,
)
