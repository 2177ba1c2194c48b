"""Decoding: what the log could not store is refused with the place of the fault."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Failure, Malformed, TooLarge
from events.message import Command
from services.decoding import MAX_DEPTH, WORDED, command_decoder, decode_json


Word = Annotated[str, msgspec.Meta(min_length=1), WORDED]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    count: int = 0
    at: datetime | None = None
    label: Word | None = None


class Make(Command, frozen=True, kw_only=True, tag="sample.Make"):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    parts: list[Part] = msgspec.field(default_factory=list)
    tags: dict[str, str | None] = msgspec.field(default_factory=dict)
    weight: float = 0.0


class Drop(Command, frozen=True, kw_only=True, tag="sample.Drop"):
    name: str
    reason: Word | None = None


decode_command: Final = command_decoder([Make, Drop])


def make(**fields: object) -> bytes:
    return json.dumps({"type": "sample.Make", "name": "x", **fields}).encode()


def path_of(raw: bytes) -> str | None:
    with pytest.raises(Malformed) as caught:
        decode_command(raw)
    return caught.value.path


def test_a_command_is_decoded_by_its_type() -> None:
    assert decode_command(b'{"type":"sample.Drop","name":"x"}') == Drop(name="x")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"[]", "$"),
        (b"{}", "$.type"),
        (b'{"type":"sample.Paint"}', "$.type"),
        (b'{"type":7}', "$.type"),
        (b'{"type":"sample.Make"}', "$.name"),
        (make(name=""), "$.name"),
        (make(colour="red"), "$.colour"),
        (make(parts=[{}, {"count": "two"}]), "$.parts[1].count"),
        (make(parts=[{"count": 10**30}]), "$.parts[0].count"),
        (make(parts=[{"count": 2**63}]), "$.parts[0].count"),
        (make(parts=[{"at": "2026-01-01T00:00:00"}]), "$.parts[0].at"),
        (make(parts=[{"at": "0001-01-01T00:00:00+14:00"}]), "$.parts[0].at"),
        (make(tags={"a b": "\0"}), '$.tags["a b"]'),
        (make(tags={"\0": None}), "$.tags"),
        (make(parts=[{}, {"label": "\u3000"}]), "$.parts[1].label"),
        (b'{"type":"sample.Drop","name":"x","reason":" \\n\\t"}', "$.reason"),
        (b'{"type":"sample.Drop","name":"x","reason":""}', "$.reason"),
        (make(name="\ud800"), "$.name"),
        (make(tags={"a": "\udc00\ud800"}), "$.tags.a"),
        (b'{"type":"sample.Make","name":"\xff"}', "$.name"),
        (b'{"type":"sample.Make","name":"x","weight":1e400}', "$.weight"),
    ],
)
def test_a_fault_is_named_by_its_path(raw: bytes, path: str) -> None:
    assert path_of(raw) == path


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"nul", b'{"a":NaN}', b"{} {}", b"\xff\xfe", b'{"a":"\x00"}']
)
def test_what_is_not_json_is_malformed(raw: bytes) -> None:
    path_of(raw)


def test_the_largest_integers_pass() -> None:
    parts = [{"count": 2**63 - 1}, {"count": -(2**63)}]
    command = decode_command(make(parts=parts))
    assert command == Make(
        name="x", parts=[Part(count=2**63 - 1), Part(count=-(2**63))]
    )


def test_text_may_speak_of_a_nul() -> None:
    command = decode_command(make(name="\\u0000"))
    assert command == Make(name="\\u0000")


def test_long_digits_in_text_pass() -> None:
    assert decode_command(make(name="9" * 40)) == Make(name="9" * 40)


def test_a_time_with_a_zone_passes() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    command = decode_command(make(parts=[{"at": moment.isoformat()}]))
    assert command == Make(name="x", parts=[Part(at=moment)])


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"type":"sample.Make","name":' + b"[{}," * 65 + b"1" + b"]" * 65 + b"}",
    ],
)
def test_deep_nesting_is_refused_before_it_is_decoded(raw: bytes) -> None:
    with pytest.raises(Malformed, match="nested"):
        decode_command(raw)


def test_brackets_in_text_and_side_by_side_are_not_deep() -> None:
    name = '\\"[{' * 1_000
    parts: list[dict[str, int]] = [{}] * 1_000
    command = decode_command(make(name=name, parts=parts))
    assert command == Make(name=name, parts=[Part()] * 1_000)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    count: int = 0
    rest: msgspec.Raw = msgspec.Raw(b"null")


@pytest.mark.parametrize(
    "rest", [b"9" * 5_000, b"1" + b"0" * 30, b'["\\u0000", 1e400]', b"123" * 20_000]
)
def test_what_is_kept_unread_is_checked_too(rest: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode_json(b'{"rest":%b}' % rest, Holder)
    assert (caught.value.path or "").startswith("$.rest")


def test_a_long_body_is_too_large() -> None:
    with pytest.raises(TooLarge):
        decode_json(b" " * 11 + b"1", int, limit=11)


def depth(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
        case _:
            return 0


def nested(value: object, levels: int) -> object:
    for level in range(levels):
        value = {"]": value} if level % 2 else [value, [], '\\"]}']
    return value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text('[]{}"\\a'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\a'), inner),
)


def failure_of(decode: Callable[[bytes], object], raw: bytes) -> Failure | None:
    try:
        decode(raw)
    except Failure as failure:
        return failure
    return None


@given(value=VALUES, levels=st.integers(0, 2 * MAX_DEPTH))
def test_exactly_what_is_too_deep_is_refused(value: object, levels: int) -> None:
    whole = nested(value, levels)
    failure = failure_of(
        lambda raw: decode_json(raw, msgspec.Raw), json.dumps(whole).encode()
    )
    assert ("nested" in str(failure)) == (depth(whole) > MAX_DEPTH)


@given(raw=st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_a_failure_escapes(raw: bytes) -> None:
    failure_of(decode_command, raw)
    failure_of(lambda raw: decode_json(raw, dict[str, Part]), raw)


@given(
    fields=st.dictionaries(
        st.sampled_from(["type", "name", "parts", "tags", "weight", "other"]), VALUES
    )
)
def test_a_decoded_command_can_be_stored(fields: dict[str, object]) -> None:
    raw = make(**fields)
    if failure_of(decode_command, raw) is None:
        stored = msgspec.json.encode(decode_command(raw))
        assert b"\\u0000" not in stored.replace(b"\\\\", b"")
        assert decode_command(stored) == decode_command(raw)


def test_the_pattern_of_a_worded_text_is_published() -> None:
    field = msgspec.json.schema(Drop)["$defs"]["Drop"]["properties"]["reason"]
    assert field["anyOf"][0] == {"type": "string", "minLength": 1, "pattern": r"\S"}


@pytest.mark.parametrize("kind", [list[Word], dict[Word, int], Word])
def test_a_worded_text_is_the_field_of_a_struct(kind: type) -> None:
    with pytest.raises(TypeError):
        decode_json(b"[]", kind)
