"""The read table `simulation_unit_test_set_runs`: what was pinned, what came out.

The row holds the run; what grows with its trials is read from `trials`,
`set_run_history` and `set_run_artifacts`, so that a trial never rewrites the run's
JSON, and a query that leaves those columns out does not pay for them.
"""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.testing.set_runs import (
    ArtifactGenerated,
    SetRunCancelled,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Spec,
    TrialCounted,
    TrialsReopened,
)
from projections.projection import Column, Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    AUTHORED,
    BY_CREATION,
    EXTERNAL_ID,
    OWN_ORGANISATION,
    SCHEMA,
    authored,
    flag,
    identifier,
    integer,
    json,
    jsonb,
    key,
    moment,
    text,
    updated,
)


def _total(name: str, note: str) -> Column:
    return Column(name=name, type="integer", note=note)


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulation_unit_test_set_runs",
    version=2,
    note="Execution results for unit test sets",
    columns=(
        identifier("Run identifier"),
        text("simulation_unit_test_set_id", "Parent test set ID"),
        text(
            "origin",
            "Where its trials are held: live, or imported",
            check="origin IN ('live', 'imported')",
        ),
        text(
            "status",
            "What became of it: pinning, running, completed, cancelled or failed",
            check="status IN"
            " ('pinning', 'running', 'completed', 'cancelled', 'failed')",
        ),
        flag("errored", "Error status: whether it failed, or a trial broke off"),
        json(
            "unit_test_run_specs",
            "Test specifications: each unit test with everything pinned at the start;"
            " empty while a live run is pinned",
        ),
        integer("trial_count", "Trials that it makes"),
        Column(
            name="seed",
            type="bigint",
            nullable=False,
            note="Seed of its randomness",
        ),
        moment(
            "ended_at", "When the last trial ended or it was cancelled", nullable=True
        ),
        text("cancel_reason", "Why it was cancelled", nullable=True),
        text("error", "Why it could not be pinned, if it failed", nullable=True),
        Column(
            name="concurrency",
            type="integer",
            note="Most trials that it holds at a time; null for no limit",
        ),
        Column(
            name="position",
            type="bigint",
            nullable=False,
            note="Place of its start in the log",
        ),
        EXTERNAL_ID,
        *AUTHORED,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("simulation_unit_test_set_id", "position")),
        BY_CREATION,
    ),
    references=(
        Reference(
            column="simulation_unit_test_set_id",
            table="testing.simulation_unit_test_sets",
        ),
    ),
    view="""
        SELECT
            t.*,
            (
                SELECT coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'unit_test_id', h.unit_test_id,
                            'name', h.name,
                            'run_count', h.run_count,
                            'passed', h.passed,
                            'failed', h.failed,
                            'inconclusive', h.inconclusive,
                            'errored', h.errored,
                            'trials',
                            (
                                SELECT coalesce(
                                    jsonb_agg(
                                        jsonb_build_object(
                                            'trial_id', r._id,
                                            'index', r.index,
                                            'outcome', r.outcome,
                                            'reward', r.reward,
                                            'entries', r.entries,
                                            'end_reason', r.end_reason,
                                            'error', r.error,
                                            'fault', r.fault,
                                            'attempt', r.attempt
                                        )
                                        ORDER BY r.index, r._id
                                    ),
                                    jsonb_build_array()
                                )
                                FROM testing.trials AS r
                                WHERE r.run_id = h.run_id
                                AND r.unit_test_id = h.unit_test_id
                                AND r.outcome IS NOT NULL
                                AND NOT r.retried
                            )
                        )
                        ORDER BY h.ordinal
                    ),
                    jsonb_build_array()
                )
                FROM testing.set_run_history AS h
                WHERE h.run_id = t._id
            ) AS unit_test_run_results,
            (
                SELECT coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'unit_test_id', r.unit_test_id,
                            'trial_id', r._id,
                            'index', r.index
                        ) || m.metric
                        ORDER BY h.ordinal, r.index, r._id, m.ordinal
                    ),
                    jsonb_build_array()
                )
                FROM testing.trials AS r
                JOIN testing.set_run_history AS h
                    ON h.run_id = r.run_id
                    AND h.unit_test_id = r.unit_test_id
                CROSS JOIN LATERAL jsonb_array_elements(r.failed_metrics)
                    WITH ORDINALITY AS m (metric, ordinal)
                WHERE r.run_id = t._id
                AND r.failed_metrics IS NOT NULL
                AND NOT r.retried
            ) AS failed_metrics,
            (
                SELECT coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'artifact_id', a.artifact_id,
                            'name', a.name,
                            'media_type', a.media_type,
                            'sha256', a.sha256,
                            'size', a.size
                        )
                        ORDER BY a.position
                    ),
                    jsonb_build_array()
                )
                FROM testing.set_run_artifacts AS a
                WHERE a.run_id = t._id
            ) AS artifacts_generated,
            (
                SELECT coalesce(sum(h.passed), 0)::integer
                FROM testing.set_run_history AS h
                WHERE h.run_id = t._id
            ) AS passed_count,
            (
                SELECT coalesce(sum(h.failed), 0)::integer
                FROM testing.set_run_history AS h
                WHERE h.run_id = t._id
            ) AS failed_count,
            (
                SELECT coalesce(sum(h.inconclusive), 0)::integer
                FROM testing.set_run_history AS h
                WHERE h.run_id = t._id
            ) AS inconclusive_count,
            (
                SELECT coalesce(sum(h.errored), 0)::integer
                FROM testing.set_run_history AS h
                WHERE h.run_id = t._id
            ) AS errored_count
        FROM {table} AS t
    """,
    view_columns=(
        Column(
            name="unit_test_run_results",
            type="jsonb",
            note="Test execution results: each unit test in order with unit_test_id,"
            " name, run_count, passed, failed, inconclusive, errored, and trials,"
            " those that ended and were not held again: trial_id, index, outcome,"
            " reward, entries, end_reason, error, fault, attempt",
        ),
        Column(
            name="failed_metrics",
            type="jsonb",
            note="Failed metric details, one per metric and trial: unit_test_id,"
            " trial_id, index, metric_id, metric_version, name, value, outcome,"
            " justification, references, engine",
        ),
        Column(
            name="artifacts_generated",
            type="jsonb",
            note="Generated artifacts: artifact_id, name, media_type, sha256, size",
        ),
        _total("passed_count", "Trials that passed so far"),
        _total("failed_count", "Trials that failed so far"),
        _total("inconclusive_count", "Trials that could not be judged so far"),
        _total("errored_count", "Trials that broke off so far"),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of runs into their rows."""
    for recorded in batch:
        match recorded.event:
            case SetRunRequested() as event:
                rows.insert(
                    str(event.run_id),
                    str(event.set_id),
                    event.origin,
                    "running" if event.specs else "pinning",
                    False,
                    jsonb(event.specs),
                    _trials(event.specs),
                    event.seed,
                    None,
                    None,
                    None,
                    event.concurrency,
                    recorded.position,
                    event.external_id,
                    *authored(recorded),
                )
            case SetRunPinned() as event:
                rows.patch(
                    key(event.run_id),
                    status="running",
                    unit_test_run_specs=jsonb(event.specs),
                    trial_count=_trials(event.specs),
                    **updated(recorded),
                )
            case SetRunFailed() as event:
                rows.patch(
                    key(event.run_id),
                    status="failed",
                    errored=True,
                    error=event.reason,
                    ended_at=recorded.recorded_at,
                    **updated(recorded),
                )
            case TrialsReopened() as event:
                rows.patch(
                    key(event.run_id),
                    status="running",
                    errored=False,
                    ended_at=None,
                    **updated(recorded),
                )
            case TrialCounted(outcome="errored") as event:
                rows.patch(key(event.run_id), errored=True, **updated(recorded))
            case TrialCounted() | ArtifactGenerated() as event:
                rows.patch(key(event.run_id), **updated(recorded))
            case SetRunCompleted() as event:
                rows.patch(
                    key(event.run_id),
                    status="completed",
                    ended_at=recorded.recorded_at,
                    **updated(recorded),
                )
            case SetRunCancelled() as event:
                rows.patch(
                    key(event.run_id),
                    status="cancelled",
                    cancel_reason=event.reason,
                    ended_at=recorded.recorded_at,
                    **updated(recorded),
                )


def _trials(specs: Sequence[Spec]) -> int:
    return sum(spec.run_count for spec in specs)


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        SetRunRequested,
        SetRunPinned,
        SetRunFailed,
        TrialCounted,
        TrialsReopened,
        SetRunCompleted,
        SetRunCancelled,
        ArtifactGenerated,
    ),
    project=project,
)
