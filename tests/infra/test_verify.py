import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from uuid import UUID

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from events.errors import Malformed
from events.log import Append, Status, Verdict
from infra.memory.vault import MemoryVault
from infra.operations.verify import Bad, Check, Report, verify
from infra.postgres.event_log import open_event_log
from infra.postgres.hashing import HASHED, event_hash
from infra.postgres.pool import NoDatabaseError
from projections.builds import ensure
from projections.catalogue import GROUPS, TABLES
from projections.ddl import create_table, protect, qualified
from projections.projection import Column, Reference, Table
from tests.builders import entry, new_id, new_stream, said, told, write
from tests.postgres_ladder import Database
from tests.suites.vault import ORG, spoken


EVENT = "SELECT * FROM es.events WHERE position = $1"


@pytest.fixture
async def receipts(database: Database) -> list[str]:
    """A log of 15 events in 3 streams, 8 commands and 5 commits, and its receipts."""
    verdicts: list[Verdict] = []
    async with open_event_log(database.app) as log:
        first, second, third = (new_stream() for _ in range(3))
        verdicts += [
            await log.append(told(first, "a", "b")),
            await log.append(
                entry(write(second, said("c"), said("d")), write(first, said("e")))
            ),
            await log.append(traced(second)),
            await log.append(entry()),
            await log.append(told(third, "g", "h", "i")),
            *await log.append_bulk(
                [told(first, "j"), told(second, "k", "l"), told(first, "m", "n", "o")]
            ),
        ]
    assert {verdict.status for verdict in verdicts} == {Status.OK}
    assert verdicts[-1].position == 15
    return [verdict.receipt or "" for verdict in verdicts]


def traced(stream_id: str) -> Append:
    told_once = told(stream_id, "f")
    meta = replace(
        told_once.meta,
        ip="192.0.2.7",
        causation_id=new_id(),
        headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba9-01"},
    )
    return replace(told_once, meta=meta)


