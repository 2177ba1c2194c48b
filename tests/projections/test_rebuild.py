import asyncio
from collections.abc import Sequence
from dataclasses import replace

import asyncpg
import pytest

from events.errors import Missing, Refused, Unavailable
from events.message import Event, Recorded
from events.testing.personas import PersonaCreated
from infra.operations.projections import Progress, ProjectionOperations
from projections import rebuilding
from projections.builds import of_projection, shown
from projections.checkpoints import Watch
from projections.digest import digest, table_digest
from projections.projection import Column, Group, Projection, Rows
from projections.runner import GroupRunner
from projections.sql import Pool
from tests.postgres_ladder import Database
from tests.projections.small import (
    GROUP,
    POISON,
    TALLIES,
    ListLog,
    changed,
    created,
    feed,
    lives,
    owner,
    person,
    renamed,
    rows_of,
    running,
    with_table,
)


PEOPLE, TALLY, SAYINGS = (each.name for each in GROUP.projections)


def operations(pool: Pool, log: ListLog, group: Group = GROUP) -> ProjectionOperations:
    return ProjectionOperations(
        pool=pool, source=log, groups={group.name: group}, owner=owner(9), by="user:ana"
    )


async def states(pool: Pool, name: str = PEOPLE) -> dict[int, str]:
    async with pool.acquire() as session:
        return {each.build: each.state for each in await of_projection(session, name)}


async def alter(database: Database, statement: str) -> None:
    connection = await asyncpg.connect(database.superuser)
    await connection.execute(statement)
    await connection.close()


@pytest.mark.every_postgres
async def test_a_rebuilt_table_equals_the_live_one(pool: Pool) -> None:
    log = ListLog(*lives(50))
    await feed(pool, log)
    on = operations(pool, log)
    await on.rebuild()
    for projection in GROUP.projections:
        difference = await on.diff(projection.name)
        assert difference.equal
        assert difference.position == log.head
        async with pool.acquire() as session, session.transaction():
            live = await table_digest(session, projection.table)
            new = await digest(session, projection.table, difference.new)
        assert live == new


async def test_a_check_rebuilds_and_leaves_nothing_behind(pool: Pool) -> None:
    log = ListLog(*lives(20))
    await feed(pool, log)
    found = await operations(pool, log).check()
    assert [each.name for each in found] == [PEOPLE, TALLY, SAYINGS]
    assert all(each.equal for each in found)
    assert await states(pool) == {1: "live"}


async def test_progress_goes_from_page_to_page_to_the_end(pool: Pool) -> None:
    log = ListLog(*lives(50))
    await feed(pool, log)
    told: list[Progress] = []
    await operations(pool, log).rebuild([TALLY], tell=told.append)
    assert told[-1] == Progress(name=TALLY, done=log.head, total=log.head)


async def test_differences_are_counted_and_named(
    pool: Pool, database: Database
) -> None:
    log = ListLog(created(1), created(2), created(3))
    await feed(pool, log)
    on = operations(pool, log)
    await on.rebuild([PEOPLE])
    await alter(
        database,
        f"""
        UPDATE testing_tables.people__v1 SET name = 'Eve' WHERE _id = '{person(1)}';
        DELETE FROM testing_tables.people__v1 WHERE _id = '{person(2)}';
        INSERT INTO testing_tables.people__v1
        SELECT 'more', org_id, name, role, tags, words, maker
        FROM testing_tables.people__v1
        WHERE _id = '{person(3)}';
        """,  # noqa: S608 - our own names
    )
    difference = await on.diff(PEOPLE)
    assert (difference.changed, difference.extra, difference.missing) == (1, 1, 1)
    assert not difference.equal
    assert {(each.kind, each.key[0]) for each in difference.first} == {
        ("changed", str(person(1))),
        ("extra", str(person(2))),
        ("missing", "more"),
    }


async def test_a_digest_does_not_depend_on_the_order_of_rows(
    pool: Pool, database: Database
) -> None:
    await feed(pool, ListLog(*lives(30)))

    async def found() -> str:
        async with pool.acquire() as session, session.transaction():
            return await table_digest(session, GROUP.projections[0].table)

    before = await found()
    await alter(
        database,
        "CLUSTER testing_tables.people__v1 USING people__v1_pkey;"
        "UPDATE testing_tables.people__v1 SET role = role WHERE name LIKE '%1%'",
    )
    assert await found() == before
    await alter(database, "UPDATE testing_tables.people__v1 SET role = NULL")
    assert await found() != before


