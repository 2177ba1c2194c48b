import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Refused, Unavailable
from events.message import ERASED
from infra.memory.vault import MemoryVault
from infra.postgres.vault import PostgresVault, open_vault, rotate_master
from infra.sealing import (
    KEY_BYTES,
    DataKey,
    MasterKeys,
    ensure_master_keys,
    read_master_keys,
)
from infra.settings import SetupError
from tests.builders import new_id
from tests.postgres_ladder import Database
from tests.suites.vault import ORG, ErasingVault, VaultContract, sealed, spoken, text


FIRST = bytes(range(KEY_BYTES))
SECOND = bytes(range(KEY_BYTES, 2 * KEY_BYTES))


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database.keys, min_size=1, max_size=4) as pool:
        yield pool


async def test_a_secret_of_the_installation_outlives_its_master_key(
    pool: asyncpg.Pool,
) -> None:
    first = await vault_of(pool, FIRST).secret("accounts")
    assert len(first) == KEY_BYTES
    assert await vault_of(pool, FIRST).secret("accounts") == first
    assert await vault_of(pool, FIRST).secret("others") != first
    await rotate_master(pool, FIRST, SECOND)
    assert await vault_of(pool, SECOND).secret("accounts") == first


class TestMemoryVault(VaultContract):
    @pytest.fixture
    def vault(self) -> ErasingVault:
        return MemoryVault(ids=new_id)


class TestPostgresVault(VaultContract):
    @pytest.fixture
    def vault(self, pool: asyncpg.Pool) -> ErasingVault:
        return PostgresVault(pool, MasterKeys(FIRST), ids=new_id)


class TestPostgresVaultThatForgetsAtOnce(VaultContract):
    @pytest.fixture
    def vault(self, pool: asyncpg.Pool) -> ErasingVault:
        return PostgresVault(
            pool, MasterKeys(FIRST), ids=new_id, ttl=0, capacity=0, block=1
        )


def vault_of(
    pool: asyncpg.Pool, *masters: bytes, block: int = 1_024, seals_per_key: int = 2**32
) -> PostgresVault:
    return PostgresVault(
        pool,
        MasterKeys(*masters),
        ids=new_id,
        block=block,
        seals_per_key=seals_per_key,
    )


async def stored_keys(pool: asyncpg.Pool) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM keys.subject_keys ORDER BY created_at")


async def test_another_process_opens_what_one_sealed(pool: asyncpg.Pool) -> None:
    event = spoken("Ghent", new_id())
    locked = await sealed(vault_of(pool, FIRST), event)
    assert await vault_of(pool, FIRST).open([locked]) == [event]


async def test_processes_that_meet_a_subject_at_once_share_its_key(
    pool: asyncpg.Pool,
) -> None:
    person = new_id()
    vaults = [vault_of(pool, FIRST) for _ in range(8)]
    sealings = [sealed(vault, spoken("a", person)) for vault in vaults]
    assert len({key for _, key, _ in await asyncio.gather(*sealings)}) == 1


async def test_batches_that_share_subjects_do_not_deadlock(pool: asyncpg.Pool) -> None:
    people = [new_id() for _ in range(50)]

    async def seal_all(order: list[UUID]) -> None:
        await vault_of(pool, FIRST, block=1).seal(
            ORG, [(new_id(), spoken("a", person)) for person in order]
        )

    await asyncio.gather(*(seal_all(people[::step]) for step in (1, -1) * 8))
    assert len(await stored_keys(pool)) == 50


async def test_a_key_is_stored_wrapped(pool: asyncpg.Pool) -> None:
    await sealed(vault_of(pool, FIRST), spoken("Ghent", new_id()))
    (row,) = await stored_keys(pool)
    secret = MasterKeys(FIRST).unwrap(row["key_id"], row["wrapped"])
    assert len(secret) == KEY_BYTES
    assert secret not in row["wrapped"]


