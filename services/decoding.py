"""JSON from outside: decoded and checked here, so that nothing but a `Failure` escapes.

What comes out can be stored: no NUL and no lone surrogate in any text, no integer
beyond 64 bits with sign, no number beyond a double, no moment without a time zone or
outside the years that have a UTC. Depth is bounded before the decoder runs, because
decoders recurse. Where a key occurs twice in an object, the last one counts.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache, reduce
from operator import or_
from typing import Any, Final, NamedTuple, TypeGuard, TypeVar

import msgspec
from msgspec import inspect

from events.errors import Malformed, TooLarge
from events.message import Command


T = TypeVar("T")

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64

_WORDED: Final = "worded"
# Of the text in a field of a struct, that it is more than white space. The decoder
# would take ten times as long for the pattern.
WORDED: Final = msgspec.Meta(
    extra={_WORDED: True}, extra_json_schema={"pattern": r"\S"}
)

_LEAST_INTEGER: Final = -(1 << 63)
_GREATEST_INTEGER: Final = (1 << 63) - 1
_LONGEST_INTEGER: Final = 20

_STRUCTURE: Final = bytes.maketrans(b"{}", b"[]")
_TEXT: Final = bytes(byte for byte in range(256) if byte not in b'{}[]"\\')
_BACKSLASH: Final = ord("\\")  # to look for a number costs less than for bytes
_BRACE: Final = ord("{")
_BRACKET: Final = ord("[")
_QUOTED: Final = re.compile(rb'"[^"]*"?')
_ESCAPED_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_LONG_INTEGER: Final = re.compile(rb"[0-9]{19}")
_PLACE: Final = re.compile(r" - at `(?:key in )?(?P<path>[^`]*)`$")
_FIELD: Final = re.compile(r"(?:unknown|required) field `(?P<name>.*)`$", re.DOTALL)
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def decode_json(raw: bytes, kind: type[T], *, limit: int = MAX_BYTES) -> T:
    """Return the value of a type that JSON holds, at most `limit` bytes long.

    Raises `TooLarge`, or `Malformed` with the path of the field at fault.
    """
    decoder, held = _decoder(kind)  # type: ignore[arg-type] # types hash
    value: T = _decoded(raw, decoder, limit)
    _check(raw, value, held)
    return value


def command_decoder(
    kinds: Iterable[type[Command]], *, limit: int = MAX_BYTES
) -> Callable[[bytes], Command]:
    """Return the function that decodes a command of two or more types by its `type`.

    A lone type would pass without its tag.
    """
    types = tuple(kinds)
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(reduce(or_, types))
    held: dict[type, _Held] = {kind: _held(kind) for kind in types}

    def decode_command(raw: bytes) -> Command:
        """Return the command that JSON holds, or raise `Malformed` or `TooLarge`."""
        command: Command = _decoded(raw, decoder, limit)
        _check(raw, command, held[type(command)])
        return command

    return decode_command


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> tuple[msgspec.json.Decoder[Any], "_Held"]:  # noqa: ANN401
    return msgspec.json.Decoder(kind), _held(kind)


def split_json(raw: bytes, *, limit: int = MAX_BYTES) -> list[bytes]:
    """Return the elements of a JSON array, each to be decoded and checked by itself.

    Raises `TooLarge` or `Malformed`.
    """
    _check_shape(raw, limit)
    try:
        return [bytes(element) for element in _elements.decode(raw)]
    except msgspec.ValidationError as error:
        raise _malformed(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(raw, error) from error


_elements: Final = msgspec.json.Decoder(list[msgspec.Raw])


def _decoded(raw: bytes, decoder: msgspec.json.Decoder[Any], limit: int) -> Any:  # noqa: ANN401 - the decoder's type
    if len(raw) > limit or _BRACKET in raw or _BRACE in raw[1:]:
        _check_shape(raw, limit)  # most commands are short and flat
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _malformed(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(raw, error) from error


def _check(raw: bytes, value: Any, held: "_Held") -> None:  # noqa: ANN401 - any type
    moments, integers, words, deep_words = held
    if (_BACKSLASH in raw and b"\\u0000" in raw and _ESCAPED_NUL.search(raw)) or (
        integers and _LONG_INTEGER.search(raw)
    ):
        _refuse_unstorable(raw)
    if moments:
        _refuse_moments(value, "$")
    if deep_words:
        _refuse_blanks(value, "$")
    else:
        _refuse_blank(value, words, "$")


def _check_shape(raw: bytes, limit: int) -> None:
    if len(raw) > limit:
        message = f"The body has {len(raw)} bytes; the limit is {limit}."
        raise TooLarge(message)
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deep(raw):
        message = f"The body is nested more than {MAX_DEPTH} levels deep."
        raise Malformed(message)


def _is_deep(raw: bytes) -> bool:
    """Say whether brackets nest deeper than the limit, in time linear in the body.

    Text is cut out; then each pass removes the innermost pairs, of which there are
    many, unless there is a run of opening brackets that is itself too long.
    """
    marks = raw.translate(_STRUCTURE, _TEXT)
    marks = marks.replace(b"\\\\", b"").replace(b'\\"', b"").replace(b"\\", b"")
    brackets = _QUOTED.sub(b"", marks)
    for _ in range(MAX_DEPTH):
        if b"[" * (MAX_DEPTH + 1) in brackets:
            return True
        rest = brackets.replace(b"[]", b"")
        if len(rest) == len(brackets):
            return False
        brackets = rest
    return b"[" in brackets


def _malformed(error: msgspec.ValidationError) -> Malformed:
    """Return a failure with the decoder's own words and path, the field included."""
    text = str(error)
    place = _PLACE.search(text)
    path = place["path"] if place else "$"
    text = text[: place.start()] if place else text
    field = _FIELD.search(text)
    if field:
        path += _step(field["name"])
    return Malformed(f"{text}.", path=path)


