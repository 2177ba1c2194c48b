"""Packed bodies are opened again, and found out when they are not what they say."""

import pytest
from msgspec.structs import replace

from events.packing import BadlyPackedError, Packed, packed


BODY = packed(b"again and " * 100, media_type="text/plain")
OTHER = packed(b"and again " * 100, media_type="text/plain")


def test_a_packed_body_is_smaller_and_opened_as_it_was() -> None:
    assert len(BODY.content) < BODY.size == 1_000
    assert BODY.opened() == b"again and " * 100


@pytest.mark.parametrize(
    "broken",
    [
        replace(BODY, content=b"no frame"),
        replace(BODY, content=BODY.content[:-1]),
        replace(BODY, content=OTHER.content),
        replace(BODY, sha256=OTHER.sha256),
    ],
)
def test_a_body_that_is_not_what_its_name_says_is_not_opened(broken: Packed) -> None:
    with pytest.raises(BadlyPackedError):
        broken.opened()
