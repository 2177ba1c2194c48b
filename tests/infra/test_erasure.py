import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from events.access.subjects import SubjectErased
from events.errors import Refused, Unavailable
from events.ids import SubjectId
from events.log import Append
from events.message import ERASED
from infra.clock import new_id as next_id
from infra.clock import now
from infra.memory.event_log import MemoryEventLog
from infra.memory.vault import MemoryVault
from infra.operations.erasure import (
    BrokenLedgerError,
    Erasure,
    ErasureFollower,
    ErasureLedger,
    read_ledger,
    reapply,
)
from infra.operations.verify import verify
from infra.postgres.event_log import open_event_log
from infra.postgres.vault import PostgresVault
from infra.sealing import KEY_BYTES, MasterKeys
from infra.settings import SetupError
from tests.builders import MOMENT, entry, new_id, new_stream, told, write
from tests.postgres_ladder import Database
from tests.suites.vault import ORG, ErasingVault, sealed, spoken, text


class BrokenOff(Exception):  # noqa: N818 - not an error of ours
    """The process died here."""


class FrailVault:
    """A vault whose process dies after the key was destroyed."""

    def __init__(self, vault: ErasingVault) -> None:
        self._vault = vault

    async def erase(self, org_id: str, subject_id: UUID) -> Sequence[UUID]:
        await self._vault.erase(org_id, subject_id)
        raise BrokenOff


class AbsentOnce:
    """A vault that cannot be reached the first time."""

    def __init__(self, vault: ErasingVault) -> None:
        self._vault = vault
        self.calls = 0
        self.erased = asyncio.Event()

    async def erase(self, org_id: str, subject_id: UUID) -> Sequence[UUID]:
        self.calls += 1
        if self.calls == 1:
            raise Unavailable
        key_ids = await self._vault.erase(org_id, subject_id)
        self.erased.set()
        return key_ids


def new_log() -> MemoryEventLog:
    return MemoryEventLog(clock=now, ids=next_id)


def erasing(subject_id: UUID) -> Append:
    event = SubjectErased(subject_id=SubjectId(subject_id), reason="asked")
    return entry(write(new_stream("access.subject"), event))


def erasure(subject_id: UUID) -> Erasure:
    return Erasure(
        org_id=ORG, subject_id=subject_id, key_ids=(new_id(),), position=7, at=MOMENT
    )


