"""Commands that their types allow, made by hypothesis, and what makes them bad.

A command is made as JSON values. To spoil it, one place is overwritten with bytes that
are set into the JSON as they are, so that also what no encoder writes can be sent.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st
from msgspec import inspect

from events.message import Command
from services.routing import COMMANDS


Json = Any
Path = tuple[str | int, ...]
Made = st.SearchStrategy[Any]

IDS: Final = [str(UUID(int=0x0197_0000_0000_7000_8000 << 48 | n)) for n in range(1, 9)]
PLACE: Final = "\ue000here\ue000"
TEXT: Final = st.text(
    st.characters(codec="utf-8", exclude_characters="\0" + PLACE[0]), max_size=20
)
MOMENTS: Final = ("2026-05-01T12:00:00Z", "1999-12-31T23:59:59.999999+14:00")

_STEP: Final = re.compile(r'\$|\.\w+|\["(?:[^"\\]|\\.)*"\]|\[\d+\]|\[\.\.\.\]')

NEVER: Final = {
    "an escaped NUL": b'"a\\u0000b"',
    "a lone surrogate": b'"a\\ud800b"',
    "a reversed pair": b'"\\udc00\\ud800"',
    "bytes that are no UTF-8": b'"\xff\xfe\x80"',
    "UTF-8 of a surrogate": b'"\xed\xa0\x80"',
    "an overlong NUL": b'"\xc0\x80"',
}
"""What no field takes, each refused with its path."""

NOT_JSON: Final = {
    "a raw NUL": b'"a\0b"',
    "a raw tab": b'"a\tb"',
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "a hexadecimal number": b"0x10",
    "a leading zero": b"007",
    "a single quote": b"'a'",
    "a comment": b"/**/1",
    "a half escape": b'"\\u12"',
    "an unknown escape": b'"\\x41"',
    "an open text": b'"abc',
    "arrays 100,000 deep": b"[" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000,
    "both 100,000 deep": b'[{"a":' * 50_000,
    "closed 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "65 deep": b"[" * 65 + b"]" * 65,
}
"""What is no JSON that we read, wherever it stands."""

SELDOM: Final = {
    "nothing": b"",
    "10^30": b"1" + b"0" * 30,
    "-10^30": b"-1" + b"0" * 30,
    "2^63": b"9223372036854775808",
    "2^64": b"18446744073709551616",
    "1e400": b"1e400",
    "-1e400": b"-1e400",
    "1e-400": b"1e-400",
    "5,000 digits": b"9" * 5_000,
    "a fraction": b"0.1",
    "minus zero": b"-0",
    "true": b"true",
    "null": b"null",
    "an empty text": b'""',
    "a blank text": b'" \\t "',
    "a naive time": b'"2026-05-01T12:00:00"',
    "a time before year 1": b'"0001-01-01T00:00:00+14:00"',
    "a time after 9999": b'"9999-12-31T23:59:59-14:00"',
    "February 30": b'"2026-02-30T00:00:00Z"',
    "no UUID": b'"01970000-0000-7000-8000-00000000000g"',
    "an array": b"[]",
    "an object": b"{}",
    "an array of null": b"[null]",
    "an object of text": b'{"type":"testing.Nothing","":""}',
    "100,000 letters": b'"' + b"x" * 100_000 + b'"',
    "20,000 elements": b"[" + b'"x",' * 19_999 + b'"x"]',
    "a catastrophic pattern": b'"(a+)+$(a+)+$(a+)+$"',
    "a bad pattern": b'"(?P<x>["',
    "a repeat of repeats": b'"((a{1000}){1000}){1000}"',
    "a formula": b"\"=cmd|' /C calc'!A0\"",
    "SQL": b'"\'; DROP TABLE es.events; --"',
    "a script": b'"<script>alert(1)</script>"',
    "letters from right to left": '"\u202e\u0644\u0644\ufeff"'.encode(),
    "combined letters": ('"' + "e\u0301" * 50 + '"').encode(),
    "a non-character": '"\uffff\U0010ffff"'.encode(),
}
"""What some fields take and others do not."""


def made_of(kind: object) -> Made:
    """Return the strategy of a type's JSON values, the type's rules kept."""
    return _made(inspect.type_info(kind))


def places(value: Json, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value within a value, its own first."""
    yield path
    match value:
        case dict():
            for name, item in value.items():
                yield from places(item, (*path, name))
        case list():
            for index, item in enumerate(value):
                yield from places(item, (*path, index))
        case _:
            pass


def spoiled(value: Json, path: Path, poison: bytes) -> bytes:
    """Return a value's JSON with the bytes of a poison at a path."""
    return encoded(_replaced(value, path, PLACE)).replace(encoded(PLACE), poison)


def encoded(value: Json) -> bytes:
    """Return a value's JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def named(path: Path) -> str:
    """Return a path as problems write it."""
    steps = (
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if step.isidentifier() and step.isascii()
        else f"[{json.dumps(step)}]"
        for step in path
    )
    return "$" + "".join(steps)


def same_place(found: str | None, path: str) -> bool:
    """Say whether a problem names a path; `[...]` stands for a key left out."""
    if found is None:
        return False
    steps, wanted = _STEP.findall(found), _STEP.findall(path)
    return len(steps) == len(wanted) and all(
        step in {"[...]", want} for step, want in zip(steps, wanted, strict=True)
    )


def objects(value: Json) -> list[Path]:
    """Return the paths of the objects within a value."""
    return [path for path in places(value) if isinstance(at(value, path), dict)]


def open_objects(kind: type[Command], value: Json) -> set[Path]:
    """Return the paths of a command's objects that may have any key, as maps do."""
    return {
        path
        for path in objects(value)
        if not any(
            isinstance(info, inspect.StructType)
            for info in _within(inspect.type_info(kind), value, path)
        )
    }


