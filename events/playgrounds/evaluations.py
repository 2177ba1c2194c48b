"""Facts about evaluations: one tester, one model, one set of answers."""

from datetime import datetime
from typing import ClassVar

import msgspec

from events.ids import EvaluationId, PlaygroundId, QuestionId, SubjectId
from events.playgrounds.allocations import Lapse
from events.playgrounds.common import PlaygroundsEvent


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered to a question; its text, if it has one, is a fact of its own.

    `value` is that of an option, `true` or `false`, or of a comparison: `first`,
    `second`, `tie` or `both_bad`.
    """

    question_id: QuestionId
    value: str | None = None
    rating: int | None = None


class EvaluationOpened(PlaygroundsEvent, frozen=True, kw_only=True):
    """A tester was given a model to evaluate, until `expires_at`.

    The questions are those of `revision`. What is personal is sealed for `subject_id`.
    """

    session_id: EvaluationId
    playground_id: PlaygroundId
    owner: str
    tester: str
    subject_id: SubjectId
    model_key: str
    number: int
    ordinal: int
    revision: int
    expires_at: datetime
    previous_session_id: EvaluationId | None = None
    previous_model_key: str | None = None


class ModelShown(PlaygroundsEvent, frozen=True, kw_only=True):
    """The tester was shown the model."""

    session_id: EvaluationId
    playground_id: PlaygroundId


class EvaluationSubmitted(PlaygroundsEvent, frozen=True, kw_only=True):
    """A tester answered; texts follow, each as a fact of its own."""

    session_id: EvaluationId
    playground_id: PlaygroundId
    owner: str
    tester: str
    model_key: str
    answers: list[Answer]
    time_spent_ms: int | None = None


class TextAnswered(PlaygroundsEvent, frozen=True, kw_only=True):
    """What a tester wrote in answer to a question."""

    personal: ClassVar[tuple[str, ...]] = ("text",)

    session_id: EvaluationId
    playground_id: PlaygroundId
    owner: str
    tester: str
    model_key: str
    question_id: QuestionId
    text: str
    subject_id: SubjectId


class EvaluationLapsed(PlaygroundsEvent, frozen=True, kw_only=True):
    """An evaluation was not submitted in time, or was given up."""

    session_id: EvaluationId
    playground_id: PlaygroundId
    reason: Lapse


class EvaluationWithdrawn(PlaygroundsEvent, frozen=True, kw_only=True):
    """The tester took the evaluation back; it does not count any more."""

    session_id: EvaluationId
    playground_id: PlaygroundId


class EvaluationExcluded(PlaygroundsEvent, frozen=True, kw_only=True):
    """The playground's owner excluded the evaluation; it does not count any more."""

    session_id: EvaluationId
    playground_id: PlaygroundId
    reason: str


EvaluationEvent = (
    EvaluationOpened
    | ModelShown
    | EvaluationSubmitted
    | TextAnswered
    | EvaluationLapsed
    | EvaluationWithdrawn
    | EvaluationExcluded
)
