"""The read table `evaluation_sessions`: one row for each place that was given."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.people import person_id
from events.playgrounds.evaluations import (
    EvaluationExcluded,
    EvaluationLapsed,
    EvaluationOpened,
    EvaluationSubmitted,
    EvaluationWithdrawn,
    ModelShown,
)
from projections.playgrounds.columns import (
    BY_CREATION,
    BY_OWNER,
    CREATED_AT,
    MODEL_KEY,
    OF_PLAYGROUND,
    ORGANISATION,
    OWN_AND_TESTERS,
    OWNER,
    PLAYGROUND_ID,
    SCHEMA,
    TESTER,
    UPDATED_AT,
    choice,
    integer,
    key,
    moment,
    organisation,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="evaluation_sessions",
    version=1,
    note="Evaluations of one model by one tester, from the place that was reserved",
    columns=(
        key("Evaluation identifier"),
        PLAYGROUND_ID,
        uuid("user_id", "Tester"),
        MODEL_KEY,
        choice(
            "status",
            "open, submitted, expired, abandoned, withdrawn or excluded",
            "open",
            "submitted",
            "expired",
            "abandoned",
            "withdrawn",
            "excluded",
        ),
        integer("number", "Which place it was given, from 1; 0: imported"),
        integer("ordinal", "Which evaluation of the tester it is there, from 1"),
        integer("revision", "Revision of the questions that it answers"),
        uuid(
            "previous_session_id",
            "Evaluation that it is compared with, if any",
            nullable=True,
        ),
        text("previous_model_key", "Model of that one", nullable=True),
        moment("expires_at", "Until when its place was held"),
        moment("shown_at", "When the tester was shown the model", nullable=True),
        moment(
            "submitted_at",
            "When it was submitted, an imported one elsewhere",
            nullable=True,
        ),
        Column(
            name="time_spent_ms",
            type="integer",
            note="How long the tester was at it, as they say",
        ),
        integer("answers", "Answers that were submitted"),
        text("exclusion_reason", "Why it was excluded", nullable=True),
        TESTER,
        OWNER,
        *ORGANISATION,
        CREATED_AT,
        UPDATED_AT,
    ),
    key=("id",),
    rows=OWN_AND_TESTERS,
    indexes=(
        Index(columns=("playground_id", "number")),
        Index(columns=("user_id",)),
        Index(columns=("tester",)),
        BY_CREATION,
        BY_OWNER,
    ),
    references=(OF_PLAYGROUND,),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of evaluations into their rows."""
    for recorded in batch:
        at = recorded.recorded_at
        match recorded.event:
            case EvaluationOpened() as event:
                rows.insert(
                    event.session_id,
                    event.playground_id,
                    person_id(recorded.org_id, event.tester),
                    event.model_key,
                    "open",
                    event.number,
                    event.ordinal,
                    event.revision,
                    event.previous_session_id,
                    event.previous_model_key,
                    event.expires_at,
                    None,
                    None,
                    None,
                    0,
                    None,
                    event.tester,
                    event.owner,
                    *organisation(recorded),
                    at,
                    at,
                )
            case ModelShown() as event:
                rows.patch((event.session_id,), shown_at=at, updated_at=at)
            case EvaluationSubmitted() as event:
                rows.patch(
                    (event.session_id,),
                    status="submitted",
                    submitted_at=recorded.occurred_at,
                    time_spent_ms=event.time_spent_ms,
                    answers=len(event.answers),
                    updated_at=at,
                )
            case EvaluationLapsed() as event:
                rows.patch((event.session_id,), status=event.reason, updated_at=at)
            case EvaluationWithdrawn() as event:
                rows.patch((event.session_id,), status="withdrawn", updated_at=at)
            case EvaluationExcluded() as event:
                rows.patch(
                    (event.session_id,),
                    status="excluded",
                    exclusion_reason=event.reason,
                    updated_at=at,
                )


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        EvaluationOpened,
        ModelShown,
        EvaluationSubmitted,
        EvaluationLapsed,
        EvaluationWithdrawn,
        EvaluationExcluded,
    ),
    project=project,
)
