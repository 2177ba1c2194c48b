"""What the log in PostgreSQL promises beyond the promises of every event log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from events.conversation import MessageAdded
from events.errors import Malformed, Missing, Refused, TooLarge, Unavailable
from events.ids import SubjectId
from events.log import ABSENT, Append, EventLog, Status, Verdict
from events.message import ERASED, Meta
from events.packing import packed
from infra.memory.vault import MemoryVault
from infra.postgres import event_log
from infra.postgres.blobs import LARGEST, DamagedBlobError, PostgresBlobs
from infra.postgres.columns import Arguments, Columns
from infra.postgres.event_log import (
    HoleError,
    PostgresEventLog,
    open_event_log,
)
from infra.postgres.flusher import APPEND, SMALL, Flusher
from infra.postgres.hashing import (
    GENESIS,
    chain,
    event_hash,
    slice_of,
)
from infra.postgres.partitions import has_no_partition
from infra.postgres.pool import Pool, open_pool
from tests.builders import (
    BODY,
    MOMENT,
    ORG,
    OTHER_BODY,
    entry,
    new_id,
    new_stream,
    said,
    told,
    write,
)
from tests.postgres_ladder import Database
from tests.suites.event_log import (
    as_duplicate,
    everything_after,
    statuses,
    texts,
)


if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

LOCK: Final = "SELECT pg_advisory_lock(1919248485, 1)"
UNLOCK: Final = "SELECT pg_advisory_unlock(1919248485, 1)"
WAITING: Final = """
SELECT pid
  FROM pg_stat_activity
 WHERE application_name = 'rehearsal append'
   AND datname = current_database()
   AND wait_event_type = 'Lock'
"""
BOTH_WAIT: Final = f"SELECT 1 FROM ({WAITING}) AS sent HAVING count(*) = 2"  # noqa: S608
KILL_DOORBELL: Final = """
SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
 WHERE application_name = 'rehearsal doorbell'
   AND datname = current_database()
"""
ROWS: Final = "SELECT * FROM es.events ORDER BY position"
REFUSED: Final = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ReadOnlySQLTransactionError,
)
PATIENCE: Final = 20


@pytest.fixture
async def log(database: Database) -> AsyncIterator[PostgresEventLog]:
    async with open_event_log(database.app) as log:
        yield log


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(
        database.app, min_size=1, max_size=4, application_name="tests"
    )
    yield pool
    await pool.close()


@pytest.fixture
def blobs(pool: Pool) -> PostgresBlobs:
    return PostgresBlobs(pool)


@pytest.fixture
async def superuser(database: Database) -> AsyncIterator[Connection]:
    async with connected(database.superuser) as connection:
        yield connection


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    connection.terminate()


async def value(connection: Connection, query: str) -> Any:  # noqa: ANN401 - as asyncpg
    """Return the first value that a query finds, once it finds one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await connection.fetchval(query)
            if found is not None:
                return found


def arguments(*commands: Append) -> Arguments:
    return Columns(commands, ids=new_id).arguments()


# What was recorded is never changed


@pytest.mark.every_postgres
@pytest.mark.parametrize("table", ["es.events", "es.events_0", "es.flushes"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {} SET recorded_at = now()",
        "DELETE FROM {}",
        "TRUNCATE {}",
    ],
)
async def test_nobody_changes_what_was_recorded(
    database: Database, log: PostgresEventLog, table: str, change: str
) -> None:
    await log.append(told(new_stream(), "a"))
    before = await log.head()

    for dsn in (database.owner, database.superuser):
        async with connected(dsn) as connection:
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
                await connection.execute(change.format(table))
    for dsn in (database.app, database.projector, database.reader):
        async with connected(dsn) as connection:
            with pytest.raises(REFUSED):
                await connection.execute(change.format(table))

    assert await log.head() == before
    assert texts(await log.read(0)) == ["a"]


