import msgspec
import pytest

from services.testing.trials import AnyEntry, Message, ToolCall, ToolResult


@pytest.mark.parametrize(
    ("sent", "entry"),
    [
        (
            b'{"type":"Message","role":"user","text":"Hello."}',
            Message(role="user", text="Hello."),
        ),
        (
            b'{"type":"ToolCall","call_id":"1","name":"find","arguments":"{}"}',
            ToolCall(call_id="1", name="find", arguments="{}"),
        ),
        (
            b'{"type":"ToolResult","call_id":"1","name":"find","content":"-"}',
            ToolResult(call_id="1", name="find", content="-"),
        ),
    ],
)
def test_an_entry_is_told_by_its_type(sent: bytes, entry: AnyEntry) -> None:
    decoded: AnyEntry = msgspec.json.decode(sent, type=AnyEntry)
    assert decoded == entry


@pytest.mark.parametrize(
    "sent",
    [
        b'{"type":"Message","role":"user","text":"Hello.","mood":"calm"}',
        b'{"type":"Message","role":"owner","text":"Hello."}',
        b'{"type":"Shout","text":"Hello."}',
        b'{"role":"user","text":"Hello."}',
    ],
)
def test_an_entry_of_another_shape_is_not_understood(sent: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(sent, type=AnyEntry)
