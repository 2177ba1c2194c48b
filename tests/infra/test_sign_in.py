"""What is kept beside the log: rates over all processes, codes, sessions, their end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from infra.clock import new_id, now
from infra.postgres.pool import Pool, open_pool
from infra.postgres.sign_in import (
    EVERY_GENERATION,
    PRUNE,
    PostgresStore,
    follow_ended,
)
from services.accounts.ports import Handshake, Rate, Session
from tests.postgres_ladder import Database


IDLE: Final = timedelta(days=14)
DIGEST: Final = b"digest"


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with await open_pool(
        database.app, min_size=1, max_size=8, application_name="tests"
    ) as opened:
        yield opened


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    return PostgresStore(pool, {})


def session(user_id: UUID | None = None) -> Session:
    moment = now()
    return Session(
        session_id=new_id(),
        org_id="library",
        user_id=user_id or new_id(),
        method="code",
        generation=1,
        ip="198.51.100.7",
        agent="a browser",
        created_at=moment,
        used_at=moment,
        expires_at=moment + timedelta(days=30),
    )


@pytest.mark.every_postgres
async def test_a_rate_admits_its_burst_and_says_how_long_to_wait(
    store: PostgresStore,
) -> None:
    rate = Rate(burst=5, period=timedelta(hours=1))
    waits = await asyncio.gather(*(store.admit("ines", rate) for _ in range(20)))
    refused = [wait for wait in waits if wait is not None]
    assert len(refused) == 15
    assert all(
        timedelta(minutes=11) < wait <= timedelta(minutes=12) for wait in refused
    )
    assert await store.admit("otto", rate) is None


async def test_what_was_used_of_a_rate_comes_back(store: PostgresStore) -> None:
    rate = Rate(burst=2, period=timedelta(milliseconds=40))
    async with asyncio.timeout(10):
        for _ in range(6):
            while await store.admit("ines", rate) is not None:  # noqa: ASYNC110 - time itself is waited for
                await asyncio.sleep(0.005)


async def test_the_last_code_is_the_only_one(store: PostgresStore) -> None:
    for digest in (b"first", b"second"):
        await store.keep_code("library", "ines", digest, seconds=60, guesses=5)
    assert not await store.guess_code("library", "ines", b"first", spend=True)
    assert not await store.guess_code("museum", "ines", b"second", spend=True)
    assert await store.guess_code("library", "ines", b"second", spend=False)
    spent = await asyncio.gather(
        *(store.guess_code("library", "ines", b"second", spend=True) for _ in range(8))
    )
    assert spent.count(True) == 1


async def test_a_code_ends_by_wrong_guesses_and_by_its_time(
    store: PostgresStore,
) -> None:
    await store.keep_code("library", "ines", DIGEST, seconds=60, guesses=3)
    for _ in range(3):
        assert not await store.guess_code("library", "ines", b"other", spend=False)
    assert not await store.guess_code("library", "ines", DIGEST, spend=True)
    await store.keep_code("library", "otto", DIGEST, seconds=0, guesses=3)
    assert not await store.guess_code("library", "otto", DIGEST, spend=True)


async def test_a_handshake_is_taken_once_and_in_its_time(
    store: PostgresStore,
) -> None:
    begun = Handshake(org_id="library", provider="acme", redirect_uri="https://a.b/c")
    await store.keep_handshake(b"first", begun, seconds=60)
    taken = await asyncio.gather(*(store.take_handshake(b"first") for _ in range(8)))
    assert [each for each in taken if each] == [begun]
    await store.keep_handshake(b"second", begun, seconds=0)
    assert await store.take_handshake(b"second") is None
    assert await store.take_handshake(b"never") is None


async def test_one_of_many_renewals_makes_the_next_generation(
    store: PostgresStore,
) -> None:
    kept = session()
    await store.begin(kept)
    assert await store.session(kept.session_id) == kept
    renewed = await asyncio.gather(
        *(store.renew(kept.session_id, 1, idle=IDLE) for _ in range(8))
    )
    (made,) = (each for each in renewed if each is not None)
    assert made.generation == 2
    assert await store.renew(kept.session_id, 2, idle=timedelta(0)) is None
    await store.end(kept.session_id, "signed-out")
    assert await store.renew(kept.session_id, 2, idle=IDLE) is None
    assert not await store.end(kept.session_id, "reused")


async def test_a_user_s_sessions_end_together_but_one(store: PostgresStore) -> None:
    user = new_id()
    mine = [session(user), session(user), session(user)]
    other = session()
    for each in (*mine, other):
        await store.begin(each)
    later = replace(
        session(user), session_id=new_id(), created_at=now() + timedelta(hours=1)
    )
    await store.begin(later)
    ended = await store.end_all(user, "password", but=mine[0].session_id, until=now())
    assert set(ended) == {mine[1].session_id, mine[2].session_id}
    left = [each.session_id for each in await store.sessions(user)]
    assert left == [later.session_id, mine[0].session_id]
    assert len(await store.sessions(other.user_id)) == 1


async def test_nothing_is_left_of_a_user_who_is_forgotten(
    store: PostgresStore,
) -> None:
    kept = session()
    await store.begin(kept)
    await store.keep_password("library", kept.user_id, "hash")
    await store.keep_password("library", kept.user_id, "newer")
    assert await store.password(kept.user_id) == "newer"
    await store.forget_user(kept.user_id)
    assert await store.password(kept.user_id) is None
    found = await store.session(kept.session_id)
    assert found is not None
    assert (found.ended_why, found.ip, found.agent) == ("erased", None, None)


async def test_a_session_that_ends_elsewhere_is_known_here(
    pool: Pool, store: PostgresStore
) -> None:
    kept = session()
    await store.begin(kept)
    await store.end(kept.session_id, "signed-out")
    ended: dict[UUID, int] = {}
    following = asyncio.create_task(follow_ended(pool, ended))
    async with asyncio.timeout(10):
        while kept.session_id not in ended:  # noqa: ASYNC110 - a set wakes no one
            await asyncio.sleep(0.005)
    following.cancel()


async def test_whose_tokens_are_outdated_goes_on_with_the_next_ones(
    pool: Pool, store: PostgresStore
) -> None:
    kept, ended_since, other = session(), session(), session()
    for each in (kept, ended_since, other):
        await store.begin(each)
    await store.renew(kept.session_id, 1, idle=timedelta(days=1))
    await store.outdate(kept.user_id)
    await store.end(ended_since.session_id, "signed-out")
    outdated: dict[UUID, int] = {kept.session_id: 1}
    following = asyncio.create_task(follow_ended(pool, outdated))
    async with asyncio.timeout(10):
        while ended_since.session_id not in outdated:  # noqa: ASYNC110 - it wakes no one
            await asyncio.sleep(0.005)
    following.cancel()
    assert outdated[kept.session_id] == 2
    assert outdated[ended_since.session_id] == EVERY_GENERATION
    assert other.session_id not in outdated
    renewed = await store.renew(kept.session_id, 2, idle=timedelta(days=1))
    assert renewed is not None
    assert renewed.generation == 3


async def test_what_has_no_effect_any_more_is_pruned(
    database: Database, pool: Pool, store: PostgresStore
) -> None:
    await store.keep_code("library", "ines", DIGEST, seconds=0, guesses=3)
    await store.keep_code("library", "otto", DIGEST, seconds=60, guesses=3)
    handshake = Handshake(org_id="library", provider="acme", redirect_uri="https://a.b")
    await store.keep_handshake(b"nobody came back", handshake, seconds=0)
    await store.keep_handshake(b"lately", handshake, seconds=60)
    await store.admit("used up", Rate(burst=1, period=timedelta(hours=1)))
    await store.admit("long ago", Rate(burst=1, period=timedelta(microseconds=1)))
    long_ago, lately = session(), session()
    for each in (long_ago, lately):
        await store.begin(each)
        await store.end(each.session_id, "signed-out")
    connection = await asyncpg.connect(database.superuser)
    await connection.execute(
        "UPDATE sign_in.sessions SET ended_at = ended_at - interval '8 days'"
        " WHERE session_id = $1",
        long_ago.session_id,
    )
    await connection.close()
    assert await pool.fetchval(PRUNE) == 4
    assert await pool.fetchval(PRUNE) == 0
    assert await store.session(lately.session_id) is not None


@pytest.mark.parametrize(
    "table", ["passwords", "codes", "handshakes", "sessions", "rates"]
)
async def test_people_who_read_with_sql_see_nothing_of_it(
    database: Database, table: str
) -> None:
    for dsn in (database.reader, database.projector, database.keys):
        connection = await asyncpg.connect(dsn)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT * FROM sign_in.{table}")  # noqa: S608 - our own names
        await connection.close()
