"""Events as CloudEvents: as the official library reads them, without personal text."""

import re
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as Official

from events.catalogue import EVENTS, decode
from events.conversation import MessageAdded, ToolCalled
from events.ids import PersonaId, SubjectId
from events.message import SEALED, Event
from events.testing.personas import PersonaCreated
from services.telling.cloudevents import MEDIA_TYPE, cloud_event, encoded
from tests.builders import new_id
from tests.recorded import recorded


SAMPLES: Final = Path(__file__).parents[2] / "events" / "samples"
SPOKEN: Final = "I live at 7 Mill Lane"
PERSONA: Final = PersonaCreated(
    persona_id=PersonaId(new_id()), name="Ada", role="reader", tags={}
)
TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def told(event: Event, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    (each,) = recorded(event, after=41)
    each = msgspec.structs.replace(each, **changes)
    found: dict[str, Any] = msgspec.json.decode(encoded(cloud_event(each)))
    return found


def sampled() -> list[Event]:
    found = []
    for path in sorted(SAMPLES.glob("*.json")):
        kind = path.name.rsplit(".", 2)[0]
        if kind in EVENTS:
            found.append(decode(kind, path.read_bytes()))
    return found


@pytest.mark.parametrize("event", sampled(), ids=lambda each: type(each).__name__)
def test_every_event_is_one_that_the_official_library_reads(event: Event) -> None:
    (each,) = recorded(event)
    read = JSONFormat().read(Official, encoded(cloud_event(each)))

    assert read.get_id() == str(each.event_id)
    assert read.get_source() == "urn:rehearsal:eu-1:library"
    assert read.get_subject() == each.stream_id
    assert read.get_time() == each.recorded_at
    assert read.get_datacontenttype() == "application/json"
    data = read.get_data()
    assert isinstance(data, dict)
    assert data["type"] == read.get_type()
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in read.get_attributes())


def test_the_order_of_the_log_is_the_order_of_the_sequences_as_text() -> None:
    sequences = [
        cloud_event(each).sequence for each in recorded(*(PERSONA,) * 12, after=95)
    ]
    assert sequences == sorted(sequences)
    assert [int(each) for each in sequences] == list(range(96, 108))


def test_what_is_not_known_is_not_told() -> None:
    plain = told(PERSONA)
    assert plain.keys().isdisjoint(
        {
            *("causationid", "onbehalfof", "traceparent", "tracestate"),
            *("sealed", "republished"),
        }
    )
    cause = new_id()
    headers = {"traceparent": TRACE, "on_behalf_of": "user:mila"}
    full = told(PERSONA, causation_id=cause, headers=headers)
    assert (full["causationid"], full["traceparent"]) == (str(cause), TRACE)
    assert full["onbehalfof"] == "user:mila"


@pytest.mark.parametrize(
    ("event", "sealed"),
    [
        (
            MessageAdded(
                conversation_id=UUID(int=1),
                seq=1,
                role="user",
                text=SPOKEN,
                subject_id=SubjectId(UUID(int=2)),
            ),
            "text",
        ),
        (
            ToolCalled(
                conversation_id=UUID(int=1),
                seq=1,
                call_id="1",
                name="find",
                arguments=SPOKEN,
                subject_id=SubjectId(UUID(int=2)),
            ),
            "arguments",
        ),
    ],
)
def test_personal_text_does_not_leave(event: Event, sealed: str) -> None:
    found = told(event)

    assert SPOKEN not in str(found)
    assert found["sealed"] == sealed
    assert all(found["data"][name] == SEALED for name in sealed.split(","))


def test_text_that_is_nobodys_is_told() -> None:
    event = MessageAdded(conversation_id=UUID(int=1), seq=1, role="user", text=SPOKEN)
    found = told(event)
    assert found["data"]["text"] == SPOKEN
    assert "sealed" not in found


def test_an_event_that_is_sent_again_says_so() -> None:
    (each,) = recorded(PERSONA)
    assert cloud_event(each, republished=True).republished is True
    assert MEDIA_TYPE == JSONFormat.CONTENT_TYPE