@pytest.mark.every_postgres
@pytest.mark.parametrize("table", ["es.events_0", "es.flushes"])
async def test_not_even_a_session_without_ordinary_triggers_changes_it(
    log: PostgresEventLog, superuser: Connection, table: str
) -> None:
    await log.append(told(new_stream(), "a"))
    await superuser.execute("SET session_replication_role = replica")

    for change in (f"DELETE FROM {table}", f"TRUNCATE {table}"):  # noqa: S608
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await superuser.execute(change)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO es.flushes VALUES (1, now(), decode(repeat('00', 32), 'hex'))",
        "INSERT INTO es.streams VALUES ('x', 'acme', 1, 1, 1, false)",
        "UPDATE es.streams SET version = 9",
        "DELETE FROM es.commands",
        "DELETE FROM es.blobs",
        "SELECT es.take_head()",
        "DROP TABLE es.events_0",
    ],
)
async def test_the_app_writes_only_through_the_append(
    database: Database, statement: str
) -> None:
    async with connected(database.app) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_a_reader_of_tables_does_not_see_the_log(database: Database) -> None:
    async with connected(database.reader) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT FROM es.events")


@pytest.mark.parametrize("level", ["repeatable_read", "serializable"])
async def test_an_append_under_an_older_snapshot_is_refused(
    pool: Pool, level: Literal["repeatable_read", "serializable"]
) -> None:
    values = arguments(told(new_stream(), "a"))
    async with pool.acquire() as connection, connection.transaction(isolation=level):
        with pytest.raises(asyncpg.InvalidTransactionStateError):
            await connection.fetch(APPEND, *values)


async def test_a_missing_event_is_reported_by_its_position(
    log: PostgresEventLog, superuser: Connection
) -> None:
    await log.append(told(new_stream(), *"abcde"))
    await superuser.execute("ALTER TABLE es.events_0 DISABLE TRIGGER ALL")
    await superuser.execute("DELETE FROM es.events WHERE position = 3")

    with pytest.raises(HoleError, match="position 3 is missing") as caught:
        await log.read(0)

    assert caught.value.position == 3
    assert texts(await log.read(3)) == ["d", "e"]


# Hash and chain


@pytest.mark.every_postgres
async def test_hashes_and_chain_are_those_that_python_computes(
    log: PostgresEventLog, superuser: Connection
) -> None:
    rich = Append(
        meta=Meta(
            command_id=new_id(),
            org_id="Grüße GmbH",
            region="ap-south",
            actor="service:importer",
            correlation_id=new_id(),
            causation_id=new_id(),
            occurred_at=datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            ip="2001:db8::7",
            headers={"traceparent": "00-ab-cd-01", "quoted": '"\\ 🙂'},
        ),
        body_hash=BODY,
        writes=(write("ünïcode 🙂", said("你好\n\u2028"), said("")), write("plain")),
    )
    verdicts = [
        await log.append(rich),
        *await asyncio.gather(
            *(log.append(told(new_stream(), "a", "b")) for _ in range(20))
        ),
        *await log.append_bulk([told("plain", str(n)) for n in range(5)]),
    ]

    rows = await superuser.fetch(ROWS)
    flushes = await superuser.fetch("SELECT * FROM es.flushes ORDER BY last_position")

    assert [row["hash"] for row in rows] == [event_hash(row) for row in rows]
    assert [row["slice"] for row in rows] == [slice_of(r["stream_id"]) for r in rows]
    previous, start = GENESIS, 0
    for flush in flushes:
        end = flush["last_position"]
        previous = chain(previous, [row["hash"] for row in rows[start:end]])
        assert flush["chain"] == previous
        start = end
    assert start == len(rows) == 47
    receipts = {f"{f['last_position']}-{f['chain'].hex()}" for f in flushes}
    assert {verdict.receipt for verdict in verdicts} == receipts


@pytest.mark.every_postgres
async def test_single_events_of_many_callers_are_hashed_as_python_does(
    log: PostgresEventLog, superuser: Connection
) -> None:
    known = [new_stream() for _ in range(8)]
    await log.append_bulk([told(stream, "old") for stream in known])
    asked = [
        Append(
            meta=Meta(
                command_id=new_id(),
                org_id=ORG if number < 8 else f"Grüße {number % 3} GmbH",
                region=("eu-west", "ap-south")[number % 2],
                actor=f"user:{number % 5}",
                correlation_id=new_id(),
                causation_id=new_id() if number % 3 else None,
                occurred_at=datetime(1969 + 10 * number, 12, 31, tzinfo=UTC),
                ip="2001:db8::7" if number % 2 else None,
                headers={"quoted": '"\\ 🙂'} if number % 4 else {},
            ),
            body_hash=BODY,
            writes=(write(stream, said(f"你好\n\u2028 {number}")),),
        )
        for number, stream in enumerate([*known, *(new_stream() for _ in range(8))])
    ]

    found = await asyncio.gather(*map(log.append, asked))

    rows = await superuser.fetch(ROWS)
    assert [row["hash"] for row in rows] == [event_hash(row) for row in rows]
    assert {row["version"] for row in rows[8:]} == {1, 2}
    by_command = {row["command_id"]: row for row in rows}
    for command, verdict in zip(asked, found, strict=True):
        row, given = by_command[command.meta.command_id], command.meta
        assert (verdict.position, verdict.version) == (row["position"], row["version"])
        for name in ("org_id", "region", "actor", "ip", "occurred_at", "causation_id"):
            assert row[name] == getattr(given, name)
    assert await log.outcomes(
        ORG, [(command.meta.command_id, BODY) for command in asked[:8]]
    ) == [replace(verdict, status=Status.DUPLICATE) for verdict in found[:8]]