async def test_after_a_switch_both_tables_are_fed(pool: Pool) -> None:
    log = ListLog(*lives(20))
    await feed(pool, log)
    runner = GroupRunner(GROUP, log, pool, owner=owner())
    on = operations(pool, log)
    await on.rebuild([PEOPLE])
    switched = await on.switch(PEOPLE)
    assert switched.physical == "people__v1b2"
    assert await states(pool) == {1: "kept", 2: "live"}
    log.append(created(100, "Zoe"), renamed(19, "Renamed"))
    await runner.catch_up(log.head)
    assert (await on.diff(PEOPLE)).equal
    assert "Zoe" in {row["name"] for row in await rows_of(pool, "people")}


async def test_a_switch_leads_back(pool: Pool) -> None:
    log = ListLog(*lives(5))
    await feed(pool, log)
    on = operations(pool, log)
    await on.rebuild([PEOPLE], switch=True)
    assert (await on.switch(PEOPLE)).build == 1
    assert await states(pool) == {1: "live", 2: "kept"}


async def test_a_rebuild_and_switch_beside_a_running_feeder(pool: Pool) -> None:
    log = ListLog(*lives(50))
    await feed(pool, log)
    on = operations(pool, log)
    async with running(GroupRunner(GROUP, log, pool, owner=owner(), page=3)):
        rebuilding_ = asyncio.create_task(on.rebuild(switch=True))
        number = 1000
        while not rebuilding_.done():
            log.append(created(number))
            number += 1
            await Watch(pool).wait_for("testing", log.head, 20)
        await rebuilding_
        for projection in GROUP.projections:
            assert (await on.diff(projection.name)).equal
    (tally,) = await rows_of(pool, "tallies")
    assert tally["created"] == 50 + number - 1000


async def test_every_change_of_state_is_recorded(pool: Pool) -> None:
    log = ListLog(created(1))
    await feed(pool, log)
    on = operations(pool, log)
    await on.rebuild([PEOPLE], switch=True)
    await on.drop(PEOPLE)
    async with pool.acquire() as session:
        rows = await session.fetch(
            "SELECT build, was, became, by FROM es.transitions WHERE name = $1"
            " ORDER BY id",
            PEOPLE,
        )
    assert [tuple(row) for row in rows] == [
        (1, None, "live", "ensure"),
        (2, None, "building", "user:ana"),
        (2, "building", "ready", "user:ana"),
        (1, "live", "kept", "user:ana"),
        (2, "ready", "live", "user:ana"),
        (1, "kept", "dropped", "user:ana"),
    ]


async def test_a_rebuild_that_was_broken_off_goes_on(pool: Pool) -> None:
    log = ListLog(*lives(50))
    await feed(pool, log)
    on = operations(pool, log)

    class StopItError(Exception):
        pass

    def stop_it(_progress: Progress) -> None:
        raise StopItError

    with pytest.raises(StopItError):
        await on.rebuild([PEOPLE], tell=stop_it)
    assert await states(pool) == {1: "live", 2: "building"}
    (build,) = await on.rebuild([PEOPLE])
    assert build.build == 2
    assert (await on.diff(PEOPLE)).equal


async def test_a_second_rebuild_takes_the_place_of_the_first(pool: Pool) -> None:
    log = ListLog(*lives(5))
    await feed(pool, log)
    on = operations(pool, log)
    await on.rebuild([PEOPLE])
    await on.rebuild([PEOPLE])
    assert await states(pool) == {1: "live", 3: "ready"}


async def test_a_new_version_is_shown_once_it_is_switched_to(pool: Pool) -> None:
    log = ListLog(*lives(10))
    await feed(pool, log)
    newer = changed(
        GROUP,
        "tallies",
        with_table(
            version=2,
            columns=(*TALLIES.columns, Column(name="kind", type="text", default="'x'")),
        ),
    )
    log.append(created(50))
    await feed(pool, log, newer)
    on = operations(pool, log, newer)
    await on.rebuild([TALLY], switch=True)
    assert await states(pool, TALLY) == {1: "retired", 2: "live"}
    (tally,) = await rows_of(pool, "tallies")
    assert (tally["created"], tally["kind"]) == (11, "x")
    with pytest.raises(Refused, match="rebuild it"):
        await on.switch(TALLY, 1)


async def test_a_build_that_is_not_fed_is_not_compared_with(pool: Pool) -> None:
    log = ListLog(created(1))
    await feed(pool, log)
    newer = changed(GROUP, "tallies", with_table(version=2))
    log.append(created(2))
    await feed(pool, log, newer)
    on = operations(pool, log, newer)
    await on.rebuild([TALLY])
    with pytest.raises(Refused, match="not fed"):
        await on.diff(TALLY)


