"""What is asked, by revision, and what answers it."""

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.errors import Missing
from events.ids import QuestionId
from events.playgrounds.evaluations import EvaluationSubmitted
from events.playgrounds.playgrounds import (
    QuestionAdded,
    QuestionChanged,
    QuestionRemoved,
    QuestionsReordered,
)
from services.playgrounds import playgrounds
from services.playgrounds.asking import GivenAnswer
from services.playgrounds.common import AlreadyExists
from services.playgrounds.evaluations import SubmitEvaluation
from services.playgrounds.playgrounds import (
    AddQuestion,
    ChangeQuestion,
    NoQuestions,
    RemoveQuestion,
    ReorderQuestions,
    WrongOrder,
)
from services.playgrounds.questions import (
    AnsweredTwice,
    NewQuestion,
    NoOptions,
    NoSuchQuestion,
    NothingToCompare,
    Option,
    SameOption,
    Unanswered,
    WrongAnswer,
)
from tests.given import World, given
from tests.services.playgrounds.examples import (
    AGAIN,
    BETTER,
    PLAYGROUND,
    REASON,
    STARS,
    TONE,
    WHICH,
    WHY,
    a_playground,
    a_slot,
    a_submission,
    as_tester,
    session,
)


CREATE = a_playground(2, 2)
TESS = as_tester("tess")
EVERY_KIND = replace(
    CREATE,
    questions=[
        TONE,
        replace(REASON, required=True),
        NewQuestion(question_id=STARS, question_text="Stars?", question_type="rating"),
        NewQuestion(question_id=AGAIN, question_text="Again?", question_type="boolean"),
        NewQuestion(
            question_id=BETTER, question_text="Better?", question_type="pairwise"
        ),
    ],
)
ANSWERS = [
    GivenAnswer(question_id=WHICH, answer_value="warm", rating=4),
    GivenAnswer(question_id=WHY, answer_text="It said hello."),
    GivenAnswer(question_id=STARS, rating=5),
    GivenAnswer(question_id=AGAIN, answer_value="true"),
]


def add(key: QuestionId, **more: Any) -> AddQuestion:  # noqa: ANN401 - fields
    fields = {"question_text": "And?", "question_type": "input_string", **more}
    return AddQuestion(playground_id=PLAYGROUND, question_id=key, **fields)


def change(text: str) -> ChangeQuestion:
    return ChangeQuestion(
        playground_id=PLAYGROUND,
        question_id=WHICH,
        question_text=text,
        options=[Option(label="Kind", value="kind")],
    )


def asked(world: World, revision: int | None = None) -> list[str]:
    state = world.state(playgrounds.decider, PLAYGROUND)
    upto = state.questions.revision if revision is None else revision
    return [question.text for question in state.questions.at(upto)]


def test_every_change_is_a_revision_and_older_ones_stay() -> None:
    world = given(CREATE, add(STARS))
    world = world.when(change("Was it kind?")).world
    reorder = ReorderQuestions(
        playground_id=PLAYGROUND, question_ids=[STARS, WHICH, WHY]
    )
    world = world.when(reorder).then_happens(
        QuestionsReordered(
            playground_id=PLAYGROUND, question_ids=[STARS, WHICH, WHY], revision=5
        )
    )
    remove = RemoveQuestion(playground_id=PLAYGROUND, question_id=STARS)
    world = world.when(remove).then_happens(
        QuestionRemoved(playground_id=PLAYGROUND, question_id=STARS, revision=6)
    )
    assert asked(world) == ["Was it kind?", "Why?"]
    assert asked(world, 5) == ["And?", "Was it kind?", "Why?"]
    assert asked(world, 4) == ["Was it kind?", "Why?", "And?"]
    assert asked(world, 3) == ["How was the tone?", "Why?", "And?"]
    assert asked(world, 2) == ["How was the tone?", "Why?"]


def test_doing_it_again_changes_nothing() -> None:
    world = given(CREATE, add(STARS))
    world.when(add(STARS)).then()
    world.when(add(STARS, required=False)).then_refused(AlreadyExists)
    world = world.when(change("Was it kind?")).world
    world.when(change("Was it kind?")).then()
    remove = RemoveQuestion(playground_id=PLAYGROUND, question_id=STARS)
    world = world.when(remove).world
    world.when(remove).then()
    world.when(add(STARS)).then_refused(AlreadyExists)


