from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.access.readings import PersonalTextRead
from events.ids import SubjectId
from services.access.common import AlreadyExists
from services.access.readings import RecordReading, of_the_day
from tests.given import given, meta_of


READING: Final = UUID(int=1)
ANA: Final = SubjectId(UUID(int=2))
MORNING: Final = datetime(2026, 5, 1, 8, tzinfo=UTC)
SAID: Final = RecordReading(
    reading_id=READING, reason="She asked", table="testing.trials", subject_ids=[ANA]
)


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


def test_who_reads_the_same_again_on_a_day_is_told_of_once() -> None:
    morning = replace(meta_of(), occurred_at=MORNING)
    evening = replace(meta_of(), occurred_at=MORNING.replace(hour=23))
    first = of_the_day(SAID, morning)
    assert first == replace(SAID, reading_id=first.reading_id)
    assert of_the_day(replace(SAID, reading_id=first.reading_id), evening) == first


@pytest.mark.parametrize(
    ("other", "envelope"),
    [
        ({"reason": "He asked"}, {}),
        ({"table": "testing.trial_entries"}, {}),
        ({"subject_ids": []}, {}),
        ({}, {"actor": "user:otto"}),
        ({}, {"org_id": "elsewhere"}),
        ({}, {"occurred_at": MORNING.replace(day=2)}),
    ],
)
def test_another_reader_text_reason_or_day_is_told_of_too(
    other: dict[str, Any], envelope: dict[str, Any]
) -> None:
    morning = replace(meta_of(), occurred_at=MORNING)
    first = of_the_day(SAID, morning)
    second = of_the_day(replace(SAID, **other), replace(morning, **envelope))
    assert second.reading_id != first.reading_id
