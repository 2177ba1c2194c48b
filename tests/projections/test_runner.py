import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from projections.builds import OutdatedCodeError, ShapeChangedError, ensure
from projections.checkpoints import Feed, Watch, checkpoint
from projections.digest import table_digest
from projections.leasing import LeaseLostError, leased
from projections.projection import Column, Group
from projections.runner import AheadOfLogError, GroupRunner, group_feeder
from projections.sql import Pool
from tests.postgres_ladder import Database
from tests.projections.small import (
    ERASED,
    GROUP,
    ListLog,
    changed,
    created,
    deleted,
    feed,
    install,
    lives,
    owner,
    person,
    projector,
    renamed,
    rows_of,
    running,
    versioned,
    with_table,
)


SHORT = timedelta(milliseconds=300)


async def digests(pool: Pool) -> list[str]:
    async with pool.acquire() as session, session.transaction():
        return [await table_digest(session, each.table) for each in GROUP.projections]


async def position(pool: Pool, group: str = "testing") -> int:
    async with pool.acquire() as session:
        return await checkpoint(session, group)


async def until(ask: Callable[[], Awaitable[float]], *, above: float) -> None:
    """Wait until what is asked for has risen."""
    async with asyncio.timeout(20):
        while await ask() <= above:  # noqa: ASYNC110 - the database rings no bell
            await asyncio.sleep(0.005)


@pytest.mark.every_postgres
async def test_events_become_rows(pool: Pool) -> None:
    log = ListLog(
        created(1, "Ada Byron"),
        versioned(1, 1, "young"),
        renamed(1, "Ada Lovelace"),
        created(2, "Bo"),
        deleted(2),
    )
    await feed(pool, log)
    (row,) = await rows_of(pool, "people")
    assert (row["_id"], row["name"]) == (str(person(1)), "Ada Lovelace")
    assert row["words"] == ["Ada", "Lovelace"]
    assert row["tags"] == '{"n": "1"}'
    (tally,) = await rows_of(pool, "tallies")
    assert tally == {"org_id": "library", "created": 2, "changed": 1, "last": "Bo"}
    (saying,) = await rows_of(pool, "sayings")
    assert (saying["text"], saying["name"]) == ("young", "Ada Lovelace")
    assert await position(pool) == log.head


async def test_pages_of_any_size_give_the_same_rows(
    pool: Pool, database: Database
) -> None:
    log = ListLog(*lives(60))
    found = []
    for page in (1, 4, 1000):
        await feed(pool, log, page=page)
        found.append(await digests(pool))
        await wipe(database)
    assert found[0] == found[1] == found[2]


async def wipe(database: Database) -> None:
    connection = await asyncpg.connect(database.superuser)
    await connection.execute(
        """
        TRUNCATE es.checkpoints, es.projections, es.transitions;
        DROP SCHEMA testing CASCADE;
        CREATE SCHEMA testing AUTHORIZATION rehearsal_projector;
        DROP SCHEMA testing_tables CASCADE;
        CREATE SCHEMA testing_tables AUTHORIZATION rehearsal_projector;
        """
    )
    await connection.close()


async def test_rows_that_an_erasure_names_are_swept(pool: Pool) -> None:
    log = ListLog(created(1), versioned(1, 1, "young"), deleted(1))
    log.append(versioned(1, 2, "late"))
    await feed(pool, log, page=100)
    assert [row["text"] for row in await rows_of(pool, "sayings")] == [ERASED, "late"]


async def test_a_running_feeder_follows_the_log_until_told_to_stop(pool: Pool) -> None:
    log, watch = ListLog(*lives(5)), Watch(pool)
    await install(pool)
    async with running(GroupRunner(GROUP, log, pool, owner=owner())):
        assert await watch.wait_for("testing", log.head, 10) == log.head
        log.append(created(100, "Zoe"))
        assert await watch.wait_for("testing", log.head, 10) == log.head
    assert (await rows_of(pool, "tallies"))[0]["last"] == "Zoe"


