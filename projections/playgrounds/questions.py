"""The read table `questions`: what is asked of the models of playgrounds.

Whoever adds a question chooses its id, so an id is unique in its playground only.
"""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.playgrounds.playgrounds import (
    PlaygroundDeleted,
    QuestionAdded,
    QuestionChanged,
    QuestionRemoved,
    QuestionsReordered,
)
from projections.playgrounds.columns import (
    BY_OWNER,
    BY_PLAYGROUND,
    CREATED_AT,
    OF_PLAYGROUND,
    ORGANISATION,
    OWNER,
    PLAYGROUND_ID,
    SCHEMA,
    UPDATED_AT,
    WHO_SEES_THE_PLAYGROUND,
    choice,
    flag,
    integer,
    jsonb,
    key,
    moment,
    organisation,
    text,
)
from projections.projection import Column, Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="questions",
    version=1,
    note="Questions, as they are asked now; one that was removed says when",
    columns=(
        key("Question identifier"),
        PLAYGROUND_ID,
        text(
            "model_key",
            "Model it is asked of; null: every model",
            most=50,
            nullable=True,
        ),
        text("question_text", "What is asked"),
        choice(
            "question_type",
            "select, input_string, rating, boolean or pairwise",
            "select",
            "input_string",
            "rating",
            "boolean",
            "pairwise",
        ),
        Column(
            name="options",
            type="jsonb",
            nullable=False,
            note="Of select: what can be chosen, each with label and value",
        ),
        integer("order_index", "Display order"),
        flag("required", "Whether it has to be answered"),
        integer("revision", "Revision of the questions since which it is so"),
        moment("removed_at", "When it was removed, if it was", nullable=True),
        OWNER,
        *ORGANISATION,
        CREATED_AT,
        UPDATED_AT,
    ),
    key=("playground_id", "id"),
    rows=WHO_SEES_THE_PLAYGROUND,
    indexes=(
        Index(columns=("id",)),
        BY_PLAYGROUND,
        Index(columns=("model_key",)),
        Index(columns=("playground_id", "order_index")),
        BY_OWNER,
    ),
    references=(OF_PLAYGROUND,),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of questions into their rows."""
    for recorded in batch:
        at = recorded.recorded_at
        match recorded.event:
            case QuestionAdded() as event:
                rows.insert(
                    event.question_id,
                    event.playground_id,
                    event.model_key,
                    event.text,
                    event.kind,
                    jsonb(event.options),
                    event.order_index,
                    event.required,
                    event.revision,
                    None,
                    event.owner,
                    *organisation(recorded),
                    at,
                    at,
                )
            case QuestionChanged() as event:
                rows.patch(
                    (event.playground_id, event.question_id),
                    model_key=event.model_key,
                    question_text=event.text,
                    options=jsonb(event.options),
                    required=event.required,
                    revision=event.revision,
                    updated_at=at,
                )
            case QuestionsReordered() as event:
                for place, question_id in enumerate(event.question_ids):
                    row = (event.playground_id, question_id)
                    rows.patch(row, order_index=place, updated_at=at)
            case QuestionRemoved() as event:
                row = (event.playground_id, event.question_id)
                rows.patch(row, removed_at=at, updated_at=at)
            case PlaygroundDeleted() as event:
                for question_id in event.question_ids:
                    rows.remove((event.playground_id, question_id))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        QuestionAdded,
        QuestionChanged,
        QuestionsReordered,
        QuestionRemoved,
        PlaygroundDeleted,
    ),
    project=project,
)
