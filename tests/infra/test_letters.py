"""Letters in PostgreSQL: kept once, without their token, found again as they came."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.errors import Malformed, Missing, TooMany, Unauthenticated
from infra.postgres.letters import BEGINNING, PostgresLetters
from infra.postgres.pool import open_pool
from services.commanding import BATCH_BYTES
from services.identity import Identity
from services.intake.message import Message
from tests.builders import new_id
from tests.postgres_ladder import Database


IDENTITY = Identity(
    org_id="acme", region="local", actor="user:ada", roles=frozenset({"admin"})
)
MESSAGE = Message(
    body=b'{"type": "testing.Nothing\\u0000"}\0\xff',
    routing_key="testing.\0Nothing",
    message_id="7",
    headers={"authorization": "Bearer secret", "traceparent": "x", "n": {"a": [1.5]}},
)
BAD = Malformed("There is no type testing.\0Nothing.", path='$["\0"]')


@pytest.fixture
async def letters(database: Database) -> AsyncIterator[PostgresLetters]:
    async with await open_pool(
        database.app, min_size=1, max_size=2, application_name="tests"
    ) as pool:
        yield PostgresLetters(pool)


async def test_a_letter_keeps_the_message_but_for_its_token(
    letters: PostgresLetters,
) -> None:
    letter_id = await letters.keep(MESSAGE, IDENTITY, BAD)

    (letter,) = await letters.dead()

    assert letter == await letters.letter(letter_id)
    without = {"traceparent": "x", "n": {"a": [1.5]}}
    assert letter.message == replace(MESSAGE, headers=without)
    assert letter.identity == IDENTITY
    assert (letter.code, letter.state) == ("malformed", "dead")
    assert letter.detail == "There is no type testing.␀Nothing."
    assert letter.path == '$["␀"]'


async def test_the_same_message_again_is_the_same_letter(
    letters: PostgresLetters,
) -> None:
    first = await letters.keep(MESSAGE, None, Unauthenticated())
    (letter,) = await letters.dead()
    second = await letters.keep(letter.message, IDENTITY, BAD)

    (again,) = await letters.dead()
    assert first == second == again.letter_id
    assert (again.deliveries, again.code) == (2, "malformed")
    other = replace(MESSAGE, message_id="8")
    assert await letters.keep(other, None, BAD) != first


async def test_of_a_body_past_all_limits_the_beginning_is_kept(
    letters: PostgresLetters,
) -> None:
    body = b"x" * (BATCH_BYTES + 1)
    await letters.keep(replace(MESSAGE, body=body), None, BAD)

    (letter,) = await letters.dead()

    assert letter.size == len(body)
    assert letter.message.body == body[:BEGINNING]


async def test_a_delayed_letter_is_taken_once_its_time_has_come(
    letters: PostgresLetters,
) -> None:
    hold = timedelta(minutes=5)
    later = replace(MESSAGE, message_id="8")
    due = await letters.keep(MESSAGE, IDENTITY, TooMany(retry_after=0))
    await letters.keep(later, IDENTITY, TooMany(retry_after=60))

    (taken,) = await letters.take_due(10, hold=hold)

    assert (taken.letter_id, taken.state) == (due, "waiting")
    assert not await letters.take_due(10, hold=hold)
    assert not await letters.dead()
    await letters.close(due)
    assert (await letters.letter(due)).state == "done"


async def test_a_letter_that_its_taker_did_not_close_is_taken_again(
    letters: PostgresLetters,
) -> None:
    letter_id = await letters.keep(MESSAGE, IDENTITY, TooMany(retry_after=0))
    for _ in range(2):
        (taken,) = await letters.take_due(10, hold=timedelta())
        assert taken.letter_id == letter_id


async def test_dead_letters_are_listed_by_organisation_in_pages(
    letters: PostgresLetters,
) -> None:
    ids = list[UUID]()
    for number in range(3):
        message = replace(MESSAGE, message_id=str(number))
        ids.append(await letters.keep(message, IDENTITY, BAD))
    await letters.keep(MESSAGE, replace(IDENTITY, org_id="umbrella"), BAD)

    first = await letters.dead("acme", limit=2)
    rest = await letters.dead("acme", after=first[-1].letter_id)

    assert [letter.letter_id for letter in (*first, *rest)] == ids
    assert len(await letters.dead()) == 4


async def test_a_dropped_letter_is_listed_no_more(letters: PostgresLetters) -> None:
    letter_id = await letters.keep(MESSAGE, IDENTITY, BAD)
    await letters.drop(letter_id)

    assert not await letters.dead()
    assert (await letters.letter(letter_id)).state == "dropped"
    for missing in (letter_id, new_id()):
        with pytest.raises(Missing):
            await letters.drop(missing)


async def test_old_letters_are_forgotten(letters: PostgresLetters) -> None:
    letter_id = await letters.keep(MESSAGE, IDENTITY, BAD)
    assert await letters.forget(timedelta(hours=1)) == 0
    assert await letters.forget(timedelta()) == 1
    with pytest.raises(Missing):
        await letters.letter(letter_id)