async def test_an_empty_log_has_a_receipt_too(log: PostgresEventLog) -> None:
    command = entry()
    first = await log.append(command)
    await log.append(told(new_stream(), "a"))

    assert first.receipt == f"0-{GENESIS.hex()}"
    assert (await log.append(command)).receipt == first.receipt


async def test_slices_are_stable_and_spread() -> None:
    assert slice_of("testing.trial-5f0c4a63-7d0e-5a52-9a3b-1de0b3f2a7c4") == 986
    used = {slice_of(new_stream()) for _ in range(20_000)}
    assert used == set(range(1024))


# Group commit


async def test_a_refused_value_fails_its_command_alone(log: PostgresEventLog) -> None:
    good = [told(new_stream(), str(n)) for n in range(60)]
    nul_in_data = told(new_stream(), "a\x00b")
    nul_in_name = told("testing.trial-\x00", "a")
    endless_name = told("x" * 20_000 + str(list(range(5000))), "a")
    commands = [*good[:20], nul_in_data, *good[20:40], nul_in_name, endless_name]
    commands += good[40:]

    results = await asyncio.gather(*map(log.append, commands), return_exceptions=True)

    failed = {at for at, result in enumerate(results) if isinstance(result, Malformed)}
    assert failed == {20, 41, 42}
    kept = [result for result in results if isinstance(result, Verdict)]
    assert statuses(kept) == [Status.OK] * 60
    assert (await log.head()).position == 60


async def test_text_that_is_not_unicode_is_malformed(log: PostgresEventLog) -> None:
    for command in (
        told(new_stream(), "\ud800"),
        told(f"testing.trial-\ud800{new_id()}", "a"),
    ):
        with pytest.raises(Malformed):
            await log.append(command)
        with pytest.raises(Malformed):
            await log.append_bulk([told(new_stream(), "a"), command])

    assert (await log.head()).position == 0


async def test_a_bulk_append_with_a_refused_value_appends_nothing(
    log: PostgresEventLog,
) -> None:
    with pytest.raises(Malformed):
        await log.append_bulk([told(new_stream(), "a"), told(new_stream(), "\x00")])

    assert (await log.head()).position == 0


async def test_a_command_may_not_write_twice_to_a_stream(log: PostgresEventLog) -> None:
    stream = new_stream()
    with pytest.raises(ValueError, match="at most once"):
        await log.append(entry(write(stream, said("a")), write(stream, said("b"))))


@pytest.mark.every_postgres
async def test_a_backend_killed_in_the_middle_stores_once(
    log: PostgresEventLog, superuser: Connection
) -> None:
    await superuser.execute(LOCK)
    commands = [told(new_stream(), str(n), expected=ABSENT) for n in range(5)]
    appends = [asyncio.create_task(log.append(command)) for command in commands]

    pid = await value(superuser, WAITING)
    await superuser.execute("SELECT pg_terminate_backend($1)", pid)
    await superuser.execute(UNLOCK)
    async with asyncio.timeout(PATIENCE):
        verdicts = await asyncio.gather(*appends)

    assert set(statuses(verdicts)) <= {Status.OK, Status.DUPLICATE}
    assert sorted(texts(await log.read(0))) == list("01234")


