"""The read table `simulation_unit_test_sets`: which unit tests run together.

The row holds the set; what its runs added since, the newest run and the history of
each unit test, is read from `simulation_unit_test_set_runs` and `set_run_history`.
"""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.unit_test_sets import (
    UnitTestSetChanged,
    UnitTestSetCreated,
    UnitTestSetDeleted,
)
from projections.projection import Column, Projection, Rows, Table
from projections.testing.columns import (
    BY_CREATION,
    BY_NAME,
    BY_TAGS,
    DELETABLE,
    EXTERNAL_ID,
    OWN_ORGANISATION,
    SCHEMA,
    TAGS,
    deletable,
    deleted,
    identifier,
    json,
    jsonb,
    key,
    text,
    updated,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulation_unit_test_sets",
    version=1,
    note="Collections of related unit tests",
    columns=(
        identifier("Test set identifier"),
        text("name", "Test set name"),
        text("description", "Test set description"),
        json("unit_tests", "Its unit tests in order: unit_test_id, run_count of each"),
        TAGS,
        EXTERNAL_ID,
        *DELETABLE,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(BY_CREATION, BY_TAGS, BY_NAME),
    view="""
        SELECT
            t.*,
            (
                SELECT r._id
                FROM testing.simulation_unit_test_set_runs AS r
                WHERE r.simulation_unit_test_set_id = t._id
                ORDER BY r.position DESC
                LIMIT 1
            ) AS last_triggered_run_id,
            (
                SELECT coalesce(
                    jsonb_agg(
                        e.entry || jsonb_build_object(
                            'history',
                            (
                                SELECT coalesce(
                                    jsonb_agg(
                                        jsonb_build_object(
                                            'run_id', h.run_id,
                                            'started_at', to_char(
                                                h.started_at AT TIME ZONE 'UTC',
                                                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
                                            ),
                                            'run_count', h.run_count,
                                            'passed', h.passed,
                                            'failed', h.failed,
                                            'inconclusive', h.inconclusive,
                                            'errored', h.errored
                                        )
                                        ORDER BY h.position DESC
                                    ),
                                    jsonb_build_array()
                                )
                                FROM (
                                    SELECT *
                                    FROM testing.set_run_history
                                    WHERE set_id = t._id
                                    AND unit_test_id = e.entry ->> 'unit_test_id'
                                    ORDER BY position DESC
                                    LIMIT 100
                                ) AS h
                            )
                        )
                        ORDER BY e.ordinal
                    ),
                    jsonb_build_array()
                )
                FROM jsonb_array_elements(t.unit_tests)
                    WITH ORDINALITY AS e (entry, ordinal)
            ) AS unit_test_runs
        FROM {table} AS t
    """,
    view_columns=(
        Column(
            name="last_triggered_run_id",
            type="text",
            note="Last run ID",
        ),
        Column(
            name="unit_test_runs",
            type="jsonb",
            note="Test run history: unit_test_id, run_count of each unit test in order,"
            " and history, its 100 newest runs, newest first: run_id, started_at,"
            " run_count, passed, failed, inconclusive, errored",
        ),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of sets into their rows."""
    for recorded in batch:
        match recorded.event:
            case UnitTestSetCreated() as event:
                rows.insert(
                    str(event.set_id),
                    event.name,
                    event.description,
                    jsonb(event.unit_tests),
                    jsonb(event.tags),
                    event.external_id,
                    *deletable(recorded),
                )
            case UnitTestSetChanged() as event:
                rows.patch(
                    key(event.set_id),
                    name=event.name,
                    description=event.description,
                    unit_tests=jsonb(event.unit_tests),
                    tags=jsonb(event.tags),
                    **updated(recorded),
                )
            case UnitTestSetDeleted() as event:
                rows.patch(key(event.set_id), **deleted(recorded))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(UnitTestSetCreated, UnitTestSetChanged, UnitTestSetDeleted),
    project=project,
)