async def test_an_erasure_leaves_no_wrapped_key(pool: asyncpg.Pool) -> None:
    person = new_id()
    vault = vault_of(pool, FIRST)
    await sealed(vault, spoken("Ghent", person))
    await vault.erase(ORG, person)
    (row,) = await stored_keys(pool)
    assert row["wrapped"] is None
    assert row["destroyed_at"] is not None


async def test_an_erasure_elsewhere_takes_effect_within_the_time_to_live(
    pool: asyncpg.Pool,
) -> None:
    watch = Watch()
    person = new_id()
    here = PostgresVault(pool, MasterKeys(FIRST), ids=new_id, ttl=30, clock=watch)
    locked = await sealed(here, spoken("Ghent", person))
    await here.open([locked])
    await vault_of(pool, FIRST).erase(ORG, person)
    watch.now += 31
    assert text((await here.open([locked]))[0]) == ERASED
    with pytest.raises(Refused):
        await sealed(here, spoken("again", person))


async def test_a_key_in_use_is_confirmed_without_a_write(pool: asyncpg.Pool) -> None:
    watch = Watch()
    person = new_id()
    vault = PostgresVault(pool, MasterKeys(FIRST), ids=new_id, ttl=30, clock=watch)
    _, first, _ = await sealed(vault, spoken("a", person))
    before = await stored_keys(pool)
    watch.now += 31
    _, second, _ = await sealed(vault, spoken("b", person))
    assert first == second
    assert await stored_keys(pool) == before


async def test_an_erasure_during_a_sealing_wins(pool: asyncpg.Pool) -> None:
    person = new_id()
    vault = vault_of(pool, FIRST)
    sealings = [sealed(vault, spoken("a", person)) for _ in range(20)]
    await asyncio.gather(*sealings, vault.erase(ORG, person), return_exceptions=True)
    with pytest.raises(Refused):
        await sealed(vault, spoken("b", person))
    assert {row["wrapped"] for row in await stored_keys(pool)} == {None}


async def test_a_worn_out_key_is_retired_and_still_opens(pool: asyncpg.Pool) -> None:
    person = new_id()
    vault = vault_of(pool, FIRST, block=2, seals_per_key=4)
    events = [spoken(f"{n}", person) for n in range(10)]
    locked = [await sealed(vault, event) for event in events]
    used = [key_id for _, key_id, _ in locked]
    assert {used.count(key_id) for key_id in used} == {4, 2}
    assert await vault_of(pool, FIRST).open(locked) == events


async def test_an_erasure_destroys_retired_keys_too(pool: asyncpg.Pool) -> None:
    person = new_id()
    vault = vault_of(pool, FIRST, block=1, seals_per_key=1)
    locked = [await sealed(vault, spoken(f"{n}", person)) for n in range(3)]
    assert len(await vault.erase(ORG, person)) == 3
    opened = await vault_of(pool, FIRST).open(locked)
    assert {text(event) for event in opened} == {ERASED}


async def test_seals_of_all_processes_stay_below_the_limit(pool: asyncpg.Pool) -> None:
    person = new_id()
    vaults = [vault_of(pool, FIRST, block=3, seals_per_key=7) for _ in range(4)]
    sealings = [
        sealed(vault, spoken("a", person)) for _ in range(10) for vault in vaults
    ]
    used = [key_id for _, key_id, _ in await asyncio.gather(*sealings)]
    assert max(used.count(key_id) for key_id in used) <= 7


async def test_rotation_rewraps_every_key(pool: asyncpg.Pool) -> None:
    events = [spoken(f"{n}", new_id()) for n in range(7)]
    locked = [await sealed(vault_of(pool, FIRST), event) for event in events]
    seen: list[int] = []
    assert await rotate_master(pool, FIRST, SECOND, page=3, progress=seen.append) == 7
    assert seen == [3, 6, 7]
    assert await rotate_master(pool, FIRST, SECOND) == 0
    assert await vault_of(pool, SECOND).open(locked) == events


async def test_during_a_rotation_both_masters_serve(pool: asyncpg.Pool) -> None:
    person, newcomer = new_id(), new_id()
    events = [spoken("old", person), spoken("new", newcomer)]
    locked = [await sealed(vault_of(pool, FIRST), events[0])]
    both = vault_of(pool, SECOND, FIRST)
    locked.append(await sealed(both, events[1]))
    assert await both.open(locked) == events
    assert await rotate_master(pool, FIRST, SECOND) == 1


