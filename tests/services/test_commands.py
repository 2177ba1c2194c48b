"""What holds of every command, and of everything that clients send within one."""

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from events.message import Command
from services.routing import COMMANDS, DECIDER_OF, PublicCommand
from tests.services.testing.examples import DESK_WITH_SET, a_run, a_spec, a_trial


EVERY_COMMAND = sorted(DECIDER_OF, key=lambda kind: kind.__name__)
EVERY_PUBLIC_COMMAND = sorted(COMMANDS.values(), key=lambda kind: kind.__name__)
Types = msgspec.inspect


def parts(kind: Any) -> Iterator[Types.Type]:  # noqa: ANN401 - a type or a union
    """Yield every type that a client's JSON may meet within a type."""
    seen: set[Any] = set()
    waiting = [Types.type_info(kind)]
    while waiting:
        part = waiting.pop()
        yield part
        match part:
            case Types.StructType(cls=cls) if cls not in seen:
                seen.add(cls)
                waiting += [field.type for field in part.fields]
            case Types.UnionType(types=types):
                waiting += types
            case Types.ListType(item_type=item) | Types.SetType(item_type=item):
                waiting.append(item)
            case Types.DictType(key_type=key, value_type=value):
                waiting += [key, value]


@pytest.mark.parametrize("kind", EVERY_COMMAND)
def test_a_command_is_frozen_strict_and_tagged(kind: type[Command]) -> None:
    config = kind.__struct_config__
    context = kind.__module__.split(".")[1]
    assert config.frozen
    assert config.forbid_unknown_fields
    assert (config.tag_field, config.tag) == ("type", f"{context}.{kind.__name__}")


@pytest.mark.parametrize("kind", EVERY_COMMAND)
def test_a_command_takes_keywords_only(kind: type[Command]) -> None:
    kinds = {given.kind for given in inspect.signature(kind).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("kind", EVERY_PUBLIC_COMMAND)
def test_a_command_says_what_it_does(kind: type[Command]) -> None:
    assert kind.__doc__
    assert not kind.__doc__.startswith(kind.__name__)


@pytest.mark.parametrize("kind", EVERY_PUBLIC_COMMAND)
def test_a_command_s_first_field_names_its_stream(kind: type[Command]) -> None:
    first = Types.type_info(kind)
    assert isinstance(first, Types.StructType)
    assert isinstance(first.fields[0].type, Types.UUIDType)
    assert first.fields[0].required


@pytest.mark.parametrize("kind", EVERY_PUBLIC_COMMAND)
def test_nothing_unknown_is_taken_at_any_depth(kind: type[Command]) -> None:
    for part in parts(kind):
        if isinstance(part, Types.StructType):
            config = part.cls.__struct_config__
            assert config.forbid_unknown_fields, part.cls
            assert config.frozen, part.cls


@pytest.mark.parametrize("kind", EVERY_PUBLIC_COMMAND)
def test_nothing_that_a_client_sends_is_unbounded(kind: type[Command]) -> None:
    for part in parts(kind):
        match part:
            case Types.StrType() | Types.ListType() | Types.DictType():
                assert part.max_length is not None, part
            case Types.IntType():
                assert part.ge is not None, part
                assert (part.le or part.lt) is not None, part
            case Types.DateTimeType():
                assert part.tz, part
            case Types.AnyType() | Types.RawType() | Types.BytesType():
                pytest.fail(f"{kind.__name__} takes {part}")


@pytest.mark.parametrize("command", [*DESK_WITH_SET, a_run(a_spec()), a_trial()])
def test_a_command_survives_the_wire(command: Command) -> None:
    sent = msgspec.json.encode(command)
    assert msgspec.json.decode(sent, type=PublicCommand) == command


def test_the_schema_of_every_command_can_be_published() -> None:
    schema = msgspec.json.schema(PublicCommand)
    assert len(schema["anyOf"]) == len(COMMANDS)
