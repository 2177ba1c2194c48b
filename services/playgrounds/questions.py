"""The questions of a playground, by revision, and whether answers fit them.

Whatever happens to a question starts a new revision. An evaluation is held to the
revision at which its place was reserved, however the questions are changed meanwhile.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, assert_never

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.errors import Refused
from events.ids import QuestionId
from events.playgrounds import playgrounds as facts
from events.playgrounds.playgrounds import (
    QuestionAdded,
    QuestionChanged,
    QuestionKind,
    QuestionRemoved,
    QuestionsReordered,
)
from services.playgrounds.asking import ConfirmAnswers, GivenAnswer
from services.playgrounds.common import ModelKey


MAX_QUESTIONS: Final = 100
MAX_OPTIONS: Final = 100
COMPARISONS: Final = ("first", "second", "tie", "both_bad")
TRUTHS: Final = ("true", "false")

QuestionText = Annotated[str, Meta(min_length=1, max_length=4_096, pattern=r"\S")]


class Option(facts.Option, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be chosen: `label` is shown, `value` is stored."""

    label: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
    value: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]


Options = Annotated[list[Option], Meta(max_length=MAX_OPTIONS)]


class NewQuestion(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A question, of every model unless `model_key` is given; `select` has options."""

    question_id: QuestionId
    question_text: QuestionText
    question_type: QuestionKind
    options: Options = msgspec.field(default_factory=list)
    model_key: ModelKey | None = None
    required: bool = True


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question as it is asked in some revisions."""

    question_id: QuestionId
    model_key: str | None
    text: str
    kind: QuestionKind
    options: tuple[facts.Option, ...]
    order_index: int
    required: bool


class Span(msgspec.Struct, frozen=True):
    """A question, from a revision on, and up to but without another one."""

    question: Question
    since: int
    until: int | None = None


class Questions(msgspec.Struct, frozen=True):
    """Every question that was ever asked, and the newest revision."""

    spans: tuple[Span, ...] = ()
    revision: int = 0

    def at(self, revision: int) -> list[Question]:
        """Return the questions of a revision in order."""
        found = [
            span.question
            for span in self.spans
            if span.since <= revision and (span.until is None or revision < span.until)
        ]
        return sorted(found, key=lambda question: question.order_index)

    def now(self) -> list[Question]:
        """Return the questions of the newest revision in order."""
        return self.at(self.revision)

    def of(self, revision: int, model_key: str) -> list[Question]:
        """Return the questions that a revision asks of a model, in order."""
        asked = self.at(revision)
        return [each for each in asked if each.model_key in (None, model_key)]

    def current(self, question_id: QuestionId) -> Question | None:
        """Return a question as it is now asked, if it is."""
        found = (each for each in self.now() if each.question_id == question_id)
        return next(found, None)


class NoOptions(Refused):
    """A question of the type select has options, and no other has."""


class SameOption(Refused):
    """Two options have the same value."""


class NoSuchQuestion(Refused):
    """This model was not asked such a question."""


class AnsweredTwice(Refused):
    """This question is answered twice."""


class Unanswered(Refused):
    """A question that is required is not answered."""


class WrongAnswer(Refused):
    """This is no answer to a question of this type."""


class NothingToCompare(Refused):
    """This tester evaluated no other model before."""


QuestionFact = QuestionAdded | QuestionChanged | QuestionRemoved | QuestionsReordered


def evolve(state: Questions, event: QuestionFact) -> Questions:
    """Return the questions after one more revision."""
    match event:
        case QuestionAdded():
            return revised(state, event.revision, [], [added(event)])
        case QuestionChanged():
            old = [
                each for each in state.now() if each.question_id == event.question_id
            ]
            new = [changed(each, event) for each in old]
            return revised(state, event.revision, old, new)
        case QuestionRemoved():
            old = [
                each for each in state.now() if each.question_id == event.question_id
            ]
            return revised(state, event.revision, old, [])
        case QuestionsReordered():
            old = state.now()
            places = {key: place for place, key in enumerate(event.question_ids)}
            new = [replace(q, order_index=places[q.question_id]) for q in old]
            return revised(state, event.revision, old, new)
        case _:
            assert_never(event)


def added(event: QuestionAdded) -> Question:
    """Return a question as it was added."""
    return Question(
        question_id=event.question_id,
        model_key=event.model_key,
        text=event.text,
        kind=event.kind,
        options=tuple(event.options),
        order_index=event.order_index,
        required=event.required,
    )


def changed(question: Question, event: QuestionChanged) -> Question:
    """Return a question as it was changed."""
    return replace(
        question,
        model_key=event.model_key,
        text=event.text,
        kind=event.kind,
        options=tuple(event.options),
        required=event.required,
    )


def revised(
    state: Questions, revision: int, old: Iterable[Question], new: Iterable[Question]
) -> Questions:
    """Return the questions with some of them replaced from a revision on."""
    ended = {question.question_id for question in old}
    kept = [
        replace(span, until=revision)
        if span.until is None and span.question.question_id in ended
        else span
        for span in state.spans
    ]
    begun = [Span(question, revision) for question in new]
    return Questions((*kept, *begun), revision)


def check_options(
    kind: QuestionKind, options: Sequence[facts.Option], path: str
) -> None:
    """Raise unless a question's options fit its type."""
    if bool(options) != (kind == "select"):
        raise NoOptions(path=path)
    seen: set[str] = set()
    for place, option in enumerate(options):
        if option.value in seen:
            raise SameOption(path=f"{path}[{place}].value")
        seen.add(option.value)


def check_answers(command: ConfirmAnswers, questions: Questions) -> None:
    """Raise unless answers fit the questions of their revision and model."""
    revision = questions.revision if command.revision is None else command.revision
    asked = {
        each.question_id: each for each in questions.of(revision, command.model_key)
    }
    seen: set[QuestionId] = set()
    for place, given in enumerate(command.answers):
        path = f"$.answers[{place}]"
        question = asked.get(given.question_id)
        if question is None:
            raise NoSuchQuestion(path=f"{path}.question_id")
        if given.question_id in seen:
            raise AnsweredTwice(path=f"{path}.question_id")
        seen.add(given.question_id)
        check_answer(question, given, path, compares=command.compares)
    if command.revision is None:
        return
    for question in asked.values():
        needed = question.required and (command.compares or question.kind != "pairwise")
        if needed and question.question_id not in seen:
            message = f"{Unanswered()} It is {question.question_id}."
            raise Unanswered(message, path="$.answers")


def check_answer(
    question: Question, given: GivenAnswer, path: str, *, compares: bool
) -> None:
    """Raise unless an answer fits its question."""
    if question.kind == "pairwise" and not compares:
        raise NothingToCompare(path=f"{path}.question_id")
    if question.kind == "input_string":
        check_text(given, path)
    elif given.answer_text is not None:
        message = f"A question of the type {question.kind} takes no text."
        raise WrongAnswer(message, path=f"{path}.answer_text")
    choices = choices_of(question)
    if choices is not None and given.answer_value not in choices:
        raise WrongAnswer(wrong_choice(choices), path=f"{path}.answer_value")
    if choices is None and given.answer_value is not None:
        message = f"A question of the type {question.kind} takes no value."
        raise WrongAnswer(message, path=f"{path}.answer_value")
    if question.kind == "rating" and given.rating is None:
        message = "A question of the type rating takes a rating from 1 to 5."
        raise WrongAnswer(message, path=f"{path}.rating")


def check_text(given: GivenAnswer, path: str) -> None:
    """Raise unless an answer has a text with something in it."""
    if given.answer_text is None or not given.answer_text.strip():
        message = "A question of the type input_string takes a text."
        raise WrongAnswer(message, path=f"{path}.answer_text")


def choices_of(question: Question) -> Sequence[str] | None:
    """Return the values that a question's answer has one of; None: it has none."""
    match question.kind:
        case "select":
            return [option.value for option in question.options]
        case "boolean":
            return TRUTHS
        case "pairwise":
            return COMPARISONS
        case "input_string" | "rating":
            return None
        case _:
            assert_never(question.kind)


def wrong_choice(choices: Sequence[str]) -> str:
    """Return the sentence that says what can be chosen, as far as it fits."""
    shown = ", ".join(choices[:10]) + (", ..." if len(choices) > 10 else "")  # noqa: PLR2004 - a sentence's length
    return f"The value is one of {shown}."