async def test_rotation_leaves_destroyed_keys_destroyed(pool: asyncpg.Pool) -> None:
    person = new_id()
    vault = vault_of(pool, FIRST)
    locked = await sealed(vault, spoken("Ghent", person))
    await vault.erase(ORG, person)
    assert await rotate_master(pool, FIRST, SECOND) == 0
    opened = await vault_of(pool, SECOND).open([locked])
    assert text(opened[0]) == ERASED


async def test_a_wrong_master_key_is_not_taken_for_an_erasure(
    pool: asyncpg.Pool,
) -> None:
    locked = await sealed(vault_of(pool, FIRST), spoken("Ghent", new_id()))
    with pytest.raises(Unavailable, match="key file"):
        await vault_of(pool, SECOND).open([locked])


async def test_the_key_store_opens_with_the_key_file_that_fits_only(
    database: Database,
) -> None:
    async with open_vault(database.keys, MasterKeys(FIRST), ids=new_id) as vault:
        await sealed(vault, spoken("Ghent", new_id()))
    with pytest.raises(SetupError, match="key file"):
        async with open_vault(database.keys, MasterKeys(SECOND), ids=new_id):
            pass


async def test_an_absent_key_store_is_unavailable(database: Database) -> None:
    vault: PostgresVault
    async with open_vault(database.keys, MasterKeys(FIRST), ids=new_id) as vault:
        pass
    with pytest.raises(Unavailable):
        await sealed(vault, spoken("Ghent", new_id()))


@pytest.mark.parametrize("login", ["owner", "app", "projector", "reader"])
async def test_no_other_role_reads_keys(database: Database, login: str) -> None:
    connection = await asyncpg.connect(getattr(database, login))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT wrapped FROM keys.subject_keys")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM keys.subject_keys",
        "TRUNCATE keys.subject_keys",
        "UPDATE keys.subject_keys SET org_id = 'umbrella'",
        "UPDATE keys.subject_keys SET wrapped = '\\x00', destroyed_at = NULL",
        "UPDATE keys.subject_keys SET wrapped = '\\x00'",
    ],
)
async def test_a_destroyed_key_cannot_be_revived(
    pool: asyncpg.Pool, attack: str
) -> None:
    await vault_of(pool, FIRST).erase(ORG, new_id())
    with pytest.raises(asyncpg.PostgresError):
        await pool.execute(attack)


@given(words=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_key_opens_any_text_that_it_sealed(words: str) -> None:
    key, event_id = DataKey(new_id(), FIRST), new_id()
    event = spoken(words, new_id())
    assert key.open(event_id, key.seal(event_id, event)) == event


@given(words=st.text(st.characters(exclude_categories=["Cs"])), bit=st.integers(0))
def test_a_key_opens_no_text_with_a_bit_flipped(words: str, bit: int) -> None:
    key, event_id = DataKey(new_id(), FIRST), new_id()
    locked = text(key.seal(event_id, spoken(words, new_id())))
    body = bytearray(urlsafe_b64decode(locked.removeprefix("sealed:1:")))
    body[bit // 8 % len(body)] ^= 1 << bit % 8
    forged = spoken("sealed:1:" + urlsafe_b64encode(body).decode(), None)
    assert text(key.open(event_id, forged)) == ERASED


def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    ensure_master_keys(path)
    content = path.read_bytes()
    ensure_master_keys(path)
    assert path.read_bytes() == content
    assert len(content) == KEY_BYTES
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"short", bytes(KEY_BYTES + 1)])
def test_a_key_file_of_another_size_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SetupError, match="32 bytes"):
        read_master_keys(path)


def test_a_key_file_open_to_everybody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(FIRST)
    path.chmod(0o644)
    with pytest.raises(SetupError, match="chmod 600"):
        read_master_keys(path)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"master\.key"):
        read_master_keys(tmp_path / "master.key")
