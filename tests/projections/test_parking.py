from collections.abc import Sequence
from dataclasses import replace

import asyncpg
import pytest
from structlog.testing import capture_logs

from events.errors import Missing, Unavailable
from events.message import Event, Recorded
from events.testing.personas import PersonaCreated
from infra.operations.projections import ProjectionOperations
from projections.checkpoints import checkpoint
from projections.parking import is_poison, is_transient
from projections.projection import Group, Projection, Rows
from projections.runner import GroupRunner
from projections.sql import Pool
from tests.postgres_ladder import Database
from tests.projections.small import (
    DEFECT,
    GROUP,
    POISON,
    ListLog,
    changed,
    created,
    feed,
    install,
    lives,
    owner,
    person,
    renamed,
    rows_of,
    versioned,
)


KEY = f"testing.persona-{person(1)}"


def operations(pool: Pool, log: ListLog, group: Group = GROUP) -> ProjectionOperations:
    return ProjectionOperations(
        pool=pool, source=log, groups={group.name: group}, owner=owner(9), by="user:ana"
    )


def forgiving(projection: Projection) -> Projection:
    """Return a projection that copes with what the original fails on."""

    def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
        projection.project([mended(each) for each in batch], rows)

    return replace(projection, project=project)


def mended(each: Recorded[Event]) -> Recorded[Event]:
    match each.event:
        case PersonaCreated(name=name) as event if name == DEFECT:
            fixed = created(0, name="Mended")
            event = PersonaCreated(
                persona_id=event.persona_id,
                name=fixed.name,
                role=fixed.role,
                tags=fixed.tags,
            )
            return Recorded(
                **{
                    name: getattr(each, name)
                    for name in each.__struct_fields__
                    if name != "event"
                },
                event=event,
            )
    return each


@pytest.mark.parametrize(
    "poison",
    [
        created(1, name=DEFECT),
        created(1, role=POISON),
        created(1, name="a\0b"),
        versioned(1, 2**40, "too wide"),
        created(2),
    ],
    ids=["defect", "check", "nul", "overflow", "key twice"],
)
@pytest.mark.parametrize("page", [1, 3, 1000])
async def test_an_event_that_cannot_be_applied_stops_its_key_only(
    pool: Pool, poison: Event, page: int
) -> None:
    log = ListLog(created(2, "Bo"), poison, created(3, "Cy"), renamed(3, "Cyd"))
    log.append(versioned(3, 1, "young"))
    with capture_logs() as logs:
        await feed(pool, log, page=page)
    assert [row["name"] for row in await rows_of(pool, "people")] == ["Bo", "Cyd"] or [
        row["name"] for row in await rows_of(pool, "people")
    ] == ["Cyd", "Bo"]
    (parked,) = await operations(pool, log).parked()
    assert (parked.position, parked.attempts) == (2, 1)
    assert parked.error
    assert [
        entry["position"] for entry in logs if entry["event"] == "event_parked"
    ] == [2]
    async with pool.acquire() as session:
        assert await checkpoint(session, "testing") == log.head


async def test_later_events_of_a_parked_key_wait_in_order(pool: Pool) -> None:
    log = ListLog(created(1, name=DEFECT), renamed(1, "Ida"), created(2))
    log.append(versioned(1, 1, "young"), renamed(2, "Bo"))
    await feed(pool, log, page=2)
    waiting = await operations(pool, log).parked(waiting=True)
    assert [each.position for each in waiting] == [1, 2, 4]
    assert [each.error is None for each in waiting] == [False, True, True]
    assert await rows_of(pool, "sayings") == []


async def test_a_retry_with_mended_code_applies_everything_in_order(pool: Pool) -> None:
    log = ListLog(created(1, name=DEFECT), renamed(1, "Ida"), versioned(1, 1, "young"))
    await feed(pool, log, page=2)
    mended_group = changed(GROUP, "people", forgiving)
    (retried,) = await operations(pool, log, mended_group).retry("testing")
    assert (retried.key, retried.left) == (KEY, [])
    assert [row["name"] for row in await rows_of(pool, "people")] == ["Ida"]
    log.append(renamed(1, "Ida the Second"))
    await feed(pool, log, mended_group)
    assert [row["name"] for row in await rows_of(pool, "people")] == ["Ida the Second"]
    assert await operations(pool, log).parked(waiting=True) == []


async def test_a_retry_that_fails_counts_and_changes_nothing_else(pool: Pool) -> None:
    log = ListLog(created(1, role=POISON), versioned(1, 1, "young"))
    await feed(pool, log)
    (retried,) = await operations(pool, log).retry("testing", KEY)
    assert [each.position for each in retried.left] == [1, 2]
    assert [each.attempts for each in retried.left] == [2, 0]
    assert await rows_of(pool, "people") == []


