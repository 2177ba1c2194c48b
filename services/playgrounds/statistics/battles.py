"""Battles: two models that one tester compared, in so many words or by rating both."""

from collections.abc import Iterator
from itertools import combinations
from typing import Literal

import msgspec

from services.playgrounds.statistics.records import (
    Evaluations,
    Preference,
    Question,
    Session,
)


Source = Literal["pairwise", "rating"]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What one tester preferred on one question; `first` is the model seen before.

    A pairwise answer judges a session against the tester's one before it; two ratings
    judge the first session of each model, and are a tie where equal.
    """

    source: Source
    question_id: str
    tester: str
    first: Session
    second: Session
    outcome: Preference


def battles(data: Evaluations) -> Iterator[Judged]:
    """Yield every battle of the submitted sessions, tester by tester."""
    by_tester: dict[str, list[Session]] = {}
    for session in data.submitted():
        by_tester.setdefault(session.tester, []).append(session)
    for sessions in by_tester.values():
        for question in data.questions:
            if question.kind == "pairwise":
                yield from _stated(question, sessions)
            elif question.model_key is None:
                yield from _by_rating(question, sessions)


def _stated(question: Question, sessions: list[Session]) -> Iterator[Judged]:
    counted = {session.id: session for session in sessions}
    for session in sessions:
        before = counted.get(session.previous or "")
        if before is None or before.model_key == session.model_key:
            continue
        for answer in session.answers:
            outcome = _preference(answer.value)
            if answer.question_id == question.id and outcome is not None:
                yield Judged(
                    source="pairwise",
                    question_id=question.id,
                    tester=session.tester,
                    first=before,
                    second=session,
                    outcome=outcome,
                )


def _by_rating(question: Question, sessions: list[Session]) -> Iterator[Judged]:
    first_of: dict[str, tuple[Session, int]] = {}
    for session in sessions:
        for answer in session.answers:
            if answer.question_id == question.id and answer.rating is not None:
                first_of.setdefault(session.model_key, (session, answer.rating))
    for (first, one), (second, two) in combinations(first_of.values(), 2):
        outcome: Preference = "tie"
        if one != two:
            outcome = "first" if one > two else "second"
        yield Judged(
            source="rating",
            question_id=question.id,
            tester=first.tester,
            first=first,
            second=second,
            outcome=outcome,
        )


def _preference(value: str | None) -> Preference | None:
    match value:
        case "first" | "second" | "tie" | "both_bad":
            return value
        case _:
            return None