async def test_the_application_may_wait_for_a_position(
    pool: Pool, database: Database
) -> None:
    log = ListLog(*lives(5))
    await feed(pool, log)
    async with asyncpg.create_pool(database.app, min_size=1, max_size=1) as app:
        assert await Watch(app).wait_for("testing", log.head, 5) == log.head


async def test_waiting_ends_with_its_time(pool: Pool) -> None:
    await install(pool)
    assert await Watch(pool).wait_for("testing", 5, 0.01) == 0


async def test_those_who_wait_together_ask_together(pool: Pool) -> None:
    log = ListLog(*lives(5))
    await feed(pool, log)
    watch = Watch(pool)
    found = await asyncio.gather(*(watch.wait_for("testing", 3, 5) for _ in range(200)))
    assert set(found) == {log.head}


async def test_only_one_of_two_feeders_feeds(pool: Pool) -> None:
    log = ListLog(*lives(30))
    await install(pool)
    one, other = (
        GroupRunner(GROUP, log, pool, owner=owner(i), ttl=SHORT, page=3)
        for i in range(2)
    )
    with capture_logs() as logs:
        async with running(one), running(other):
            await Watch(pool).wait_for("testing", log.head, 10)
    projected = [entry for entry in logs if entry["event"] == "batch_projected"]
    assert sum(entry["events"] for entry in projected) == log.head


async def test_catching_up_waits_while_another_feeds(pool: Pool) -> None:
    log = ListLog(*lives(10))
    await install(pool)
    other = GroupRunner(GROUP, log, pool, owner=owner(2))
    async with running(GroupRunner(GROUP, log, pool, owner=owner(1))):
        await Watch(pool).wait_for("testing", log.head, 10)
        log.append(created(99))
        assert await other.catch_up(log.head) == log.head


async def test_a_feeder_whose_lease_was_taken_over_changes_nothing(pool: Pool) -> None:
    log = ListLog(*lives(10))
    await install(pool)
    feeder = group_feeder(GROUP)
    async with leased(pool, Feed("testing"), owner=owner(1), ttl=SHORT) as former:
        assert former is not None
        former.lost.set()  # it no longer renews, as if its process had been stopped
        successor = GroupRunner(GROUP, log, pool, owner=owner(2))
        assert await successor.catch_up(log.head) == log.head
        before = await digests(pool)
        async with pool.acquire() as session:
            with pytest.raises(LeaseLostError):
                await feeder.page(session, former, log.events[:5], 5)
        former.position = log.head
        log.append(created(99))
        async with pool.acquire() as session:
            with pytest.raises(LeaseLostError):
                await feeder.page(session, former, log.events[-1:], log.head)
    assert await digests(pool) == before
    assert await position(pool) == log.head - 1


async def test_a_lease_outlives_its_time_by_being_renewed(pool: Pool) -> None:
    await install(pool)
    feed_ = Feed("testing")

    async def expiry() -> float:
        async with pool.acquire() as session:
            found: float = await session.fetchval(
                "SELECT extract(epoch FROM expires_at)::float8 FROM es.leases"
            )
            return found

    async with leased(pool, feed_, owner=owner(1), ttl=SHORT) as lease:
        assert lease is not None
        await until(expiry, above=await expiry())
        async with leased(pool, feed_, owner=owner(2), ttl=SHORT) as other:
            assert other is None
    async with leased(pool, feed_, owner=owner(2), ttl=SHORT) as other:
        assert other is not None
        assert other.fence == lease.fence + 1


