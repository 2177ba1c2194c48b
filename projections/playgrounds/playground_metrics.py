"""The read table `playground_metrics`: what a playground comes to.

A row holds the playground; its figures are counted when they are asked for, sessions
and answers each in one pass over their own table, so that neither multiplies the other.
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
    view="""
        SELECT
            t.*,
            s.total_testers,
            s.total_evaluations,
            coalesce(e.total_answers, 0) AS total_answers,
            s.total_started,
            s.total_shown,
            s.total_lapsed,
            s.total_dropped,
            s.completion_percentage,
            e.average_rating,
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
                            'average_rating', e.ratings -> c.model_key
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
        FROM {table} AS t
        LEFT JOIN LATERAL (
            SELECT
                count(DISTINCT x.user_id) FILTER (WHERE x.status = 'submitted')
                    ::integer AS total_testers,
                count(*) FILTER (WHERE x.status = 'submitted')::integer
                    AS total_evaluations,
                count(*)::integer AS total_started,
                count(x.shown_at)::integer AS total_shown,
                count(*) FILTER (WHERE x.status IN ('expired', 'abandoned'))
                    ::integer AS total_lapsed,
                count(*) FILTER (WHERE x.status IN ('withdrawn', 'excluded'))
                    ::integer AS total_dropped,
                round(
                    100.0 * count(x.submitted_at)
                        / nullif(count(*) FILTER (WHERE x.status <> 'open'), 0),
                    2
                ) AS completion_percentage
            FROM playgrounds.evaluation_sessions AS x
            WHERE x.playground_id = t.id
        ) AS s ON true
        LEFT JOIN LATERAL (
            SELECT
                sum(y.answers)::integer AS total_answers,
                round(sum(y.total)::numeric / nullif(sum(y.rated), 0), 2)
                    AS average_rating,
                jsonb_object_agg(
                    y.model_key,
                    round(y.total::numeric / nullif(y.rated, 0), 2)
                ) AS ratings
            FROM (
                SELECT
                    z.model_key,
                    count(*) AS answers,
                    count(z.rating) AS rated,
                    sum(z.rating) AS total
                FROM playgrounds.evaluations AS z
                WHERE z.playground_id = t.id
                AND z.counted
                GROUP BY z.model_key
            ) AS y
        ) AS e ON true
    """,
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