def _unreadable(raw: bytes, error: Exception) -> Malformed:
    """Return a failure for what is not JSON, with a path where the rest can be read."""
    try:
        value = _loaded(raw)
    except (ValueError, RecursionError):
        return Malformed(f"The body is not JSON: {error}.")
    for path, leaf in _leaves(value, "$"):
        if isinstance(leaf, str) and not _is_unicode(leaf):
            return Malformed("This text is not Unicode.", path=path)
    return Malformed(f"The body is not JSON: {error}.")


def _refuse_unstorable(raw: bytes) -> None:
    try:
        value = _loaded(raw)
    except (ValueError, RecursionError) as error:
        # What a type passes over unread need not even be JSON.
        message = f"The body is not JSON: {error}."
        raise Malformed(message) from error
    for path, leaf in _leaves(value, "$"):
        if isinstance(leaf, str) and "\0" in leaf:
            raise Malformed("This text holds a NUL character.", path=path)
        if isinstance(leaf, int) and not _LEAST_INTEGER <= leaf <= _GREATEST_INTEGER:
            raise Malformed("This integer does not fit into 64 bits.", path=path)


def _loaded(raw: bytes) -> object:
    """Return what JSON holds, whatever its type: numbers and text of any kind."""
    return json.loads(raw.decode(errors="surrogateescape"), parse_int=_integer)


