"""What a playground's statistics and exports rest on: models, questions, sessions."""

from typing import Final, Literal

import msgspec


Kind = Literal["select", "input_string", "rating", "boolean", "pairwise"]
Status = Literal["open", "submitted", "expired", "abandoned", "withdrawn", "excluded"]
Preference = Literal["first", "second", "tie", "both_bad"]

PREFERENCES: Final[tuple[Preference, ...]] = ("first", "second", "tie", "both_bad")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model under comparison, and how many evaluations it may have at most."""

    key: str
    limit: int | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question; without a model key it is asked of every model.

    `version` is the revision of the questions since which it is worded so, `options`
    are the values that can be chosen.
    """

    id: str
    text: str
    kind: Kind
    version: int = 1
    model_key: str | None = None
    options: tuple[str, ...] = ()
    order: int = 0
    required: bool = True
    removed: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: free text, a chosen value, a rating from 1 to 5, or several of them.

    The value of a pairwise question is a `Preference` between the model of the tester's
    previous session and the one of this session, in that order.
    """

    question_id: str
    text: str | None = None
    value: str | None = None
    rating: int | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One tester before one model; `seconds` from the first sight to the submission.

    It answers the questions of a `revision`. `ordinal` counts the tester's sessions
    from 1; `previous` is the session that the tester submitted before this one; `at` is
    when it was submitted, as ISO 8601.
    """

    id: str
    tester: str
    model_key: str
    status: Status
    ordinal: int = 1
    revision: int = 1
    shown: bool = True
    seconds: float | None = None
    reason: str | None = None
    answers: tuple[Answer, ...] = ()
    previous: str | None = None
    at: str | None = None


class Evaluations(msgspec.Struct, frozen=True, kw_only=True):
    """A playground at a position of the log, its sessions in order of reservation."""

    playground_id: str
    position: int
    models: tuple[Model, ...]
    questions: tuple[Question, ...]
    sessions: tuple[Session, ...]

    def submitted(self) -> list[Session]:
        """Return the sessions that count, in order."""
        return [each for each in self.sessions if each.status == "submitted"]

    def asked(self, model_key: str) -> list[Question]:
        """Return the questions that a model's testers are asked."""
        return [each for each in self.questions if each.model_key in {None, model_key}]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to compute: confidence of intervals, draws and seed of resampling, ties."""

    confidence: float = 0.95
    draws: int = 2_000
    seed: int = 0
    ties: Literal["davidson", "rao-kupper"] = "davidson"
