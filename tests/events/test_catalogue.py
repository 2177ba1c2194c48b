import inspect
from uuid import UUID

import msgspec
import pytest

from events.catalogue import EVENTS, decode, encode, tag
from events.errors import Malformed
from events.ids import PersonaId
from events.message import Event
from events.testing.personas import PersonaDeleted


EVERY_EVENT = sorted(EVENTS.values(), key=tag)
DELETED = PersonaDeleted(persona_id=PersonaId(UUID(int=1)))


def test_an_event_comes_back_as_it_was_stored() -> None:
    stored = encode(DELETED)
    assert stored.startswith(b'{"type":"testing.PersonaDeleted",')
    assert decode("testing.PersonaDeleted", stored) == DELETED


def test_fields_of_newer_writers_are_tolerated() -> None:
    newer = encode(DELETED)[:-1] + b',"mood":"calm"}'
    assert decode("testing.PersonaDeleted", newer) == DELETED


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("testing.PersonaMislaid", b"{}"),
        ("testing.PersonaDeleted", b"{}"),
        ("testing.PersonaDeleted", b"{"),
        ("testing.PersonaDeleted", b"\xff"),
        ("testing.PersonaDeleted", b"[" * 100_000),
        ("testing.PersonaCreated", encode(DELETED)),
    ],
)
def test_what_is_no_such_event_is_malformed(kind: str, stored: bytes) -> None:
    with pytest.raises(Malformed):
        decode(kind, stored)


@pytest.mark.parametrize("kind", EVERY_EVENT)
def test_an_event_is_frozen_and_tagged_and_keeps_its_defaults(
    kind: type[Event],
) -> None:
    config = kind.__struct_config__
    context = kind.__module__.split(".")[1]
    assert config.frozen
    assert not config.forbid_unknown_fields
    assert not config.omit_defaults
    assert (config.tag_field, config.tag) == ("type", f"{context}.{kind.__name__}")


@pytest.mark.parametrize("kind", EVERY_EVENT)
def test_an_event_takes_keywords_only(kind: type[Event]) -> None:
    kinds = {given.kind for given in inspect.signature(kind).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("kind", EVERY_EVENT)
def test_personal_fields_are_texts_with_a_subject(kind: type[Event]) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name in kind.personal:
        assert fields[name] in (str, str | None)
        assert "subject_id" in fields


@pytest.mark.parametrize("kind", EVERY_EVENT)
def test_an_event_s_first_field_names_its_stream(kind: type[Event]) -> None:
    first = msgspec.inspect.type_info(kind)
    assert isinstance(first, msgspec.inspect.StructType)
    assert isinstance(first.fields[0].type, msgspec.inspect.UUIDType)
