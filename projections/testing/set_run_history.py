"""The read table `set_run_history`: how often each unit test of a run came out how."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.set_runs import (
    SetRunPinned,
    SetRunRequested,
    TrialCounted,
    TrialsReopened,
)
from projections.projection import Column, Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    OWN_ORGANISATION,
    SCHEMA,
    integer,
    key,
    moment,
    text,
)


def _count(name: str, note: str) -> Column:
    return Column(name=name, type="integer", nullable=False, default="0", note=note)


TABLE: Final = Table(
    schema=SCHEMA,
    name="set_run_history",
    version=1,
    note="Outcome counts of each unit test in each run of a set",
    columns=(
        text("run_id", "Run that pinned the unit test"),
        text("unit_test_id", "Unit test"),
        text("set_id", "Set that was run"),
        text("name", "Name of the unit test when the run started"),
        integer("ordinal", "Place among the unit tests of the run, from 1"),
        integer("run_count", "Trials that the run makes of it"),
        _count("passed", "Trials that passed so far"),
        _count("failed", "Trials that failed so far"),
        _count("inconclusive", "Trials that could not be judged so far"),
        _count("errored", "Trials that broke off so far"),
        text("org_id", "Organization identifier"),
        text("region_name", "Deployment region"),
        moment("started_at", "When the run had pinned it"),
        Column(
            name="position",
            type="bigint",
            nullable=False,
            note="Place in the log at which the run had pinned it",
        ),
    ),
    key=("run_id", "unit_test_id"),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("set_id", "unit_test_id", "position")),
        Index(columns=("unit_test_id",)),
        Index(columns=("org_id", "started_at")),
    ),
    references=(
        Reference(column="run_id", table="testing.simulation_unit_test_set_runs"),
        Reference(column="unit_test_id", table="testing.simulation_unit_tests"),
        Reference(column="set_id", table="testing.simulation_unit_test_sets"),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each run into a row per unit test, and count its trials there."""
    for recorded in batch:
        match recorded.event:
            case SetRunRequested() | SetRunPinned() as event:
                for ordinal, spec in enumerate(event.specs, start=1):
                    rows.insert(
                        str(event.run_id),
                        str(spec.unit_test_id),
                        str(event.set_id),
                        spec.name,
                        ordinal,
                        spec.run_count,
                        0,
                        0,
                        0,
                        0,
                        recorded.org_id,
                        recorded.region,
                        recorded.recorded_at,
                        recorded.position,
                    )
            case TrialCounted() as event:
                rows.add(key(event.run_id, event.unit_test_id), **{event.outcome: 1})
            case TrialsReopened() as event:
                for slot in event.slots:
                    rows.add(key(event.run_id, slot.unit_test_id), errored=-1)


PROJECTION: Final = Projection(
    table=TABLE,
    events=(SetRunRequested, SetRunPinned, TrialCounted, TrialsReopened),
    project=project,
)
