import asyncio
from typing import Final

import argon2
import bcrypt
import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from events.errors import TooMany
from infra.passwords import PREFIX, WAITING, PasswordHasher, weakness


COST: Final = 4
WORDS: Final = ("ines@library.example", "ines", "library")


@pytest.fixture
def hasher() -> PasswordHasher:
    return PasswordHasher(b"a key of tests", cost=COST)


@pytest.mark.parametrize(
    "password",
    ["seventeen quiet herons", "x" * 256, "\u00fcber \U0001f986", "a\0b", "", " a "],
)
async def test_a_hash_is_of_its_password_to_the_last_letter(
    hasher: PasswordHasher, password: str
) -> None:
    hashed = await hasher.hash(password)
    assert await hasher.matches(password, hashed)
    assert not await hasher.matches(password + "x", hashed)
    assert not await hasher.matches(password[:-1] + "?", hashed)
    assert await hasher.hash(password) != hashed


async def test_a_hash_is_worthless_without_the_key(hasher: PasswordHasher) -> None:
    hashed = await hasher.hash("seventeen quiet herons")
    other = PasswordHasher(b"another key", cost=COST)
    assert not await other.matches("seventeen quiet herons", hashed)
    assert hashed.startswith(f"{PREFIX}$2b$04$")
    plain = hashed.removeprefix(PREFIX).encode()
    assert not bcrypt.checkpw(b"seventeen quiet herons", plain)


async def test_no_hash_is_of_no_password_after_the_same_work(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[bytes] = []
    check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        costs.append(hashed[:7])
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    hashed = await hasher.hash("seventeen quiet herons")
    assert not await hasher.matches("seventeen quiet herons", None)
    assert not await hasher.matches("another", hashed)
    assert costs == [b"$2b$04$"] * 2


async def test_a_hash_of_another_cost_or_scheme_is_believed_and_to_be_replaced(
    hasher: PasswordHasher,
) -> None:
    older = await PasswordHasher(b"a key of tests", cost=COST + 1).hash("herons")
    foreign = argon2.PasswordHasher(time_cost=1, memory_cost=64).hash("herons")
    for hashed, scheme in ((older, "bcrypt"), (foreign, "argon2id")):
        assert await hasher.matches("herons", hashed)
        assert not await hasher.matches("heron", hashed)
        assert not hasher.is_current(hashed)
        assert hasher.scheme(hashed) == scheme
    assert hasher.is_current(await hasher.hash("herons"))
    assert not await hasher.matches("herons", "$argon2id$broken")


async def test_those_who_wait_for_their_turn_are_few(hasher: PasswordHasher) -> None:
    answers = await asyncio.gather(
        *(hasher.hash("herons") for _ in range(WAITING + 10)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, TooMany)]
    assert len(refused) == 10


@pytest.mark.parametrize(
    "password",
    ["password123", "letmein1", "ines@library.example", "library1", "aaaaaaaaaaaaaaaa"],
)
def test_what_everybody_tries_first_is_weak(password: str) -> None:
    assert weakness(password, WORDS)


def test_none_of_the_three_thousand_most_used_passwords_is_taken() -> None:
    long_enough = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= 8]
    most_used = long_enough[:3_000]
    assert len(most_used) == 3_000
    assert [word for word in most_used if weakness(word, ()) is None] == []


@pytest.mark.parametrize(
    "password",
    ["seventeen quiet herons", "kW7!pq0-zRb", "\u00e4 \U0001f986 quiet herons" * 20],
)
def test_any_letters_make_a_password(password: str) -> None:
    assert weakness(password, WORDS) is None
