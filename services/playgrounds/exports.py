"""A playground's evaluations as rows for other tools, one function per shape.

Every shape is made tester by tester, so an export needs no more memory than a page of
testers; and every row says its position of the log.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from services.playgrounds.statistics.battles import Judged, battles
from services.playgrounds.statistics.records import (
    Answer,
    Evaluations,
    Question,
    Session,
)


Shape = Literal["long", "wide", "battles", "preferences", "codebook"]
Row = dict[str, object]

STAMP: Final = ("playground_id", "position")
SESSION: Final = (
    "session_id",
    "tester",
    "model_key",
    "ordinal",
    "revision",
    "status",
    "reason",
    "previous_session_id",
    "submitted_at",
    "seconds",
)
LONG: Final = (
    *STAMP,
    *SESSION,
    "question_id",
    "question_text",
    "question_type",
    "answer_value",
    "answer_text",
    "rating",
)
BATTLES: Final = (
    *STAMP,
    "source",
    "question_id",
    "tester",
    "model_a",
    "model_b",
    "winner",
    "session_a",
    "session_b",
    "judged_at",
)
PREFERENCES: Final = (
    *STAMP,
    "source",
    "question_id",
    "question_text",
    "tester",
    "chosen",
    "rejected",
    "chosen_session",
    "rejected_session",
    "chosen_seen_first",
)
CODEBOOK: Final = (
    *STAMP,
    "question_id",
    "question_version",
    "question_text",
    "question_type",
    "model_key",
    "order",
    "required",
    "removed",
    "options",
    "wide_column",
)
WINNERS: Final[Mapping[str, str]] = {
    "first": "model_a",
    "second": "model_b",
    "tie": "tie",
    "both_bad": "both_bad",
}


def columns(shape: Shape, data: Evaluations) -> Sequence[str]:
    """Return the names of a shape's columns; sessions do not matter to them."""
    match shape:
        case "long":
            return LONG
        case "wide":
            return (*STAMP, *SESSION, *(name for name, _ in _wide(data)))
        case "battles":
            return BATTLES
        case "preferences":
            return PREFERENCES
        case "codebook":
            return CODEBOOK


def rows(shape: Shape, data: Evaluations) -> Iterator[Row]:
    """Yield a shape's rows for whole testers; the codebook's for no sessions."""
    names = columns(shape, data)
    stamp: Row = {"playground_id": data.playground_id, "position": data.position}
    for row in SHAPES[shape](data):
        whole = stamp | row
        yield {name: whole.get(name) for name in names}


def long_rows(data: Evaluations) -> Iterator[Row]:
    """Yield a row per answer that counts."""
    asked = {question.id: question for question in data.questions}
    for session in data.submitted():
        for answer in session.answers:
            question = asked.get(answer.question_id)
            yield _session(session) | {
                "question_id": answer.question_id,
                "question_text": question and question.text,
                "question_type": question and question.kind,
                "answer_value": answer.value,
                "answer_text": answer.text,
                "rating": answer.rating,
            }


def wide_rows(data: Evaluations) -> Iterator[Row]:
    """Yield a row per session, whatever became of it, with a column per question."""
    read = _wide(data)
    for session in data.sessions:
        row = _session(session)
        for name, said in read:
            row[name] = next(
                (
                    value
                    for each in session.answers
                    if (value := said(each)) is not None
                ),
                None,
            )
        yield row


def battle_rows(data: Evaluations) -> Iterator[Row]:
    """Yield a row per battle; model_a is the one that the tester saw first."""
    for judged in battles(data):
        yield {
            "source": judged.source,
            "question_id": judged.question_id,
            "tester": judged.tester,
            "model_a": judged.first.model_key,
            "model_b": judged.second.model_key,
            "winner": WINNERS[judged.outcome],
            "session_a": judged.first.id,
            "session_b": judged.second.id,
            "judged_at": judged.second.at,
        }


def preference_rows(data: Evaluations) -> Iterator[Row]:
    """Yield a row per battle that somebody won: the chosen and the rejected model."""
    asked = {question.id: question.text for question in data.questions}
    for judged in battles(data):
        if judged.outcome not in {"first", "second"}:
            continue
        chosen, rejected = _by_preference(judged)
        yield {
            "source": judged.source,
            "question_id": judged.question_id,
            "question_text": asked[judged.question_id],
            "tester": judged.tester,
            "chosen": chosen.model_key,
            "rejected": rejected.model_key,
            "chosen_session": chosen.id,
            "rejected_session": rejected.id,
            "chosen_seen_first": judged.outcome == "first",
        }


def codebook_rows(data: Evaluations) -> Iterator[Row]:
    """Yield a row per question: what its column holds and can hold."""
    for question in data.questions:
        yield {
            "question_id": question.id,
            "question_version": question.version,
            "question_text": question.text,
            "question_type": question.kind,
            "model_key": question.model_key,
            "order": question.order,
            "required": question.required,
            "removed": question.removed,
            "options": msgspec.json.encode(question.options).decode(),
            "wide_column": question.id,
        }


SHAPES: Final[Mapping[Shape, Callable[[Evaluations], Iterator[Row]]]] = {
    "long": long_rows,
    "wide": wide_rows,
    "battles": battle_rows,
    "preferences": preference_rows,
    "codebook": codebook_rows,
}


def _session(session: Session) -> Row:
    return {
        "session_id": session.id,
        "tester": session.tester,
        "model_key": session.model_key,
        "ordinal": session.ordinal,
        "revision": session.revision,
        "status": session.status,
        "reason": session.reason,
        "previous_session_id": session.previous,
        "submitted_at": session.at,
        "seconds": session.seconds,
    }


def _wide(data: Evaluations) -> list[tuple[str, Callable[[Answer], object]]]:
    """Return a column per question, and a second for ratings beside another answer."""
    found: list[tuple[str, Callable[[Answer], object]]] = []
    for question in data.questions:
        found.append((question.id, _reading(question)))
        if question.kind != "rating":
            found.append((f"{question.id}.rating", _rating(question.id)))
    return found


def _reading(question: Question) -> Callable[[Answer], object]:
    def read(answer: Answer) -> object:
        if answer.question_id != question.id:
            return None
        match question.kind:
            case "rating":
                return answer.rating
            case "input_string":
                return answer.text
            case _:
                return answer.value

    return read


def _rating(question_id: str) -> Callable[[Answer], object]:
    def read(answer: Answer) -> object:
        return answer.rating if answer.question_id == question_id else None

    return read


def _by_preference(judged: Judged) -> tuple[Session, Session]:
    if judged.outcome == "first":
        return judged.first, judged.second
    return judged.second, judged.first