async def test_a_commit_whose_answer_is_lost_stores_once(
    database: Database, log: PostgresEventLog
) -> None:
    failures = iter([ConnectionResetError(), asyncpg.InternalClientError(), None])

    class LosesAnswers:
        """A connection on which the first two answers do not arrive."""

        def __init__(self, connection: Connection) -> None:
            self._connection = connection

        async def prepare(self, query: str) -> "LosesAnswers":
            self._statement = await self._connection.prepare(query)
            return self

        async def fetch(self, *values: object, timeout: float) -> Sequence[Any]:  # noqa: ASYNC109 - as asyncpg
            rows = await self._statement.fetch(*values, timeout=timeout)
            failure = next(failures, None)
            if failure is not None:
                raise failure
            return rows

        def terminate(self) -> None:
            self._connection.terminate()

    async def connect() -> Any:  # noqa: ANN401 - stands for a connection
        return LosesAnswers(await asyncpg.connect(database.app))

    reached: list[int] = []
    stores = Flusher(connect, ids=new_id, on_stored=reached.append, patience=PATIENCE)
    commands = [told(new_stream(), str(n)) for n in range(3)]
    answers: list[Verdict | Exception] = []
    stores.send([(command, answers.append) for command in commands])
    await stores.close()

    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    assert statuses(verdicts) == [Status.DUPLICATE] * 3
    assert texts(await log.read(0)) == ["0", "1", "2"]


async def test_a_full_batch_goes_ahead_unless_it_shares_a_stream(
    log: PostgresEventLog, superuser: Connection
) -> None:
    apart = [told(new_stream(), "a") for _ in range(2 * SMALL)]
    first = [told(new_stream(), "b", expected=ABSENT) for _ in range(SMALL)]
    after = [told(each.writes[0].stream_id, "c", expected=1) for each in first]

    await superuser.execute(LOCK)
    appends = [asyncio.create_task(log.append(each)) for each in apart]
    await value(superuser, BOTH_WAIT)
    await superuser.execute(UNLOCK)
    assert statuses(await asyncio.gather(*appends)) == [Status.OK] * len(apart)

    await superuser.execute(LOCK)
    appends = [asyncio.create_task(log.append(each)) for each in (*first, *after)]
    await value(superuser, WAITING)
    assert await superuser.fetchval(BOTH_WAIT) is None
    await superuser.execute(UNLOCK)
    assert statuses(await asyncio.gather(*appends)) == [Status.OK] * 2 * SMALL


async def test_an_event_that_cannot_be_encoded_fails_its_command_alone(
    log: PostgresEventLog,
) -> None:
    good = [told(new_stream(), str(n)) for n in range(40)]
    odd = replace(said("a"), seq=object())
    broken = entry(write(new_stream(), odd))

    results = await asyncio.gather(
        *map(log.append, [*good[:20], broken, *good[20:]]), return_exceptions=True
    )

    assert isinstance(results.pop(20), TypeError)
    assert {result.status for result in results if isinstance(result, Verdict)} == {
        Status.OK
    }
    assert (await log.head()).position == 40


async def test_an_append_without_a_database_is_unavailable_in_time(
    database: Database, superuser: Connection
) -> None:
    command = told(new_stream(), "a")
    async with open_event_log(database.app, patience=0.2) as log:
        await superuser.execute(LOCK)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(Unavailable):
                await log.append(command)
        await superuser.execute(UNLOCK)

        verdict = await log.append(command)

    assert verdict.status in {Status.OK, Status.DUPLICATE}
    assert verdict.position == 1


async def test_what_waits_is_stored_before_the_log_closes(database: Database) -> None:
    async with open_event_log(database.app) as log:
        appends = [
            asyncio.create_task(log.append(told(new_stream(), str(n))))
            for n in range(100)
        ]
        await asyncio.sleep(0)
    verdicts = await asyncio.gather(*appends)

    assert statuses(verdicts) == [Status.OK] * 100
    with pytest.raises(Unavailable):
        await log.append(told(new_stream(), "late"))


async def test_two_processes_share_one_order(database: Database) -> None:
    contested = new_stream()
    async with (
        open_event_log(database.app) as one,
        open_event_log(database.app) as two,
    ):
        verdicts = await asyncio.gather(
            *(
                log.append(told(stream, "x"))
                for log in (one, two)
                for n in range(100)
                for stream in [contested if n % 2 else new_stream()]
            )
        )
        events = await one.read(0)

    assert statuses(verdicts) == [Status.OK] * 200
    assert [event.position for event in events] == list(range(1, 201))
    versions = [event.version for event in events if event.stream_id == contested]
    assert versions == list(range(1, 101))


# Imports


