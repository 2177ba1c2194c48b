"""The read table `question_metrics`: how often each choice was made, of each model.

The table holds a row per question with its choices; the view has one per question,
model and choice, those that nobody made included.
"""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.playgrounds.playgrounds import (
    Option,
    PlaygroundDeleted,
    QuestionAdded,
    QuestionChanged,
    QuestionKind,
)
from projections.playgrounds.columns import (
    BY_OWNER,
    BY_PLAYGROUND,
    CREATED_AT,
    OF_PLAYGROUND,
    ORGANISATION,
    OWN,
    OWNER,
    PLAYGROUND_ID,
    SCHEMA,
    jsonb,
    key,
    organisation,
    text,
)
from projections.projection import Column, Index, Projection, Rows, Table


CHOICES: Final = {
    "boolean": ("true", "false"),
    "pairwise": ("first", "second", "tie", "both_bad"),
}

TABLE: Final = Table(
    schema=SCHEMA,
    name="question_metrics",
    version=1,
    note="Distribution of what was chosen, per question and model, zeros included",
    columns=(
        key("Question identifier"),
        text("question_text", "What is asked"),
        PLAYGROUND_ID,
        text("question_type", "select, boolean or pairwise"),
        text("asked_of", "Model it is asked of; null: every model", nullable=True),
        Column(
            name="choices",
            type="jsonb",
            nullable=False,
            note="What can be chosen now: label and value of each",
        ),
        OWNER,
        *ORGANISATION,
        CREATED_AT,
    ),
    key=("playground_id", "id"),
    view_key=("playground_id", "id", "model_key", "answer_value"),
    rows=OWN,
    indexes=(Index(columns=("id",)), BY_PLAYGROUND, BY_OWNER),
    references=(OF_PLAYGROUND,),
    view="""
        SELECT
            t.*,
            c.model_key,
            c.answer_value,
            c.answer_label,
            c.is_offered,
            c.response_count,
            round(
                100.0 * c.response_count
                    / nullif(sum(c.response_count) OVER of_model, 0),
                2
            ) AS percentage
        FROM {table} AS t
        CROSS JOIN LATERAL (
            SELECT
                m.model_key,
                v.answer_value,
                max(v.answer_label) AS answer_label,
                bool_or(v.is_offered) AS is_offered,
                sum(v.response_count)::integer AS response_count
            FROM playgrounds.model_configurations AS m
            CROSS JOIN LATERAL (
                SELECT
                    o.choice ->> 'value' AS answer_value,
                    o.choice ->> 'label' AS answer_label,
                    true AS is_offered,
                    0 AS response_count
                FROM jsonb_array_elements(t.choices) AS o (choice)
                UNION ALL
                SELECT
                    e.answer_value,
                    NULL,
                    false,
                    count(*)
                FROM playgrounds.evaluations AS e
                WHERE e.question_id = t.id
                AND e.playground_id = t.playground_id
                AND e.model_key = m.model_key
                AND e.answer_value IS NOT NULL
                AND e.counted
                GROUP BY e.answer_value
            ) AS v
            WHERE m.playground_id = t.playground_id
            AND (t.asked_of IS NULL OR t.asked_of = m.model_key)
            GROUP BY m.model_key, v.answer_value
        ) AS c
        WINDOW of_model AS (PARTITION BY t.playground_id, t.id, c.model_key)
    """,
    view_columns=(
        Column(name="model_key", type="text", note="Model that was evaluated"),
        Column(name="answer_value", type="text", note="What was chosen"),
        Column(name="answer_label", type="text", note="How that was shown, if it is"),
        Column(
            name="is_offered",
            type="boolean",
            note="Whether it can be chosen now; an older answer may have another value",
        ),
        Column(name="response_count", type="integer", note="Answers that chose it"),
        Column(
            name="percentage",
            type="numeric",
            note="Of the answers to this question about this model; null: none",
        ),
    ),
)


def choices_of(kind: QuestionKind, options: Sequence[Option]) -> list[Option]:
    """Return what can be chosen in answer to a question."""
    fixed = CHOICES.get(kind, ())
    return [*options, *(Option(label=value, value=value) for value in fixed)]


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each question with choices into a row."""
    for recorded in batch:
        match recorded.event:
            case QuestionAdded(kind="select" | "boolean" | "pairwise") as event:
                rows.insert(
                    event.question_id,
                    event.text,
                    event.playground_id,
                    event.kind,
                    event.model_key,
                    jsonb(choices_of(event.kind, event.options)),
                    event.owner,
                    *organisation(recorded),
                    recorded.recorded_at,
                )
            case QuestionChanged(kind="select" | "boolean" | "pairwise") as event:
                rows.patch(
                    (event.playground_id, event.question_id),
                    question_text=event.text,
                    asked_of=event.model_key,
                    choices=jsonb(choices_of(event.kind, event.options)),
                )
            case PlaygroundDeleted() as event:
                for question_id in event.question_ids:
                    rows.remove((event.playground_id, question_id))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(QuestionAdded, QuestionChanged, PlaygroundDeleted),
    project=project,
)
