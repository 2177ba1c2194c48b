"""Projection, exactly once: from the log into indexed tables, by one worker.

The log is read and decoded, pages are projected, merged and written in the transaction
that moves the checkpoint. A table of counters shows the cost of the machinery; the
widest table, and the one with most rows, are held against binary COPY of their own
rows into a table with the same columns and indexes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Final
from uuid import uuid5

import msgspec

from events.conversation import MessageAdded
from events.ids import MetricId, SetRunId, TrialId, UnitTestId
from events.log import Append, Write
from events.message import Event, Recorded
from events.testing.set_runs import MetricResult
from events.testing.trials import TrialFinished, TrialStarted
from infra.clock import new_id
from infra.postgres.pool import open_pool
from projections.builds import ensure
from projections.catalogue import TESTING
from projections.ddl import tables_schema
from projections.projection import Column, Group, Projection, Rows, Table
from projections.runner import PAGE, GroupRunner
from projections.testing import trial_entries, trials
from tests.bench.measuring import Bar, Figure, Sample, interleaved, median, rates
from tests.bench.server import Bench, Place
from tests.bench.workload import BACKGROUND, SPACE, conversations, fill, meta


ROW: Final = "project"
MESSAGES: Final = 100_000
TRIALS: Final = 30_000

COUNTERS: Final = Table(
    schema=TESTING.name,
    name="bench_counters",
    version=1,
    note="How much was said in each conversation",
    columns=(
        Column(name="_id", type="text", nullable=False, note="Identifier"),
        Column(name="entries", type="bigint", nullable=False, default="0", note="Sum"),
        Column(name="letters", type="bigint", nullable=False, default="0", note="Sum"),
    ),
    key=("_id",),
    rows="true",
)


def count(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Count what was said in each conversation."""
    for recorded in batch:
        match recorded.event:
            case MessageAdded() as event:
                rows.add((recorded.stream_id,), entries=1, letters=len(event.text))


COUNTING: Final = Projection(table=COUNTERS, events=(MessageAdded,), project=count)
WIDEST: Final = max(
    TESTING.projections, key=lambda projection: len(projection.table.columns)
)


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    figures = []
    async with bench.database(f"{ROW}_messages") as place:
        figures.append(await counters(bench, place))
        figures.append(
            await beside_copy(
                bench, place, trial_entries.PROJECTION, "the table with most rows"
            )
        )
    if WIDEST is not trials.PROJECTION:
        message = f"the widest table is now {WIDEST.name}: it needs events here"
        raise AssertionError(message)
    async with bench.database(f"{ROW}_trials") as place:
        async with place.core() as parts:
            await fill(parts.log, judged_trials(TRIALS))
        figures.append(await beside_copy(bench, place, WIDEST, "the widest table"))
    return figures


async def counters(bench: Bench, place: Place) -> Figure:
    """Return the rate at which counters are kept."""
    async with place.core() as parts:
        await fill(parts.log, conversations(MESSAGES))

    async def project(number: int) -> Sample:
        return await projected(place, numbered(COUNTING, number))

    ours = rates((await interleaved(bench.rounds, {"project": project}))["project"])
    return Figure(
        row=ROW,
        what="projection, exactly once, a table of counters",
        unit=" events/s",
        value=median(ours),
        rounds=ours,
        bar=Bar(least=90_000),
    )


async def beside_copy(
    bench: Bench, place: Place, projection: Projection, told: str
) -> Figure:
    """Return the rate at which a table is fed, beside COPY of its rows."""
    example = numbered(projection, bench.rounds)
    await projected(place, example)
    table = f"{tables_schema(example.table)}.{example.table.physical}"
    async with place.superuser() as connection:
        rows = [
            tuple(row)
            for row in await connection.fetch(f"SELECT * FROM {table}")  # noqa: S608 - constants
        ]

    async def project(number: int) -> Sample:
        sample = await projected(place, numbered(projection, number))
        return msgspec.structs.replace(sample, done=len(rows))

    async def copy(number: int) -> Sample:
        return await copied(place, table, f"copy_{number}", rows)

    samples = await interleaved(bench.rounds, {"project": project, "copy": copy})
    ours, theirs = rates(samples["project"]), rates(samples["copy"])
    columns = len(projection.table.columns)
    return Figure(
        row=ROW,
        what=f"projection into {told}, {projection.table.name} ({columns} columns)",
        unit=" rows/s",
        value=median(ours),
        rounds=ours,
        against="binary COPY of its rows into the same indexed table",
        peer=median(theirs),
        peer_rounds=theirs,
        bar=Bar(least=0.3, ratio=True),
    )


def numbered(projection: Projection, number: int) -> Projection:
    """Return a projection into a table of its own, for one round."""
    table = replace(projection.table, name=f"{projection.table.name}_{number}")
    return replace(projection, table=table)


async def projected(place: Place, projection: Projection) -> Sample:
    """Feed a new table everything that the log has."""
    group = Group(name=projection.name, projections=(projection,))
    async with (
        place.core() as parts,
        await open_pool(
            place.urls.projector, min_size=1, max_size=4, application_name="bench"
        ) as pool,
    ):
        async with pool.acquire() as session, session.transaction():
            await ensure(session, group)
        head = (await parts.log.head()).position
        runner = GroupRunner(group, parts.log, pool, owner=new_id())
        began = perf_counter()
        await runner.catch_up(head)
        return Sample(done=head, seconds=perf_counter() - began)


async def copied(
    place: Place, like: str, name: str, rows: Sequence[tuple[Any, ...]]
) -> Sample:
    """Copy rows into a new table like another, a page at a time, as durably."""
    async with place.superuser() as connection:
        await connection.execute(
            f"""
            CREATE SCHEMA IF NOT EXISTS bench;
            DROP TABLE IF EXISTS bench.{name};
            CREATE TABLE bench.{name} (LIKE {like} INCLUDING ALL);
            SET synchronous_commit = off;
            """
        )
        began = perf_counter()
        for start in range(0, len(rows), PAGE):
            await connection.copy_records_to_table(
                name, schema_name="bench", records=rows[start : start + PAGE]
            )
        return Sample(done=len(rows), seconds=perf_counter() - began)


def judged_trials(number: int) -> Iterator[Append]:
    """Yield appends that each begin a trial and judge it: two events, one row."""
    run_id = SetRunId(uuid5(SPACE, "run"))
    for at in range(number):
        trial_id = TrialId(uuid5(SPACE, f"trial {at}"))
        unit_test_id = UnitTestId(uuid5(SPACE, f"unit test {at // 4}"))
        events = (
            TrialStarted(
                trial_id=trial_id,
                run_id=run_id,
                unit_test_id=unit_test_id,
                index=at % 4,
                attempt=1,
            ),
            TrialFinished(
                trial_id=trial_id,
                run_id=run_id,
                unit_test_id=unit_test_id,
                index=at % 4,
                outcome="passed",
                metric_results=[
                    MetricResult(
                        metric_id=MetricId(uuid5(SPACE, f"metric {metric}")),
                        metric_version=1,
                        name=f"Metric {metric}",
                        value=True,
                        outcome="passed",
                        justification=BACKGROUND,
                        references=[1, 2],
                        engine="rules/1",
                    )
                    for metric in range(2)
                ],
                attempt=1,
            ),
        )
        stream_id = f"testing.trial-{trial_id}"
        yield Append(
            meta=meta(),
            body_hash=bytes(32),
            writes=(Write(stream_id=stream_id, events=events),),
        )