@pytest.mark.parametrize(
    ("command", "refusal", "path"),
    [
        (add(STARS, question_type="select"), NoOptions, "$.options"),
        (
            add(STARS, options=[Option(label="A", value="a")]),
            NoOptions,
            "$.options",
        ),
        (
            add(
                STARS,
                question_type="select",
                options=[Option(label="A", value="a"), Option(label="B", value="a")],
            ),
            SameOption,
            "$.options[1].value",
        ),
        (
            replace(change("x"), question_id=QuestionId(UUID(int=404))),
            Missing,
            "$.question_id",
        ),
        (
            ReorderQuestions(playground_id=PLAYGROUND, question_ids=[WHICH]),
            WrongOrder,
            "$.question_ids",
        ),
        (
            ReorderQuestions(playground_id=PLAYGROUND, question_ids=[WHICH, WHICH]),
            WrongOrder,
            "$.question_ids",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(
    command: Any,  # noqa: ANN401 - a command
    refusal: Any,  # noqa: ANN401 - a class
    path: str,
) -> None:
    given(CREATE).when(command).then_refused(refusal, path=path)


def test_an_active_playground_keeps_a_question() -> None:
    world = given(replace(CREATE, questions=[TONE]))
    remove = RemoveQuestion(playground_id=PLAYGROUND, question_id=WHICH)
    world.when(remove).then_refused(NoQuestions)


def test_an_evaluation_keeps_the_questions_that_it_began_with() -> None:
    world = given(CREATE).when(a_slot(1), meta=TESS).world
    world = world.when(change("Was it kind?")).world
    world.when(a_submission(1, value="kind"), meta=TESS).then_refused(WrongAnswer)
    assert world.when(a_submission(1, value="warm"), meta=TESS).failure is None


def opened() -> World:
    return given(EVERY_KIND).when(a_slot(1), meta=TESS).world


def submission(*answers: GivenAnswer, number: int = 1) -> SubmitEvaluation:
    return SubmitEvaluation(session_id=session(number), answers=list(answers))


def test_every_kind_of_question_takes_its_kind_of_answer() -> None:
    done = opened().when(submission(*ANSWERS), meta=TESS)
    submitted = done.events[0]
    assert isinstance(submitted, EvaluationSubmitted)
    assert [(each.value, each.rating) for each in submitted.answers] == [
        ("warm", 4),
        (None, None),
        (None, 5),
        ("true", None),
    ]


def test_the_second_model_is_compared_with_the_first() -> None:
    world = opened().when(submission(*ANSWERS), meta=TESS).world
    world = world.when(a_slot(2), meta=TESS).world
    world.when(submission(*ANSWERS, number=2), meta=TESS).then_refused(
        Unanswered, path="$.answers", saying=str(BETTER)
    )
    better = GivenAnswer(question_id=BETTER, answer_value="second")
    result = world.when(submission(*ANSWERS, better, number=2), meta=TESS)
    assert result.failure is None


@pytest.mark.parametrize(
    ("answers", "refusal", "path"),
    [
        (ANSWERS[1:], Unanswered, "$.answers"),
        ([*ANSWERS, ANSWERS[0]], AnsweredTwice, "$.answers[4].question_id"),
        (
            [*ANSWERS, GivenAnswer(question_id=QuestionId(UUID(int=404)))],
            NoSuchQuestion,
            "$.answers[4].question_id",
        ),
        (
            [*ANSWERS, GivenAnswer(question_id=BETTER, answer_value="tie")],
            NothingToCompare,
            "$.answers[4].question_id",
        ),
        (
            [GivenAnswer(question_id=WHICH, answer_value="hot"), *ANSWERS[1:]],
            WrongAnswer,
            "$.answers[0].answer_value",
        ),
        (
            [GivenAnswer(question_id=WHICH, rating=3), *ANSWERS[1:]],
            WrongAnswer,
            "$.answers[0].answer_value",
        ),
        (
            [replace(ANSWERS[0], answer_text="x"), *ANSWERS[1:]],
            WrongAnswer,
            "$.answers[0].answer_text",
        ),
        (
            [replace(ANSWERS[1], answer_text=" \n"), *ANSWERS[2:]],
            WrongAnswer,
            "$.answers[0].answer_text",
        ),
        (
            [GivenAnswer(question_id=STARS), *ANSWERS[:2]],
            WrongAnswer,
            "$.answers[0].rating",
        ),
        (
            [GivenAnswer(question_id=STARS, rating=2, answer_value="2")],
            WrongAnswer,
            "$.answers[0].answer_value",
        ),
        (
            [GivenAnswer(question_id=AGAIN, answer_value="yes")],
            WrongAnswer,
            "$.answers[0].answer_value",
        ),
    ],
)
def test_what_answers_no_question_is_refused_with_its_place(
    answers: list[GivenAnswer],
    refusal: Any,  # noqa: ANN401 - a class
    path: str,
) -> None:
    opened().when(submission(*answers), meta=TESS).then_refused(refusal, path=path)


def test_a_question_of_another_model_is_not_taken() -> None:
    questions = [
        replace(TONE, model_key="model_a"),
        replace(REASON, model_key="model_b"),
    ]
    world = given(replace(CREATE, questions=questions)).when(a_slot(1), meta=TESS)
    slot: Any = world.events[0]
    other = WHY if slot.model_key == "model_a" else WHICH
    answer = GivenAnswer(question_id=other, answer_text="x", answer_value="warm")
    world.world.when(submission(answer), meta=TESS).then_refused(NoSuchQuestion)


def test_additions_and_changes_are_facts_with_the_whole_question() -> None:
    added, *_ = given(CREATE).when(add(STARS, model_key="model_b")).events
    assert isinstance(added, QuestionAdded)
    assert (added.order_index, added.revision, added.model_key) == (2, 3, "model_b")
    changed, *_ = given(CREATE).when(change("Kind?")).events
    assert isinstance(changed, QuestionChanged)
    assert (changed.kind, changed.revision) == ("select", 3)