def _integer(digits: str) -> int:
    """Return an integer, or one beyond 64 bits for all that are far beyond."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else 1 << 64


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            for key, item in value.items():
                yield path, key
                yield from _leaves(item, path + _step(key))
        case list():
            for index, item in enumerate(value):
                yield from _leaves(item, f"{path}[{index}]")
        case _:
            yield path, value


def _step(key: str) -> str:
    """Return a key as a step of a path, quoted as JSON where it is not a plain name."""
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(key)}]"


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse_moments(value: object, path: str) -> None:
    match value:
        case datetime():
            _refuse_moment(value, path)
        case msgspec.Struct():
            for name in value.__struct_fields__:
                _refuse_moments(getattr(value, name), f"{path}.{name}")
        case dict():
            for key, item in value.items():
                _refuse_moments(item, path + _step(str(key)))
        case list() | tuple():
            for index, item in enumerate(value):
                _refuse_moments(item, f"{path}[{index}]")
        case _:
            pass


def _refuse_moment(moment: datetime, path: str) -> None:
    if moment.tzinfo is None:
        raise Malformed("This time has no time zone.", path=path)
    try:
        moment.astimezone(UTC)
    except OverflowError as error:
        raise Malformed("This time is before year 1 or after 9999.", path=path) from (
            error
        )


def _refuse_blanks(value: object, path: str) -> None:
    match value:
        case msgspec.Struct():
            _refuse_blank(value, _words(type(value)), path)
            for name in value.__struct_fields__:
                _refuse_blanks(getattr(value, name), f"{path}.{name}")
        case dict():
            for key, item in value.items():
                _refuse_blanks(item, path + _step(str(key)))
        case list() | tuple():
            for index, item in enumerate(value):
                _refuse_blanks(item, f"{path}[{index}]")
        case _:
            pass


def _refuse_blank(value: object, words: Iterable[str], path: str) -> None:
    for name in words:
        text = getattr(value, name)
        if isinstance(text, str) and text.isspace():
            raise Malformed("This text is blank.", path=f"{path}.{name}")


class _Held(NamedTuple):
    """What values of a type can hold that needs a look after decoding.

    `words` are the fields of the type itself that are `WORDED`; `deep_words` says that
    there are some further down.
    """

    moments: bool
    integers: bool
    words: tuple[str, ...]
    deep_words: bool


@cache
def _held(kind: Any) -> _Held:  # noqa: ANN401 - any type
    """Return what a type holds, at any depth; an integer counts if it has no bounds."""
    whole = inspect.type_info(kind)
    infos = list(_infos([whole]))
    parts = [field.type for field in whole.fields] if _is_struct(whole) else [whole]
    _check_worded(kind, infos)
    return _Held(
        moments=any(isinstance(info, inspect.DateTimeType) for info in infos),
        integers=any(
            isinstance(info, inspect.AnyType)
            or (isinstance(info, inspect.IntType) and not _is_bounded(info))
            for info in infos
        ),
        words=_words(kind),
        deep_words=any(_is_struct(info) and _words(info.cls) for info in _infos(parts)),
    )


def _is_struct(info: inspect.Type) -> TypeGuard[inspect.StructType]:
    return isinstance(info, inspect.StructType)


@cache
def _words(kind: Any) -> tuple[str, ...]:  # noqa: ANN401 - any type
    """Return the fields of a struct that are `WORDED`."""
    info = inspect.type_info(kind)
    if not _is_struct(info):
        return ()
    return tuple(
        field.name for field in info.fields if any(map(_is_worded, _choices(field)))
    )


def _choices(field: inspect.Field) -> Sequence[inspect.Type]:
    """Return the types that a field can have."""
    kind = field.type
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _is_worded(info: inspect.Type) -> bool:
    extra = info.extra if isinstance(info, inspect.Metadata) else None
    return extra is not None and _WORDED in extra


def _check_worded(kind: object, infos: Iterable[inspect.Type]) -> None:
    """Raise `TypeError` where a text is `WORDED` that is no field of a struct."""
    structs = filter(_is_struct, infos)
    looked_at = {
        id(info)
        for struct in structs
        for field in struct.fields
        for info in _choices(field)
    }
    if any(_is_worded(info) and id(info) not in looked_at for info in infos):
        message = f"{kind} holds a worded text that is no field: give it a pattern."
        raise TypeError(message)


def _is_bounded(info: inspect.IntType) -> bool:
    least = info.ge if info.ge is not None else info.gt
    greatest = info.le if info.le is not None else info.lt
    return (
        least is not None
        and greatest is not None
        and least >= _LEAST_INTEGER
        and greatest <= _GREATEST_INTEGER
    )


def _infos(types: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    """Yield types and every type that they are made of."""
    open_types = list(types)
    seen: set[int] = set()
    while open_types:
        info = open_types.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        yield info
        match info:
            case inspect.StructType(fields=fields):
                open_types.extend(field.type for field in fields)
            case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
                open_types.extend(types)
            case inspect.DictType(key_type=key, value_type=item):
                open_types.extend((key, item))
            case inspect.CollectionType(item_type=item):
                open_types.append(item)
            case inspect.Metadata(type=inner):
                open_types.append(inner)
            case _:
                pass