@pytest.fixture
def log() -> MemoryEventLog:
    return new_log()


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault(ids=new_id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "erasures.ndjson"


@pytest.fixture
def ledger(path: Path) -> Iterator[ErasureLedger]:
    with ErasureLedger.open(path) as ledger:
        yield ledger


async def test_an_erasure_in_the_log_destroys_the_key(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    person = new_id()
    locked = await sealed(vault, spoken("Ghent", person))
    await log.append(told(new_stream(), "a", "b"))
    await log.append(erasing(person))
    assert await ErasureFollower(log, vault, ledger).catch_up() == 3
    assert text((await vault.open([locked]))[0]) == ERASED


async def test_the_ledger_says_whose_keys_were_destroyed_and_why(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    person = new_id()
    _, key_id, _ = await sealed(vault, spoken("Ghent", person))
    verdict = await log.append(erasing(person))
    await ErasureFollower(log, vault, ledger).catch_up()
    (line,) = read_ledger(ledger.path)
    assert (line.org_id, line.subject_id, line.key_ids) == (ORG, person, (key_id,))
    assert (line.position, line.at) == (verdict.position, verdict.recorded_at)


async def test_a_follower_goes_on_where_it_stopped(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    await log.append(erasing(new_id()))
    await ErasureFollower(log, vault, ledger).catch_up()
    again = ErasureFollower(log, vault, ledger)
    await again.start()
    assert again.position == 1


async def test_a_follower_of_few_erasures_keeps_its_place_too(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    await log.append(told(new_stream(), *"abcdefgh"))
    await ErasureFollower(log, vault, ledger, page=2, stride=4).catch_up()
    again = ErasureFollower(log, vault, ledger)
    await again.start()
    assert again.position == 8


async def test_a_crash_after_the_key_is_destroyed_loses_no_line(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    person = new_id()
    await log.append(erasing(person))
    with pytest.raises(BrokenOff):
        await ErasureFollower(log, FrailVault(vault), ledger).catch_up()
    assert len(ledger.erasures) == 0
    await ErasureFollower(log, vault, ledger).catch_up()
    assert [line.subject_id for line in ledger.erasures] == [person]


async def test_following_again_from_the_start_doubles_no_line(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    await log.append(erasing(new_id()))
    await ErasureFollower(log, vault, ledger).catch_up()
    before = ledger.path.read_bytes()
    ledger.path.with_suffix(".checkpoint").unlink()
    again = ErasureFollower(log, vault, ledger)
    await again.start()
    await again.catch_up()
    assert ledger.path.read_bytes() == before


async def test_a_log_restored_from_a_backup_is_followed_anew(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    await log.append(told(new_stream(), "a"))
    await log.append(erasing(new_id()))
    await ErasureFollower(log, vault, ledger).catch_up()
    restored, newcomer = new_log(), new_id()
    await restored.append(erasing(newcomer))
    await restored.append(told(new_stream(), "b", "c"))
    follower = ErasureFollower(restored, vault, ledger)
    await follower.start()
    assert follower.position == 0
    await follower.catch_up()
    assert newcomer in [line.subject_id for line in ledger.erasures]


async def test_a_follower_that_runs_erases_as_the_log_grows(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    person = new_id()
    absent = AbsentOnce(vault)
    follower = ErasureFollower(log, absent, ledger, patience=0.01, retry_after=0)
    task = asyncio.create_task(follower.run())
    await log.append(erasing(person))
    async with asyncio.timeout(10):
        await absent.erased.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert absent.calls == 2
    with pytest.raises(Refused):
        await sealed(vault, spoken("Ghent", person))


async def test_keys_that_a_restore_brought_back_are_destroyed_again(
    database: Database, ledger: ErasureLedger
) -> None:
    async with asyncpg.create_pool(database.keys, min_size=1, max_size=2) as pool:
        vault = PostgresVault(pool, MasterKeys(bytes(KEY_BYTES)), ids=new_id)
        person, kept = new_id(), new_id()
        lost = await sealed(vault, spoken("Ghent", person))
        event = spoken("Bruges", kept)
        other = await sealed(vault, event)
        restore = await backup_of(database)
        ledger.add(replace(erasure(person), key_ids=tuple(await erase(vault, person))))
        await restore()
        fresh = PostgresVault(pool, MasterKeys(bytes(KEY_BYTES)), ids=new_id)
        assert text((await fresh.open([lost]))[0]) == "Ghent"
        assert await reapply(read_ledger(ledger.path), fresh) == 1
        assert await reapply(read_ledger(ledger.path), fresh) == 1
        assert text((await fresh.open([lost]))[0]) == ERASED
        assert await fresh.open([other]) == [event]
        with pytest.raises(Refused):
            await sealed(fresh, spoken("again", person))


async def test_after_an_erasure_the_log_is_whole_and_its_text_erased(
    database: Database, ledger: ErasureLedger
) -> None:
    person = new_id()
    async with asyncpg.create_pool(database.keys, min_size=1, max_size=2) as pool:
        vault = PostgresVault(pool, MasterKeys(bytes(KEY_BYTES)), ids=new_id)
        async with open_event_log(database.app, vault=vault) as log:
            told_once = entry(write(new_stream(), spoken("Ghent", person)))
            await log.append(told_once)
            verdict = await log.append(erasing(person))
            before = [recorded.event for recorded in await log.read(0)]
            assert await ErasureFollower(log, vault, ledger).catch_up() == 2
            after = [recorded.event for recorded in await log.read(0)]
            with pytest.raises(Refused):
                await log.append(entry(write(new_stream(), spoken("b", person))))
    assert (text(before[0]), text(after[0])) == ("Ghent", ERASED)
    report = await verify(database.owner, receipt=verdict.receipt)
    assert report.ok, report.first_bad


async def erase(vault: ErasingVault, person: UUID) -> Sequence[UUID]:
    return await vault.erase(ORG, person)


async def backup_of(database: Database) -> "Restore":
    connection = await asyncpg.connect(database.superuser)
    await connection.execute("CREATE TABLE keys.backup AS TABLE keys.subject_keys")
    return Restore(connection)


class Restore:
    """Puts the key store back to when it was made."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def __call__(self) -> None:
        await self._connection.execute(
            """
            TRUNCATE keys.subject_keys;
            INSERT INTO keys.subject_keys TABLE keys.backup;
            """
        )
        await self._connection.close()


async def test_starting_a_follower_applies_the_ledger(
    log: MemoryEventLog, vault: MemoryVault, ledger: ErasureLedger
) -> None:
    person = new_id()
    locked = await sealed(vault, spoken("Ghent", person))
    ledger.add(erasure(person))
    await ErasureFollower(log, vault, ledger).start()
    assert text((await vault.open([locked]))[0]) == ERASED


async def test_reapplying_tells_its_progress(vault: MemoryVault) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    await reapply([erasure(new_id()), erasure(new_id())], vault, progress=note)
    assert seen == [(1, 2), (2, 2)]


def test_a_ledger_outlives_its_process(path: Path) -> None:
    lines = [erasure(new_id()) for _ in range(3)]
    for line in lines:
        with ErasureLedger.open(path) as ledger:
            assert ledger.add(line)
    assert [line.subject_id for line in read_ledger(path)] == [
        line.subject_id for line in lines
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_subject_stands_in_the_ledger_once(ledger: ErasureLedger) -> None:
    person = new_id()
    assert ledger.add(erasure(person))
    assert not ledger.add(erasure(person))
    assert len(read_ledger(ledger.path)) == 1


def test_a_line_that_a_crash_left_unfinished_is_taken_off(path: Path) -> None:
    with ErasureLedger.open(path) as ledger:
        ledger.add(erasure(new_id()))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert len(read_ledger(path)) == 1
    with ErasureLedger.open(path) as ledger:
        ledger.add(erasure(new_id()))
    assert len(read_ledger(path)) == 2


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_line_is_named(path: Path, number: int) -> None:
    with ErasureLedger.open(path) as ledger:
        for _ in range(3):
            ledger.add(erasure(new_id()))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b'"acme"', b'"acne"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(BrokenLedgerError, match=f"Line {number} "):
        read_ledger(path)


def test_a_removed_line_is_noticed(path: Path) -> None:
    with ErasureLedger.open(path) as ledger:
        for _ in range(3):
            ledger.add(erasure(new_id()))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with (
        pytest.raises(BrokenLedgerError, match="Line 2 "),
        ErasureLedger.open(path),
    ):
        pass


def test_one_process_at_a_time_writes_the_ledger(ledger: ErasureLedger) -> None:
    with (
        pytest.raises(SetupError, match="stop it first"),
        ErasureLedger.open(ledger.path),
    ):
        pass


def test_a_ledger_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SetupError, match="cannot be opened"),
        ErasureLedger.open(tmp_path / "missing" / "erasures.ndjson"),
    ):
        pass
