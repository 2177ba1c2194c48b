"""Playgrounds to compute from: two models, some questions, and testers' sessions."""

from collections.abc import Sequence

from services.playgrounds.statistics.records import (
    Answer,
    Evaluations,
    Model,
    Options,
    Question,
    Session,
    Status,
)


OPTIONS = Options(draws=200, seed=1)

GOOD = Question(id="good", text="Was it good?", kind="rating")
WHICH = Question(id="which", text="Which?", kind="select", options=("yes", "no", "?"))
AGAIN = Question(id="again", text="Again?", kind="boolean")
BETTER = Question(id="better", text="Which was better?", kind="pairwise")
WHY = Question(id="why", text="Why?", kind="input_string")

QUESTIONS = (GOOD, WHICH, AGAIN, BETTER, WHY)


def models(*keys: str, limit: int | None = None) -> tuple[Model, ...]:
    return tuple(Model(key=key, limit=limit) for key in keys)


def playground(
    sessions: Sequence[Session],
    *,
    of: tuple[Model, ...] = models("a", "b"),
    questions: tuple[Question, ...] = QUESTIONS,
) -> Evaluations:
    return Evaluations(
        playground_id="p",
        position=77,
        models=of,
        questions=questions,
        sessions=tuple(sessions),
    )


def session(
    tester: str,
    model: str,
    *,
    status: Status = "submitted",
    previous: str | None = None,
    number: int = 1,
    seconds: float | None = None,
    shown: bool = True,
    **answers: str | int,
) -> Session:
    return Session(
        id=f"{tester}-{model}-{number}",
        tester=tester,
        model_key=model,
        status=status,
        shown=shown,
        previous=previous,
        seconds=seconds,
        answers=tuple(answer(name, said) for name, said in answers.items()),
    )


def answer(question_id: str, said: str | int) -> Answer:
    if isinstance(said, int):
        return Answer(question_id=question_id, rating=said)
    if question_id == WHY.id:
        return Answer(question_id=question_id, text=said)
    return Answer(question_id=question_id, value=said)
