from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Unauthenticated
from services.accounts.rates import network_of
from services.accounts.secrets import Secrets, folded, new_code


SECRETS = Secrets(b"a secret of tests")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ines@Library.example", " ines@library.EXAMPLE "),
        ("STRASSE", "stra\u00dfe"),
        ("\ufb01nn", "finn"),
        ("e\u0301va", "\u00c9VA"),
    ],
)
def test_an_address_is_the_same_however_it_is_written(one: str, other: str) -> None:
    assert folded(one) == folded(other)
    assert SECRETS.address(one) == SECRETS.address(other)


def test_what_stands_for_a_thing_stands_for_nothing_else() -> None:
    found = {
        SECRETS.address("ines"),
        SECRETS.username("ines"),
        Secrets(b"another").address("ines"),
        SECRETS.code("library", "ines", "1").hex(),
        SECRETS.code("museum", "ines", "1").hex(),
        SECRETS.code("library", "ines", "2").hex(),
    }
    assert len(found) == 6
    assert not any("ines" in each for each in found)


def test_codes_have_eight_digits_each_time_others() -> None:
    codes = {new_code() for _ in range(100)}
    assert len(codes) > 90
    assert all(len(code) == 8 and code.isdecimal() for code in codes)


@given(session=st.uuids(), generation=st.integers(0, 2**32 - 1))
def test_a_refresh_token_names_its_session_and_generation(
    session: UUID, generation: int
) -> None:
    token = SECRETS.refresh_token(session, generation)
    assert SECRETS.session_of(token) == (session, generation)
    with pytest.raises(Unauthenticated):
        Secrets(b"another").session_of(token)


@given(st.text() | st.text().map(lambda text: f"rhr_{text}"))
def test_what_is_no_refresh_token_of_ours_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        SECRETS.session_of(text)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        (None, None),
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("nowhere", "nowhere"),
    ],
)
def test_an_address_counts_by_what_one_household_has(
    address: str | None, network: str | None
) -> None:
    assert network_of(address) == network
