"""Identifiers that are made without checks are those that Python makes."""

from uuid import RFC_4122, UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from events.ids import named, uuid_of


@given(st.uuids(), st.text())
def test_a_name_has_the_uuid_of_version_5(namespace: UUID, name: str) -> None:
    made = named(namespace, name)
    assert made == uuid5(namespace, name)
    assert (made.version, made.variant) == (5, RFC_4122)


@given(st.uuids())
def test_a_number_makes_a_whole_uuid(known: UUID) -> None:
    made = uuid_of(known.int)
    assert (made, made.hex, hash(made), repr(made)) == (
        known,
        known.hex,
        hash(known),
        repr(known),
    )