def test_the_parts_of_an_import_get_longer_and_leave_nothing_out() -> None:
    commands = [told(new_stream(), str(n)) for n in range(2_000)]

    parts = event_log.portions(commands)

    assert [command for part in parts for command in part] == commands
    assert [len(part) for part in parts] == [129, 257, 513, 1_025, 76]


async def test_a_long_import_is_whole_and_in_order(log: PostgresEventLog) -> None:
    streams = [new_stream() for _ in range(7)]
    commands = [
        told(streams[n % 7], str(n)) for n in range(8 * event_log.FIRST_PORTION)
    ]

    verdicts = await log.append_bulk([*commands, commands[0]])
    events = await everything_after(log, 0)

    assert statuses(verdicts) == [Status.OK] * len(commands) + [Status.DUPLICATE]
    assert texts(events) == [str(n) for n in range(len(commands))]
    assert [v.position for v in verdicts[:-1]] == [e.position for e in events]
    again = await log.append_bulk(commands)
    assert set(statuses(again)) == {Status.DUPLICATE}
    assert again[5] == as_duplicate(verdicts[5])


async def test_a_loser_at_the_end_of_a_long_import_undoes_it(
    log: PostgresEventLog,
) -> None:
    stream, known = new_stream(), told(new_stream(), "known")
    await log.append(known)
    commands = [told(stream, str(n)) for n in range(8 * event_log.FIRST_PORTION)]
    reused = Append(meta=known.meta, body_hash=OTHER_BODY, writes=())

    verdicts = await log.append_bulk([*commands, reused])

    assert statuses(verdicts) == [Status.OK] * len(commands) + [Status.MISMATCH]
    assert (await log.head()).position == 1
    assert (await log.read_stream(stream)).version == 0


# Partitions


async def small_partitions(database: Database, *, span: int) -> None:
    """Replace the partitions of an empty log by small ones."""
    async with connected(database.owner) as owner:
        for name in await owner.fetch(
            "SELECT inhrelid::regclass::text "
            "FROM pg_inherits WHERE inhparent = 'es.events'::regclass"
        ):
            await owner.execute(f"DROP TABLE {name[0]}")
        await owner.execute("SELECT es.make_partitions(2, $1)", span)


@pytest.mark.every_postgres
async def test_batches_and_streams_cross_partitions(database: Database) -> None:
    await small_partitions(database, span=4)
    stream = new_stream()
    async with open_event_log(database.app) as log:
        await log.append(told(stream, *"abc"))
        await log.append_bulk([told(stream, "d", "e"), told(new_stream(), "f")])
        verdict = await log.append(told(stream, *"ghij"))

        assert verdict.version == 9
        assert texts(await log.read(0)) == list("abcdefghij")
        assert texts((await log.read_stream(stream, after=2)).events) == list("cdeghij")
        assert texts((await log.read_stream(stream, upto=8)).events) == list("abcdegh")


async def test_a_position_without_a_partition_is_not_stored(
    database: Database, pool: Pool
) -> None:
    await small_partitions(database, span=2)
    values = arguments(told(new_stream(), *"abcdefgh"))

    with pytest.raises(asyncpg.CheckViolationError, match="no partition") as caught:
        await pool.fetch(APPEND, *values)

    assert has_no_partition(caught.value)
    assert await pool.fetchval("SELECT count(*) FROM es.events") == 0
    assert await pool.fetchval("SELECT count(*) FROM es.commands") == 0


async def test_a_log_that_runs_out_of_partitions_makes_more(database: Database) -> None:
    await small_partitions(database, span=2)
    async with open_event_log(database.app) as log:
        for text in "abcdefgh":
            await log.append(told(new_stream(), text))
        await log.append_bulk([told(new_stream(), *"ijklmnop")])
        events = await log.read(0)

    assert texts(events) == list("abcdefghijklmnop")


async def test_partitions_are_made_once(pool: Pool) -> None:
    made = await asyncio.gather(
        *(pool.fetchval("SELECT es.make_partitions(4)") for _ in range(4))
    )

    assert sorted(made) == [0, 0, 0, 2]


# Waiting


async def test_another_process_is_woken(database: Database) -> None:
    async with (
        open_event_log(database.app) as writer,
        open_event_log(database.app) as reader,
        asyncio.timeout(PATIENCE),
    ):
        for position in range(1, 20):
            waiting = asyncio.create_task(
                reader.wait(position - 1, seconds=3 * PATIENCE)
            )
            await writer.append(told(new_stream(), "a"))
            assert await waiting == position


