"""The read table `evaluations`: one row for each answer of a submitted evaluation.

After a tester's erasure no row of theirs holds a text, whether it was written before or
is rebuilt after it.
"""

from collections.abc import Sequence
from typing import Final

from events.access.subjects import SubjectErased
from events.message import ERASED, Event, Recorded
from events.people import person_id
from events.playgrounds.evaluations import (
    EvaluationExcluded,
    EvaluationSubmitted,
    EvaluationWithdrawn,
    TextAnswered,
)
from projections.playgrounds.columns import (
    BY_CREATION,
    BY_OWNER,
    BY_PLAYGROUND,
    BY_SEAL,
    CREATED_AT,
    MODEL_KEY,
    OF_PLAYGROUND,
    ORGANISATION,
    OWN_AND_TESTERS,
    OWNER,
    PLAYGROUND_ID,
    SCHEMA,
    SEALED_FOR,
    TESTER,
    answer_id,
    flag,
    key,
    organisation,
    sealed_for,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Reference, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="evaluations",
    version=1,
    note="Answers of testers, one row each; erased text reads [erased]",
    columns=(
        key("Answer identifier"),
        PLAYGROUND_ID,
        uuid("user_id", "Tester"),
        MODEL_KEY,
        uuid("question_id", "Question"),
        text("answer_text", "What was written, for input_string", nullable=True),
        text(
            "answer_value",
            "What was chosen: an option's value, true or false, or of a comparison"
            " first, second, tie or both_bad",
            most=255,
            nullable=True,
        ),
        Column(
            name="rating",
            type="integer",
            note="From 1 to 5, optional",
            check="rating BETWEEN 1 AND 5",
        ),
        uuid("session_id", "Evaluation that it is part of"),
        flag("counted", "Whether its evaluation counts: not withdrawn, not excluded"),
        SEALED_FOR,
        TESTER,
        OWNER,
        *ORGANISATION,
        CREATED_AT,
    ),
    key=("id",),
    rows=OWN_AND_TESTERS,
    indexes=(
        BY_PLAYGROUND,
        Index(columns=("user_id",)),
        Index(columns=("model_key",)),
        Index(columns=("session_id",)),
        Index(columns=("created_at",)),
        Index(columns=("question_id", "model_key", "answer_value")),
        Index(columns=("tester",)),
        BY_CREATION,
        BY_OWNER,
        BY_SEAL,
    ),
    references=(
        OF_PLAYGROUND,
        Reference(column="question_id", table="playgrounds.questions", target="id"),
        Reference(
            column="session_id", table="playgrounds.evaluation_sessions", target="id"
        ),
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn answers into rows, and take their text away after an erasure."""
    for recorded in batch:
        match recorded.event:
            case EvaluationSubmitted() as event:
                for answer in event.answers:
                    rows.insert(
                        answer_id(event.session_id, answer.question_id),
                        event.playground_id,
                        person_id(recorded.org_id, event.tester),
                        event.model_key,
                        answer.question_id,
                        None,
                        answer.value,
                        answer.rating,
                        event.session_id,
                        True,
                        None,
                        event.tester,
                        event.owner,
                        *organisation(recorded),
                        recorded.recorded_at,
                    )
            case TextAnswered() as event:
                rows.patch(
                    (answer_id(event.session_id, event.question_id),),
                    answer_text=event.text,
                    sealed_for=sealed_for(recorded.org_id, event.subject_id),
                )
            case EvaluationWithdrawn() | EvaluationExcluded() as event:
                rows.patch_where("session_id", event.session_id, counted=False)
            case SubjectErased() as event:
                rows.patch_where(
                    "sealed_for",
                    sealed_for(recorded.org_id, event.subject_id),
                    answer_text=ERASED,
                )


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        EvaluationSubmitted,
        TextAnswered,
        EvaluationWithdrawn,
        EvaluationExcluded,
        SubjectErased,
    ),
    project=project,
)