async def test_a_running_feeder_learns_of_a_retry(pool: Pool) -> None:
    log = ListLog(created(1, name=DEFECT))
    mended_group = changed(GROUP, "people", forgiving)
    await feed(pool, log)
    runner = GroupRunner(GROUP, log, pool, owner=owner(1))
    log.append(created(2))
    await runner.catch_up(log.head)
    await operations(pool, log, mended_group).retry("testing", KEY)
    log.append(renamed(1, "Ida"))
    await runner.catch_up(log.head)
    assert {row["name"] for row in await rows_of(pool, "people")} == {"Ida"}


async def test_a_skipped_event_is_left_out_on_record(pool: Pool) -> None:
    log = ListLog(created(1, role=POISON), versioned(1, 1, "young"))
    await feed(pool, log)
    skipped = await operations(pool, log).skip("testing", KEY, reason="a test")
    assert skipped.left == []
    assert len(await rows_of(pool, "sayings")) == 1
    async with pool.acquire() as session:
        record = await session.fetchrow("SELECT * FROM es.skipped")
    assert (record["position"], record["by"], record["reason"]) == (
        1,
        "user:ana",
        "a test",
    )
    assert "people__v1" in record["error"]


async def test_skipping_one_event_leaves_the_next_that_fails(pool: Pool) -> None:
    log = ListLog(created(1, role=POISON), created(1, name=DEFECT), renamed(1, "Ida"))
    await feed(pool, log)
    skipped = await operations(pool, log).skip("testing", KEY, reason="a test")
    assert [each.position for each in skipped.left] == [2, 3]
    assert skipped.left[0].error is not None


async def test_a_rebuild_leaves_out_what_was_skipped(pool: Pool) -> None:
    log = ListLog(*lives(4), created(1, role=POISON))
    await feed(pool, log)
    on = operations(pool, log)
    await on.skip("testing", KEY, reason="twice")
    await on.rebuild()
    for projection in GROUP.projections:
        assert (await on.diff(projection.name)).equal
    assert await on.parked() == []


async def test_many_poisoned_keys_in_a_page_are_all_parked(pool: Pool) -> None:
    log = ListLog(*(created(n, role=POISON if n % 3 else "guest") for n in range(30)))
    await feed(pool, log, page=1000)
    assert len(await rows_of(pool, "people")) == 10
    assert len(await operations(pool, log).parked()) == 20


async def test_retrying_what_is_not_parked_is_an_error(pool: Pool) -> None:
    await install(pool)
    with pytest.raises(Missing, match="nothing parked under"):
        await operations(pool, ListLog()).retry("testing", "nobody")
    with pytest.raises(Missing, match="no group 'nothing'"):
        await operations(pool, ListLog()).retry("nothing", "nobody")
    with pytest.raises(Missing, match="no build 7"):
        await operations(pool, ListLog()).retry("testing.people", "nobody", build=7)


async def test_a_missing_table_parks_nothing(pool: Pool, database: Database) -> None:
    log = ListLog(created(1))
    await install(pool)
    superuser = await asyncpg.connect(database.superuser)
    await superuser.execute("DROP TABLE testing_tables.people__v1 CASCADE")
    await superuser.close()
    runner = GroupRunner(GROUP, log, pool, owner=owner())
    with pytest.raises(asyncpg.UndefinedTableError):
        await runner.catch_up(log.head)
    assert await operations(pool, log).parked() == []


@pytest.mark.parametrize(
    ("error", "poison", "transient"),
    [
        (asyncpg.CheckViolationError(), True, False),
        (asyncpg.DataError(), True, False),
        (asyncpg.ProgramLimitExceededError(), True, False),
        (asyncpg.DeadlockDetectedError(), False, True),
        (asyncpg.AdminShutdownError(), False, True),
        (asyncpg.DiskFullError(), False, True),
        (asyncpg.InterfaceError("closed"), False, True),
        (ConnectionResetError(), False, True),
        (TimeoutError(), False, True),
        (Unavailable(), False, True),
        (asyncpg.UndefinedColumnError(), False, False),
        (asyncpg.InsufficientPrivilegeError(), False, False),
        (KeyError(), False, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_errors_are_told_apart(
    error: Exception,
    poison: bool,  # noqa: FBT001 - a column of the table
    transient: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert (is_poison(error), is_transient(error)) == (poison, transient)