async def test_a_lost_doorbell_costs_time_and_nothing_else(
    database: Database, superuser: Connection
) -> None:
    async with (
        open_event_log(database.app) as writer,
        open_event_log(database.app) as reader,
        asyncio.timeout(PATIENCE),
    ):
        for position in range(1, 6):
            waiting = asyncio.create_task(
                reader.wait(position - 1, seconds=3 * PATIENCE)
            )
            await superuser.execute(KILL_DOORBELL)
            await writer.append(told(new_stream(), "a"))
            assert await waiting == position


# Personal text


def confided(text: str, subject: SubjectId) -> MessageAdded:
    return MessageAdded(
        conversation_id=new_id(), seq=1, role="user", text=text, subject_id=subject
    )


async def test_personal_text_is_stored_sealed_and_read_opened(
    database: Database, superuser: Connection
) -> None:
    vault = MemoryVault(ids=new_id)
    subject = SubjectId(new_id())
    stream = new_stream()
    command = entry(write(stream, confided("my secret", subject), said("public")))
    async with open_event_log(database.app, vault=vault) as log:
        first = await log.append(command)
        opened = texts(await log.read(0))
        await vault.erase(ORG, subject)
        erased = texts((await log.read_stream(stream)).events)
        again = await log.append(command)
        imported = await log.append_bulk([told(new_stream(), "a"), command])
        with pytest.raises(Refused):
            await log.append(entry(write(stream, confided("more", subject))))
    rows = await superuser.fetch(ROWS)

    assert opened == ["my secret", "public"]
    assert erased == [ERASED, "public"]
    assert (again.status, again.position) == (Status.DUPLICATE, first.position)
    assert statuses(imported) == [Status.OK, Status.DUPLICATE]
    assert "my secret" not in rows[0]["data"]
    assert [row["key_id"] is None for row in rows] == [False, True, True]
    assert [row["hash"] for row in rows] == [event_hash(row) for row in rows]


# Outcomes


async def test_only_old_outcomes_are_forgotten(
    log: PostgresEventLog, pool: Pool, superuser: Connection
) -> None:
    old, new = told(new_stream(), "a"), told(new_stream(), "b")
    await log.append(old)
    await log.append(new)
    await superuser.execute(
        "UPDATE es.commands SET recorded_at = now() - interval '31 days' "
        "WHERE command_id = $1",
        old.meta.command_id,
    )
    tomorrow = datetime.now(UTC) + timedelta(days=1)  # noqa: TID251 - real time counts

    assert await pool.fetchval("SELECT es.prune_commands($1)", tomorrow) == 1

    asked = [(each.meta.command_id, BODY) for each in (old, new)]
    forgotten, kept = await log.outcomes(ORG, asked)
    assert forgotten is None
    assert kept is not None


async def test_a_moment_before_the_first_event_is_position_zero(
    log: EventLog,
) -> None:
    await log.append(told(new_stream(), "a"))

    assert await log.position_at(MOMENT - timedelta(days=20_000)) == 0


# Blobs


async def test_a_body_is_stored_compressed(
    blobs: PostgresBlobs, superuser: Connection
) -> None:
    await blobs.put(b"again and " * 100_000, media_type="text/plain")

    row = await superuser.fetchrow("SELECT size, length(content) FROM es.blobs")

    assert row is not None
    assert row[0] == 1_000_000
    assert row[1] < 10_000


async def test_bodies_that_are_too_large_are_refused_together(
    blobs: PostgresBlobs, superuser: Connection
) -> None:
    small = packed(b"small", media_type="x/y")
    large = msgspec.structs.replace(packed(b"", media_type="x/y"), size=LARGEST + 1)
    with pytest.raises(TooLarge):
        await blobs.put_packed(small, large)

    assert not await superuser.fetchval("SELECT count(*) FROM es.blobs")


async def test_a_body_that_was_changed_is_not_returned(
    blobs: PostgresBlobs, superuser: Connection
) -> None:
    names = [await blobs.put(body, media_type="text/plain") for body in (b"a", b"b")]
    await superuser.execute("ALTER TABLE es.blobs DISABLE TRIGGER ALL")
    await superuser.execute("UPDATE es.blobs SET content = 'nonsense'")
    with pytest.raises(DamagedBlobError):
        await blobs.get(names[0])

    with pytest.raises(Missing):
        await blobs.get(names[0].upper())