async def test_views_that_stand_on_a_changed_view_stand_again(
    pool: Pool, database: Database
) -> None:
    log = ListLog(*lives(4))
    await feed(pool, log)
    await alter(
        database,
        """
        CREATE VIEW public.totals WITH (security_invoker = true) AS
            SELECT org_id, created FROM testing.tallies;
        CREATE VIEW public.grand AS SELECT sum(created) AS total FROM public.totals;
        COMMENT ON VIEW public.totals IS 'What it''s about';
        COMMENT ON COLUMN public.totals.created IS 'How many';
        ALTER VIEW public.totals OWNER TO rehearsal_projector;
        ALTER VIEW public.grand OWNER TO rehearsal_projector;
        GRANT CREATE ON SCHEMA public TO rehearsal_projector;
        GRANT SELECT ON public.totals TO rehearsal_reader;
        """,
    )
    narrower = with_table(version=2, columns=TALLIES.columns[:3])
    stripped = changed(changed(GROUP, "tallies", narrower), "tallies", without_last)
    await feed(pool, log, stripped)
    await operations(pool, log, stripped).rebuild([TALLY], switch=True)
    async with pool.acquire() as session:
        assert await session.fetchval("SELECT total FROM public.grand") == 4
        assert await session.fetchval(
            """
            SELECT reloptions = '{security_invoker=true}'
                AND obj_description(oid) = 'What it''s about'
                AND col_description(oid, 2) = 'How many'
                AND has_table_privilege('rehearsal_reader', oid, 'SELECT')
            FROM pg_class
            WHERE relname = 'totals'
            """
        )


def without_last(projection: Projection) -> Projection:
    """Return the tallies without what was last."""

    def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
        for each in batch:
            if isinstance(each.event, PersonaCreated):
                rows.add((each.org_id,), created=1)

    return replace(projection, project=project)


async def test_nothing_is_switched_while_events_are_parked(pool: Pool) -> None:
    log = ListLog(created(1), created(2, role=POISON))
    await feed(pool, log)
    on = operations(pool, log)
    await on.rebuild([SAYINGS])
    with pytest.raises(Refused, match="parked 1 keys"):
        await on.switch(SAYINGS)
    await on.rebuild([PEOPLE])
    (_, in_build) = await on.parked()
    retried = await on.skip(
        in_build.feed, in_build.key, reason="a test", build=in_build.build
    )
    assert retried.left == []


async def test_a_switch_gives_up_where_queries_hold_the_view(
    pool: Pool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "LOCK_TIMEOUT", "20ms")
    monkeypatch.setattr(rebuilding, "BETWEEN_TRIES", 0.01)
    log = ListLog(created(1))
    await feed(pool, log)
    on = operations(pool, log)
    await on.rebuild([PEOPLE])
    reader = await asyncpg.connect(database.reader)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM testing.people")
        with pytest.raises(Unavailable, match="switch again later"):
            await on.switch(PEOPLE)
    await reader.close()
    assert (await on.switch(PEOPLE)).state == "live"


async def test_what_is_shown_is_not_dropped(pool: Pool) -> None:
    log = ListLog(created(1))
    await feed(pool, log)
    on = operations(pool, log)
    with pytest.raises(Refused, match="switch first"):
        await on.drop(PEOPLE, 1)
    with pytest.raises(Missing, match="no other build"):
        await on.drop(PEOPLE)


async def test_unknown_names_are_refused(pool: Pool) -> None:
    on = operations(pool, ListLog())
    with pytest.raises(Missing, match="no projection"):
        await on.rebuild([PEOPLE, "testing.nobody"])
    with pytest.raises(Missing, match="not installed"):
        await on.rebuild([PEOPLE])


async def test_the_listing_says_how_far_each_build_is(pool: Pool) -> None:
    log = ListLog(*lives(5))
    await feed(pool, log)
    on = operations(pool, log)
    await on.rebuild([PEOPLE])
    first, *_ = await on.listing(log.head + 3)
    assert (first.name, first.group, first.version, first.parked) == (
        PEOPLE,
        "testing",
        1,
        0,
    )
    new, live = first.builds
    assert (new.state, new.position, new.behind) == ("ready", log.head, 3)
    assert (live.state, live.table, live.code_changed) == ("live", "people__v1", False)


async def test_rebuilding_twice_at_the_same_time_makes_one_build(pool: Pool) -> None:
    log = ListLog(*lives(30))
    await feed(pool, log)
    first, second = operations(pool, log), operations(pool, log)
    found = await asyncio.gather(first.rebuild([TALLY]), second.rebuild([TALLY]))
    async with pool.acquire() as session:
        live = await shown(session, TALLY)
    assert live is not None
    assert live.build == 1
    assert all(each[0].version == 1 for each in found)
