"""The read table `playground_metrics`: what a playground comes to.

A row holds the playground; its figures are counted when they are asked for, sessions
and answers each from their own table, so that neither multiplies the other.
"""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.playgrounds.playgrounds import (
    PlaygroundChanged,
    PlaygroundCreated,
    PlaygroundDeleted,
)
from projections.playgrounds.columns import (
    BY_CREATION,
    BY_OWNER,
    CREATED_AT,
    ORGANISATION,
    OWN,
    OWNER,
    SCHEMA,
    choice,
    key,
    organisation,
    text,
)
from projections.projection import Column, Projection, Rows, Table


def _figure(name: str, note: str, kind: str = "integer") -> Column:
    return Column(name=name, type=kind, note=note)


def _sessions(count: str, condition: str = "true") -> str:
    # S608 here and below: made of what stands in this file.
    return f"""(
                SELECT {count}::integer
                FROM playgrounds.evaluation_sessions AS s
                WHERE s.playground_id = t.id
                AND {condition}
            )"""  # noqa: S608


TABLE: Final = Table(
    schema=SCHEMA,
    name="playground_metrics",
    version=1,
    note="Figures of each playground, of the evaluations that count",
    columns=(
        key("Playground identifier"),
        text("name", "Name", most=255),
        choice("type", "ab_testing or tuning", "ab_testing", "tuning"),
        OWNER,
        *ORGANISATION,
        CREATED_AT,
    ),
    key=("id",),
    rows=OWN,
    indexes=(BY_CREATION, BY_OWNER),
    view=f"""
        SELECT
            t.*,
            {_sessions("count(DISTINCT s.user_id)", "s.status = 'submitted'")}
                AS total_testers,
            {_sessions("count(*)", "s.status = 'submitted'")}
                AS total_evaluations,
            (
                SELECT count(*)::integer
                FROM playgrounds.evaluations AS e
                WHERE e.playground_id = t.id
                AND e.counted
            ) AS total_answers,
            {_sessions("count(*)")} AS total_started,
            {_sessions("count(*)", "s.shown_at IS NOT NULL")} AS total_shown,
            {_sessions("count(*)", "s.status IN ('expired', 'abandoned')")}
                AS total_lapsed,
            {_sessions("count(*)", "s.status IN ('withdrawn', 'excluded')")}
                AS total_dropped,
            (
                SELECT round(
                    100.0 * count(*) FILTER (WHERE s.submitted_at IS NOT NULL)
                        / nullif(count(*), 0),
                    2
                )
                FROM playgrounds.evaluation_sessions AS s
                WHERE s.playground_id = t.id
                AND s.status <> 'open'
            ) AS completion_percentage,
            (
                SELECT round(avg(e.rating), 2)
                FROM playgrounds.evaluations AS e
                WHERE e.playground_id = t.id
                AND e.counted
            ) AS average_rating,
            (
                SELECT coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'model_key', c.model_key,
                            'model_name', m.model_name,
                            'evaluations', c.current_count,
                            'reserved', c.reserved,
                            'given', c.given,
                            'max_evaluations', m.max_evaluations,
                            'average_rating',
                            (
                                SELECT round(avg(e.rating), 2)
                                FROM playgrounds.evaluations AS e
                                WHERE e.playground_id = t.id
                                AND e.model_key = c.model_key
                                AND e.counted
                            )
                        )
                        ORDER BY c.model_key
                    ),
                    jsonb_build_array()
                )
                FROM playgrounds.evaluation_counters AS c
                JOIN playgrounds.model_configurations AS m
                    ON m.playground_id = c.playground_id
                    AND m.model_key = c.model_key
                WHERE c.playground_id = t.id
            ) AS models
        FROM {{table}} AS t
    """,  # noqa: S608
    view_columns=(
        _figure("total_testers", "People who submitted an evaluation that counts"),
        _figure("total_evaluations", "Evaluations that count, one per session"),
        _figure("total_answers", "Answers in these evaluations"),
        _figure("total_started", "Places that were given"),
        _figure("total_shown", "Of these, those whose model was shown"),
        _figure("total_lapsed", "Of these, those that expired or were given up"),
        _figure("total_dropped", "Evaluations that were withdrawn or excluded"),
        _figure(
            "completion_percentage", "Of evaluations that ended, submitted", "numeric"
        ),
        _figure("average_rating", "Mean of the ratings from 1 to 5", "numeric"),
        Column(
            name="models",
            type="jsonb",
            note="Figures of each model: model_key, model_name, evaluations, reserved,"
            " given, max_evaluations, average_rating",
        ),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each playground into a row."""
    for recorded in batch:
        match recorded.event:
            case PlaygroundCreated() as event:
                rows.insert(
                    event.playground_id,
                    event.name,
                    event.kind,
                    event.owner,
                    *organisation(recorded),
                    recorded.recorded_at,
                )
            case PlaygroundChanged() as event:
                rows.patch((event.playground_id,), name=event.name)
            case PlaygroundDeleted() as event:
                rows.remove((event.playground_id,))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(PlaygroundCreated, PlaygroundChanged, PlaygroundDeleted),
    project=project,
)
