from typing import Final
from uuid import UUID

from msgspec.structs import replace

from events.access.readings import PersonalTextRead
from events.ids import SubjectId
from services.access.common import AlreadyExists
from services.access.readings import RecordReading
from tests.given import given


READING: Final = UUID(int=1)
ANA: Final = SubjectId(UUID(int=2))


def test_a_reading_is_told_once_with_whose_text_it_was() -> None:
    command = RecordReading(
        reading_id=READING,
        reason="She asked what went wrong",
        source="stream",
        stream_id="testing.trial-1",
        first=3,
        last=9,
        subject_ids=[ANA, ANA],
    )
    world = (
        given()
        .when(command)
        .then(
            PersonalTextRead(
                reading_id=READING,
                reason="She asked what went wrong",
                source="stream",
                stream_id="testing.trial-1",
                first=3,
                last=9,
                subject_ids=(ANA,),
            )
        )
    )
    world.when(command).then()
    other = replace(command, reason="Curiosity")
    world.when(other).then_refused(AlreadyExists, path="$.reading_id")