async def test_a_feeder_outlives_its_connections(
    pool: Pool, database: Database
) -> None:
    log = ListLog(*lives(200))
    await install(pool)
    superuser = await asyncpg.connect(database.superuser)

    async def reached() -> int:
        found: int = await superuser.fetchval(
            "SELECT max(position) FROM es.checkpoints"
        )
        return found

    with capture_logs() as logs:
        async with running(GroupRunner(GROUP, log, pool, owner=owner(), page=3)):
            for _ in range(3):
                before = await reached()
                await until(reached, above=before)
                await superuser.execute(
                    """
                    SELECT pg_terminate_backend(pid)
                    FROM pg_stat_activity
                    WHERE usename = 'rehearsal_projector'
                      AND datname = current_database()
                    """
                )
            await until(reached, above=log.head - 1)
    await superuser.close()
    assert "projection_interrupted" in {entry["event"] for entry in logs}
    (tally,) = await rows_of(pool, "tallies")
    assert tally["created"] == 200
    assert await rows_of(pool, "people") == await expected_people(database, log)


async def expected_people(database: Database, log: ListLog) -> list[dict[str, Any]]:
    """Return what a feeder that nobody disturbs makes of a log."""
    await wipe(database)
    async with projector(database) as pool:
        await feed(pool, log, page=1000)
        return await rows_of(pool, "people")


async def test_read_tables_ahead_of_the_log_are_refused(pool: Pool) -> None:
    await feed(pool, ListLog(*lives(5)))
    shorter = GroupRunner(GROUP, ListLog(created(1)), pool, owner=owner())
    with pytest.raises(AheadOfLogError, match="the log ends at 1"):
        await shorter.run(asyncio.Event())


async def test_installing_twice_changes_nothing(pool: Pool) -> None:
    log = ListLog(*lives(5))
    await feed(pool, log)
    before = await catalogue(pool)
    await install(pool)
    assert await catalogue(pool) == before


async def catalogue(pool: Pool) -> list[Any]:
    async with pool.acquire() as session:
        found = await session.fetch(
            "SELECT relname, oid, xmin FROM pg_class"
            " WHERE relnamespace::regnamespace::text LIKE 'testing%' ORDER BY oid"
        )
    return [tuple(row) for row in found]


async def test_a_table_is_dressed_anew_where_its_declaration_changed(
    pool: Pool,
) -> None:
    log = ListLog(created(1))
    await feed(pool, log)
    bare = changed(GROUP, "people", with_table(indexes=(), rows="false"))
    await install(pool, bare)
    async with pool.acquire() as session:
        indexes = await session.fetchval(
            "SELECT count(*) FROM pg_indexes WHERE tablename = 'people__v1'"
        )
        policy = await session.fetchval(
            "SELECT qual FROM pg_policies"
            " WHERE tablename = 'people__v1' AND policyname = 'visible'"
        )
    assert (indexes, policy) == (1, "false")


async def test_other_columns_need_another_version(pool: Pool) -> None:
    await install(pool)
    wider = with_table(columns=(Column(name="org_id", type="text"),))
    async with pool.acquire() as session:
        with pytest.raises(ShapeChangedError, match="give it a higher version"):
            async with session.transaction():
                await ensure(session, changed(GROUP, "tallies", wider))


async def test_outdated_code_feeds_nothing(pool: Pool) -> None:
    newer = changed(GROUP, "tallies", with_table(version=2))
    await install(pool, newer)
    log = ListLog(created(1))
    with pytest.raises(OutdatedCodeError, match="tallies is live"):
        await GroupRunner(GROUP, log, pool, owner=owner()).catch_up(log.head)
    assert await position(pool) == 0


async def test_a_new_version_leaves_the_old_table_as_it_was(pool: Pool) -> None:
    log = ListLog(created(1), created(2))
    await feed(pool, log)
    log.append(created(3))
    await feed(pool, log, changed(GROUP, "tallies", with_table(version=2)))
    (tally,) = await rows_of(pool, "tallies")
    assert tally["created"] == 2
    assert len(await rows_of(pool, "people")) == 3


async def test_a_table_that_is_new_beside_older_ones_waits_for_its_rebuild(
    pool: Pool,
) -> None:
    log = ListLog(created(1), created(2))
    young = Group(name="testing", projections=GROUP.projections[:1])
    await feed(pool, log, young)
    log.append(created(3))
    await feed(pool, log)
    assert await rows_of(pool, "tallies") == []
    assert len(await rows_of(pool, "people")) == 3