def at(value: Json, path: Path) -> Json:
    """Return what stands at a path."""
    for step in path:
        value = value[step]
    return value


def without(value: Json, path: Path) -> Json:
    """Return an object without one of its fields."""
    *parent, name = path
    holder = dict(at(value, tuple(parent)))
    del holder[name]
    return _replaced(value, tuple(parent), holder)


def with_field(value: Json, path: Path, name: str, item: Json) -> Json:
    """Return an object with one more field in the object at a path."""
    return _replaced(value, path, {**at(value, path), name: item})


def with_twice(value: Json, path: Path, first: bytes) -> bytes:
    """Return JSON in which the field at a path comes twice, first with other bytes."""
    *parent, name = path
    holder = at(value, tuple(parent))
    opened = b"{" + json.dumps(name).encode() + b":" + first + b","
    raw = opened + encoded(holder)[1:]
    return spoiled(value, tuple(parent), raw) if parent else raw


def _replaced(value: Json, path: Path, item: Json) -> Json:
    if not path:
        return item
    step, *rest = path
    if isinstance(value, list):
        index = int(step)
        inner = _replaced(value[index], tuple(rest), item)
        return [*value[:index], inner, *value[index + 1 :]]
    return {**value, step: _replaced(value[step], tuple(rest), item)}


def _within(info: inspect.Type, value: Json, path: Path) -> list[inspect.Type]:
    """Return the types that the value at a path may be of."""
    kinds = _suiting(info, value)
    for step in path:
        value = value[step]
        inner = [_inner(kind, step) for kind in kinds]
        kinds = [found for each in inner if each for found in _suiting(each, value)]
    return kinds


def _suiting(info: inspect.Type, value: Json) -> list[inspect.Type]:
    """Return the types among a type's alternatives that have a value's shape."""
    match info:
        case inspect.Metadata():
            return _suiting(info.type, value)
        case inspect.UnionType():
            return [found for each in info.types for found in _suiting(each, value)]
        case inspect.StructType():
            tagged = info.tag_field is not None and isinstance(value, dict)
            return [info] if not tagged or value[info.tag_field] == info.tag else []
        case _:
            return [info]


def _inner(info: inspect.Type, step: str | int) -> inspect.Type | None:
    """Return the type of what stands at a step within a type, None for nothing."""
    match info:
        case inspect.StructType():
            fields = {field.encode_name: field.type for field in info.fields}
            return fields.get(str(step))
        case inspect.DictType():
            return info.value_type
        case inspect.ListType():
            return info.item_type
        case inspect.AnyType():
            return info
        case _:
            return None


def _made(info: inspect.Type) -> Made:
    maker = _MAKERS.get(type(info))
    assert maker is not None, f"nothing is known to make of {info}"
    return maker(info)


def _float(info: inspect.FloatType) -> Made:
    return st.floats(
        info.ge if info.ge is not None else info.gt,
        info.le if info.le is not None else info.lt,
        exclude_min=info.gt is not None,
        exclude_max=info.lt is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def _integer(info: inspect.IntType) -> Made:
    least = info.ge if info.ge is not None else -(1 << 63)
    most = info.le if info.le is not None else (info.lt or 1 << 63) - 1
    return st.integers(least, most) | st.integers(least, min(most, least + 3))


def _mapping(info: inspect.DictType) -> Made:
    least, most = info.min_length or 0, info.max_length
    return st.dictionaries(
        _made(info.key_type),
        _made(info.value_type),
        min_size=least,
        max_size=_few(least, most),
    )


def _list(info: inspect.CollectionType) -> Made:
    least, most = info.min_length or 0, info.max_length
    return st.lists(_made(info.item_type), min_size=least, max_size=_few(least, most))


def _few(least: int, most: int | None) -> int:
    return min(least + 3, most if most is not None else least + 3)


def _struct(info: inspect.StructType) -> Made:
    required = {
        field.name: _made(field.type) for field in info.fields if field.required
    }
    optional = {
        field.name: _made(field.type) for field in info.fields if not field.required
    }
    if info.tag_field is not None:
        required = {info.tag_field: st.just(info.tag), **required}
    return st.fixed_dictionaries(required, optional=optional)


def _text(info: inspect.StrType) -> Made:
    least, most = info.min_length or 0, info.max_length or 20
    if info.pattern in {None, r"\S"}:
        return TEXT.map(lambda text: (text + "x" * max(1, least))[-most:])
    return st.from_regex(
        info.pattern or "", alphabet=st.characters(codec="ascii")
    ).filter(lambda text: least <= len(text) <= most and "\0" not in text)


_MAKERS: Final[Mapping[type[inspect.Type], Callable[[Any], Made]]] = {
    inspect.StructType: _struct,
    inspect.UnionType: lambda info: st.one_of([_made(each) for each in info.types]),
    inspect.Metadata: lambda info: _made(info.type),
    inspect.NoneType: lambda _: st.none(),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.IntType: _integer,
    inspect.FloatType: _float,
    inspect.StrType: _text,
    inspect.UUIDType: lambda _: st.sampled_from(IDS),
    inspect.DateTimeType: lambda _: st.sampled_from(MOMENTS),
    inspect.LiteralType: lambda info: st.sampled_from(list(info.values)),
    inspect.AnyType: lambda _: st.none() | st.booleans() | TEXT | st.integers(-9, 9),
    inspect.DictType: _mapping,
    inspect.ListType: _list,
}

KINDS: Final[Sequence[type[Command]]] = sorted(
    COMMANDS.values(), key=lambda kind: kind.__name__
)
STRATEGIES: Final = {kind: made_of(kind) for kind in KINDS}