@asynccontextmanager
async def unguarded(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection with every trigger off, and back on after."""
    connection = await asyncpg.connect(database.superuser)
    try:
        guarded = await connection.fetch(
            """
            SELECT tgrelid::regclass::text AS name, tgname AS guard
            FROM pg_trigger
            WHERE tgname LIKE 'refuse%'
            ORDER BY tgparentid
            """
        )
        for row in guarded:
            await connection.execute(
                f"ALTER TABLE {row['name']} DISABLE TRIGGER {row['guard']}"
            )
        yield connection
        for row in guarded:
            await connection.execute(
                f"ALTER TABLE {row['name']} ENABLE ALWAYS TRIGGER {row['guard']}"
            )
    finally:
        await connection.close()


async def tamper(database: Database, statement: str, *values: object) -> None:
    async with unguarded(database) as connection:
        assert await connection.execute(statement, *values) != "UPDATE 0"


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if not check.ok}


def bad(report: Report, name: str) -> Bad:
    (found,) = (check.bad for check in report.checks if check.name == name)
    assert found is not None
    return found


def where(report: Report) -> int | None:
    assert report.first_bad is not None
    return report.first_bad.position


async def test_an_untouched_log_passes(database: Database, receipts: list[str]) -> None:
    report = await verify(database.owner)
    assert report.ok, report.first_bad
    assert report.receipt == receipts[-1]
    assert {check.name: check.rows for check in report.checks} == {
        "positions": 15,
        "times": 15,
        "slices": 15,
        "hashes": 15,
        "types": 15,
        "chain": 5,
        "versions": 15,
        "streams": 3,
        "commands": 8,
        "guards": 5,
    }


async def test_an_empty_log_passes(database: Database) -> None:
    report = await verify(database.owner, receipt=f"0-{'00' * 32}")
    assert report.ok
    assert report.receipt == f"0-{'00' * 32}"


async def test_the_projector_may_verify(
    database: Database, receipts: list[str]
) -> None:
    assert (await verify(database.projector, receipt=receipts[-1])).ok


@pytest.mark.parametrize("page", [1, 2, 7, 15, 16])
async def test_pages_of_any_size_find_the_same(
    database: Database, receipts: list[str], page: int
) -> None:
    whole = await verify(database.owner)
    assert await verify(database.owner, page=page) == whole
    assert whole.receipt == receipts[-1]


async def test_events_larger_than_a_page_of_the_driver_pass(
    database: Database,
) -> None:
    async with open_event_log(database.app) as log:
        for size in (1, 3_000_000, 10, 70_000, 100):
            await log.append(told(new_stream(), "x" * size))
    assert (await verify(database.owner)).ok


async def test_every_receipt_of_a_commit_is_proved(
    database: Database, receipts: list[str]
) -> None:
    for receipt in receipts:
        assert (await verify(database.owner, receipt=receipt)).ok


async def test_progress_ends_at_the_whole_log(
    database: Database, receipts: list[str]
) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    await verify(database.owner, page=4, progress=note)
    assert seen == [(4, 15), (8, 15), (12, 15), (15, 15)]
    assert receipts


async def test_the_hash_is_that_of_the_log(
    database: Database, receipts: list[str]
) -> None:
    connection = await asyncpg.connect(database.owner)
    rows = await connection.fetch("SELECT * FROM es.events")
    await connection.close()
    assert all(event_hash(row) == row["hash"] for row in rows)
    assert receipts


def altered(value: object, column: str, chance: random.Random) -> object:
    """Return a value that differs in one bit or one letter."""
    match value:
        case None:
            return {"ip": "::1", "headers": "{}"}.get(column, new_id())
        case UUID():
            return UUID(int=value.int ^ 1 << chance.randrange(128))
        case datetime():
            return value + timedelta(microseconds=1 << chance.randrange(40))
        case bytes():
            number = int.from_bytes(value) ^ 1 << chance.randrange(8 * len(value))
            return number.to_bytes(len(value))
        case int():
            return value ^ 1 << chance.randrange(3, 9)
        case str():
            return rewritten(value, chance, json=column in {"data", "headers"})
    message = f"There is no other {value!r}."
    raise AssertionError(message)


def rewritten(text: str, chance: random.Random, *, json: bool) -> str:
    """Return a text with one letter changed; one of JSON is JSON again."""
    while True:
        at = chance.randrange(len(text))
        letter = chance.choice("abcdefghij0123456789")
        changed = text[:at] + letter + text[at + 1 :]
        if changed != text and (not json or is_json(changed)):
            return changed


def is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


async def test_a_changed_column_of_any_event_is_found_and_named(
    database: Database, receipts: list[str]
) -> None:
    chance = random.Random(8)  # noqa: S311 - the same changes in every run
    assert receipts
    async with unguarded(database) as connection:
        for column in (*HASHED, "hash"):
            for position in chance.sample(range(1, 16), 4):
                await change_and_undo(database, connection, column, position, chance)
    assert (await verify(database.owner)).ok


async def change_and_undo(
    database: Database,
    connection: asyncpg.Connection,
    column: str,
    position: int,
    chance: random.Random,
) -> None:
    change = f"UPDATE es.events SET {column} = $1 WHERE position = $2"  # noqa: S608
    row = await connection.fetchrow(EVENT, position)
    assert row is not None
    moved = column == "position"
    value = position + 1000 if moved else altered(row[column], column, chance)
    await connection.execute(change, value, position)
    report = await verify(database.owner)
    assert report.first_bad is not None, (column, value)
    assert report.first_bad.position == position, (column, value, report.first_bad)
    assert report.first_bad.row == f"es.events position {position}"
    await connection.execute(change, row[column], value if moved else position)


async def test_every_column_is_covered(database: Database) -> None:
    connection = await asyncpg.connect(database.owner)
    columns = await connection.fetch(
        """
        SELECT attname, attgenerated::text
        FROM pg_attribute
        WHERE attrelid = 'es.events'::regclass
          AND attnum > 0
        """
    )
    await connection.close()
    covered = {row["attname"] for row in columns if row["attgenerated"] != "s"}
    assert covered == {*HASHED, "hash"}


async def test_a_deleted_event_is_named(
    database: Database, receipts: list[str]
) -> None:
    for position in (14, 7, 1):
        await tamper(database, "DELETE FROM es.events WHERE position = $1", position)
        report = await verify(database.owner)
        assert where(report) == position
        assert {"positions", "versions", "chain", "streams", "commands"} >= failed(
            report
        )
        assert "positions" in failed(report)
    assert receipts


@pytest.mark.parametrize("first", [15, 12, 9, 2, 1])
async def test_a_deleted_tail_is_named(
    database: Database, receipts: list[str], first: int
) -> None:
    await tamper(database, "DELETE FROM es.events WHERE position >= $1", first)
    report = await verify(database.owner, receipt=receipts[-1])
    assert where(report) == first
    assert {"chain", "streams", "commands", "receipt"} == failed(report)


async def test_a_tail_deleted_from_all_tables_is_found_by_a_receipt(
    database: Database, receipts: list[str]
) -> None:
    async with unguarded(database) as connection:
        await connection.execute(
            """
            DELETE FROM es.events WHERE position > 6;
            DELETE FROM es.flushes WHERE last_position > 6;
            DELETE FROM es.commands WHERE last_position > 6;
            DELETE FROM es.streams;
            INSERT INTO es.streams
            SELECT stream_id, min(org_id), max(version), min(position), max(position),
                   false
            FROM es.events
            GROUP BY stream_id;
            """
        )
    assert (await verify(database.owner)).ok
    assert (await verify(database.owner, receipt=receipts[1])).ok
    report = await verify(database.owner, receipt=receipts[-1])
    assert failed(report) == {"receipt"}
    assert where(report) == 15


@pytest.mark.parametrize(("low", "high"), [(1, 2), (5, 6), (3, 14)])
async def test_two_events_that_changed_places_are_found(
    database: Database, receipts: list[str], low: int, high: int
) -> None:
    async with unguarded(database) as connection:
        for start, end in ((low, 1000), (high, low), (1000, high)):
            await connection.execute(
                "UPDATE es.events SET position = $1 WHERE position = $2", end, start
            )
    report = await verify(database.owner)
    assert where(report) == low
    assert "hashes" in failed(report)
    assert receipts


async def test_an_inserted_event_is_found(
    database: Database, receipts: list[str]
) -> None:
    await tamper(
        database,
        """
        INSERT INTO es.events (
            position, stream_id, version, event_id, slice, org_id, region, command_id,
            correlation_id, actor, occurred_at, recorded_at, data, hash
        )
        SELECT 16, stream_id, version + 1, event_id, slice, org_id, region, command_id,
               correlation_id, actor, occurred_at, recorded_at, data, hash
        FROM es.events
        WHERE position = 15
        """,
    )
    report = await verify(database.owner)
    assert where(report) == 16
    assert {"hashes", "chain", "streams", "commands"} <= failed(report)
    assert receipts


@pytest.mark.parametrize(
    ("change", "position"),
    [
        ("UPDATE es.flushes SET chain = sha256(chain) WHERE last_position = 5", 5),
        ("UPDATE es.flushes SET last_position = 4 WHERE last_position = 5", 4),
        (
            """
            UPDATE es.flushes SET recorded_at = recorded_at - interval '1 us'
            WHERE last_position = 6
            """,
            6,
        ),
        ("DELETE FROM es.flushes WHERE last_position = 5", 6),
        ("DELETE FROM es.flushes WHERE last_position = 15", 10),
        (
            """
            INSERT INTO es.flushes SELECT 16, recorded_at, chain FROM es.flushes
            WHERE last_position = 15
            """,
            16,
        ),
    ],
)
async def test_a_changed_flush_is_named(
    database: Database, receipts: list[str], change: str, position: int
) -> None:
    assert [int(receipt.partition("-")[0]) for receipt in receipts] == [
        *(2, 5, 6, 6, 9),
        *(15, 15, 15),
    ]
    await tamper(database, change)
    report = await verify(database.owner)
    assert where(report) == position
    assert failed(report) == {"chain"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE es.streams SET version = version + 1 WHERE stream_id = $1",
        "UPDATE es.streams SET first_position = 2 WHERE stream_id = $1",
        "UPDATE es.streams SET last_position = 14 WHERE stream_id = $1",
        "UPDATE es.streams SET org_id = 'umbrella' WHERE stream_id = $1",
        "DELETE FROM es.streams WHERE stream_id = $1",
    ],
)
async def test_a_changed_stream_is_named(
    database: Database, receipts: list[str], change: str
) -> None:
    async with unguarded(database) as connection:
        stream_id = await connection.fetchval(
            "SELECT stream_id FROM es.events WHERE position = 1"
        )
        await connection.execute(change, stream_id)
    report = await verify(database.owner)
    assert failed(report) == {"streams"}
    assert bad(report, "streams").row == f"es.streams {stream_id}"
    assert receipts


async def test_an_invented_stream_is_named(
    database: Database, receipts: list[str]
) -> None:
    await tamper(
        database,
        "INSERT INTO es.streams VALUES ('testing.x-1', 'acme', 1, 1, 1, false)",
    )
    report = await verify(database.owner)
    assert bad(report, "streams").row == "es.streams testing.x-1"
    assert receipts


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE es.commands SET events = events + 1 WHERE first_position = 7",
        "UPDATE es.commands SET version = version + 1 WHERE first_position = 7",
        "UPDATE es.commands SET first_position = 8 WHERE first_position = 7",
        "UPDATE es.commands SET last_position = 8 WHERE first_position = 7",
        "UPDATE es.commands SET events = 1 WHERE first_position IS NULL",
        "UPDATE es.commands SET last_position = 16 WHERE first_position IS NULL",
        "UPDATE es.commands SET org_id = 'umbrella' WHERE first_position = 7",
        "UPDATE es.commands SET recorded_at = now() WHERE first_position = 7",
        "DELETE FROM es.commands WHERE first_position = 7",
    ],
)
async def test_an_outcome_that_its_events_contradict_is_named(
    database: Database, receipts: list[str], change: str
) -> None:
    await tamper(database, change)
    report = await verify(database.owner)
    assert failed(report) == {"commands"}
    assert bad(report, "commands").row.startswith("es.commands ")
    assert receipts


async def test_outcomes_that_were_pruned_are_not_missed(
    database: Database, receipts: list[str]
) -> None:
    async with unguarded(database) as connection:
        await connection.execute(
            """
            UPDATE es.events SET recorded_at = recorded_at - interval '31 days';
            DELETE FROM es.commands;
            """
        )
    assert "commands" not in failed(await verify(database.owner))
    assert receipts


async def test_a_log_made_to_fit_throughout_is_found_by_a_receipt(
    database: Database, receipts: list[str]
) -> None:
    async with unguarded(database) as connection:
        await connection.execute(
            "UPDATE es.events SET actor = 'user:mallory' WHERE position = 4"
        )
        rows = await connection.fetch("SELECT * FROM es.events ORDER BY position")
        for row in rows:
            await connection.execute(
                "UPDATE es.events SET hash = $1 WHERE position = $2",
                event_hash(row),
                row["position"],
            )
        ends = await connection.fetch("SELECT last_position FROM es.flushes ORDER BY 1")
        chain = bytes(32)
        for start, end in pairwise([0, *(row["last_position"] for row in ends)]):
            chain = sha256(chain + b"".join(map(event_hash, rows[start:end]))).digest()
            await connection.execute(
                "UPDATE es.flushes SET chain = $1 WHERE last_position = $2", chain, end
            )
    assert (await verify(database.owner)).ok
    assert (await verify(database.owner, receipt=receipts[0])).ok
    report = await verify(database.owner, receipt=receipts[1])
    assert failed(report) == {"receipt"}
    assert where(report) == 5


async def test_a_change_whose_hash_was_made_to_fit_breaks_the_chain(
    database: Database, receipts: list[str]
) -> None:
    async with unguarded(database) as connection:
        await connection.execute(
            "UPDATE es.events SET actor = 'user:mallory' WHERE position = 4"
        )
        row = await connection.fetchrow(EVENT, 4)
        assert row is not None
        await connection.execute(
            "UPDATE es.events SET hash = $1 WHERE position = 4", event_hash(row)
        )
    report = await verify(database.owner)
    assert failed(report) == {"chain"}
    assert "3 to 5" in bad(report, "chain").problem
    assert receipts


async def test_an_event_of_an_unknown_type_is_named(
    database: Database, receipts: list[str]
) -> None:
    await tamper(
        database,
        'UPDATE es.events SET data = \'{"type": "testing.Unheard"}\''
        " WHERE position = 9",
    )
    report = await verify(database.owner)
    assert bad(report, "types").position == 9
    assert "testing.Unheard" in bad(report, "types").problem
    assert receipts


async def test_an_event_that_goes_back_in_time_is_named(
    database: Database, receipts: list[str]
) -> None:
    await tamper(
        database,
        "UPDATE es.events SET recorded_at = recorded_at - interval '1 day'"
        " WHERE position = 9",
    )
    assert bad(await verify(database.owner), "times").position == 9
    assert receipts


async def test_a_missing_guard_is_named(
    database: Database, receipts: list[str]
) -> None:
    connection = await asyncpg.connect(database.owner)
    await connection.execute("ALTER TABLE es.flushes DISABLE TRIGGER refuse_change")
    await connection.close()
    report = await verify(database.owner)
    assert failed(report) == {"guards"}
    assert bad(report, "guards").row == "es.flushes"
    assert receipts


@pytest.mark.parametrize("receipt", ["", "15", "x-00", "15-zz", "-1-" + "00" * 32])
async def test_what_is_no_receipt_is_malformed(
    database: Database, receipt: str
) -> None:
    with pytest.raises(Malformed):
        await verify(database.owner, receipt=receipt)


@pytest.mark.parametrize("position", [0, 1, 14, 16])
async def test_a_receipt_of_no_commit_is_not_proved(
    database: Database, receipts: list[str], position: int
) -> None:
    chain = receipts[-1].partition("-")[2]
    report = await verify(database.owner, receipt=f"{position}-{chain}")
    assert failed(report) == {"receipt"}


async def test_sealed_events_are_verified_sealed(database: Database) -> None:
    vault = MemoryVault(ids=new_id)
    person = new_id()
    async with open_event_log(database.app, vault=vault) as log:
        verdict = await log.append(
            entry(write(new_stream(), spoken("I was born in Ghent", person)))
        )
        await vault.erase(ORG, person)
    report = await verify(database.owner, receipt=verdict.receipt)
    assert report.ok, report.first_bad


def table(name: str, *references: Reference) -> Table:
    columns = (
        Column(name="_id", type="uuid", nullable=False),
        Column(name="owner_id", type="uuid"),
    )
    return Table(
        schema="testing",
        name=name,
        version=1,
        columns=columns,
        key=("_id",),
        rows="true",
        note=name,
        references=references,
    )


OWNERS = table("owners")
OWNED = table("owned", Reference(column="owner_id", table="testing.owners"))
READ_TABLES = {"testing.owners": OWNERS, "testing.owned": OWNED}


@pytest.fixture
async def projector(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """The projector's connection, two read tables made."""
    connection = await asyncpg.connect(database.projector)
    for name, declared in READ_TABLES.items():
        await connection.execute(create_table(declared, declared.physical))
        for statement in protect(declared, declared.physical):
            await connection.execute(statement)
        await connection.execute(
            """
            INSERT INTO es.projections (
                name, build, feed, version, physical, state, shape, dress, code
            )
            VALUES ($1, 1, 'testing', 1, $2, 'live', '', '', '')
            """,
            name,
            declared.physical,
        )
    yield connection
    await connection.close()


async def test_a_row_that_refers_to_no_row_is_named(
    database: Database, projector: asyncpg.Connection
) -> None:
    owner, owned, orphan, missing = (new_id() for _ in range(4))
    owners, children = (
        qualified(declared, declared.physical) for declared in READ_TABLES.values()
    )
    await projector.execute(f"INSERT INTO {owners} VALUES ($1, NULL)", owner)  # noqa: S608
    insert = f"INSERT INTO {children} VALUES ($1, $2)"  # noqa: S608
    await projector.execute(insert, owned, owner)
    await projector.execute(insert, new_id(), None)
    report = await verify(database.owner, tables=READ_TABLES)
    assert report.ok, report.first_bad
    await projector.execute(insert, orphan, missing)
    report = await verify(database.owner, tables=READ_TABLES)
    name = "references testing.owned.owner_id"
    assert failed(report) == {name}
    assert bad(report, name).row == f"testing.owned {orphan}"
    assert str(missing) in bad(report, name).problem


async def test_references_between_all_read_tables_are_looked_at(
    database: Database,
) -> None:
    async with asyncpg.create_pool(database.projector, min_size=1, max_size=2) as pool:
        for group in GROUPS.values():
            async with pool.acquire() as connection, connection.transaction():
                await ensure(connection, group)
    report = await verify(database.owner, tables=TABLES)
    assert report.ok, report.first_bad
    references = sum(len(declared.references) for declared in TABLES.values())
    assert len(report.checks) == len((await verify(database.owner)).checks) + references


async def test_checks_of_read_tables_are_added(
    database: Database, receipts: list[str]
) -> None:
    async def tables_check() -> list[Check]:
        return [
            Check(
                name="tables",
                rows=7,
                bad=Bad(row="testing.agents x", problem="rebuilt, it differs"),
            )
        ]

    report = await verify(database.owner, tables_check=tables_check)
    assert failed(report) == {"tables"}
    assert report.first_bad == bad(report, "tables")
    assert receipts


async def test_an_absent_database_is_named(database: Database) -> None:
    address = database.owner.replace("rehearsal_test", "rehearsal_absent")
    with pytest.raises(NoDatabaseError):
        await verify(address)
