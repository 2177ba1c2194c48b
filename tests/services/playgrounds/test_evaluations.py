"""Evaluations: one tester's answers about one model."""

from typing import Any
from uuid import UUID

import pytest

from events.errors import Missing
from events.playgrounds.allocations import (
    SlotConsumed,
    SlotImported,
    SlotReleased,
    SlotReturned,
)
from events.playgrounds.evaluations import (
    EvaluationExcluded,
    EvaluationLapsed,
    EvaluationOpened,
    EvaluationSubmitted,
    EvaluationWithdrawn,
    ModelShown,
    TextAnswered,
)
from services.playgrounds.asking import ExpireSlot, GivenAnswer
from services.playgrounds.common import AlreadyExists, NotYours
from services.playgrounds.evaluations import (
    AbandonEvaluation,
    AlreadySubmitted,
    EvaluationEnded,
    ExcludeEvaluation,
    ImportEvaluation,
    NotSubmitted,
    NotYourEvaluation,
    ShowModel,
    SlotExpired,
    WithdrawEvaluation,
)
from services.playgrounds.ledgers import Full
from services.playgrounds.questions import WrongAnswer
from tests.given import World, given, meta_of
from tests.services.playgrounds.examples import (
    PLAYGROUND,
    WHICH,
    WHY,
    a_playground,
    a_slot,
    a_submission,
    as_tester,
    session,
)


TESS, TOM = as_tester("tess"), as_tester("tom")
SHOW = ShowModel(session_id=session(1))
ABANDON = AbandonEvaluation(session_id=session(1))
WITHDRAW = WithdrawEvaluation(session_id=session(1))
EXCLUDE = ExcludeEvaluation(session_id=session(1), reason="Not a person")
SUBMIT = a_submission(1, text="It said hello.")


def opened() -> World:
    return given(a_playground(5)).when(a_slot(1), meta=TESS).world


def submitted() -> World:
    return opened().when(SUBMIT, meta=TESS).world


def test_a_reservation_opens_an_evaluation_for_its_tester() -> None:
    *_, event = given(a_playground(5)).when(a_slot(1), meta=TESS).events
    assert isinstance(event, EvaluationOpened)
    assert (event.tester, event.owner, event.revision) == ("tess", "ada", 2)


def test_submission_and_the_use_of_the_place_are_one() -> None:
    kinds = [type(event) for event in opened().when(SUBMIT, meta=TESS).events]
    assert kinds == [EvaluationSubmitted, TextAnswered, SlotConsumed]


def test_texts_are_facts_of_their_own_sealed_for_the_tester() -> None:
    world = opened()
    (subject_id,) = {
        event.subject_id
        for event in world.streams[f"playgrounds.evaluation-{session(1)}"]
        if isinstance(event, EvaluationOpened)
    }
    text: Any = world.when(SUBMIT, meta=TESS).events[1]
    assert (text.question_id, text.text) == (WHY, "It said hello.")
    assert text.subject_id == subject_id


def test_submitting_the_same_again_changes_nothing_and_other_answers_are_refused() -> (
    None
):
    world = submitted()
    world.when(SUBMIT, meta=TESS).then()
    late = as_tester("tess", later=10_000)
    world.when(SUBMIT, meta=late).then()
    world.when(a_submission(1, value="cold"), meta=TESS).then_refused(AlreadySubmitted)
    other_text = a_submission(1, text="It said bye.")
    world.when(other_text, meta=TESS).then_refused(AlreadySubmitted)


def test_a_submission_after_the_time_is_refused_whether_or_not_the_timer_ran() -> None:
    world = opened()
    late = as_tester("tess", later=3_601)
    world.when(SUBMIT, meta=late).then_refused(
        SlotExpired, path="$.session_id", saying="held until 2031-05-06T08:08:09"
    )
    expire = ExpireSlot(playground_id=PLAYGROUND, session_id=session(1))
    expired = world.when(expire, meta=meta_of("system:worker")).world
    expired.when(SUBMIT, meta=TESS).then_refused(SlotExpired)
    expired.when(SHOW, meta=TESS).then_refused(SlotExpired)


def test_the_model_is_shown_once() -> None:
    shown = ModelShown(session_id=session(1), playground_id=PLAYGROUND)
    opened().when(SHOW, meta=TESS).then(shown).when(SHOW, meta=TESS).then()


def test_giving_up_frees_the_place_once() -> None:
    world = (
        opened()
        .when(ABANDON, meta=TESS)
        .then(
            EvaluationLapsed(
                session_id=session(1), playground_id=PLAYGROUND, reason="abandoned"
            ),
            SlotReleased(
                playground_id=PLAYGROUND,
                session_id=session(1),
                tester="tess",
                model_key="model_a",
                reason="abandoned",
            ),
        )
    )
    world.when(ABANDON, meta=TESS).then()
    world.when(SUBMIT, meta=TESS).then_refused(EvaluationEnded)
    submitted().when(ABANDON, meta=TESS).then_refused(EvaluationEnded)


def test_a_tester_takes_an_evaluation_back_once() -> None:
    world = (
        submitted()
        .when(WITHDRAW, meta=TESS)
        .then(
            EvaluationWithdrawn(session_id=session(1), playground_id=PLAYGROUND),
            SlotReturned(
                playground_id=PLAYGROUND,
                session_id=session(1),
                model_key="model_a",
                reason="withdrawn",
            ),
        )
    )
    world.when(WITHDRAW, meta=TESS).then()
    world.when(EXCLUDE).then()
    opened().when(WITHDRAW, meta=TESS).then_refused(NotSubmitted)


def test_the_owner_excludes_an_evaluation_and_says_why() -> None:
    result = submitted().when(EXCLUDE)
    assert result.events[0] == EvaluationExcluded(
        session_id=session(1), playground_id=PLAYGROUND, reason="Not a person"
    )
    result.world.when(EXCLUDE).then()
    opened().when(EXCLUDE).then_refused(NotSubmitted)


def test_nobody_else_excludes_it() -> None:
    other = as_tester("bo", roles=["user"])
    submitted().when(EXCLUDE, meta=other).then_refused(NotYours)
    opened().when(EXCLUDE, meta=other).then_refused(NotYours)


@pytest.mark.parametrize("command", [SHOW, SUBMIT, ABANDON, WITHDRAW])
def test_an_evaluation_is_its_tester_s_alone(command: Any) -> None:  # noqa: ANN401 - a command
    for meta in (TOM, meta_of()):
        opened().when(command, meta=meta).then_refused(NotYourEvaluation)
    given(a_playground(5)).when(command, meta=TESS).then_refused(Missing)


def brought(number: int, value: str = "warm") -> ImportEvaluation:
    return ImportEvaluation(
        session_id=session(number),
        playground_id=PLAYGROUND,
        user_id=UUID(int=0xC0 + number),
        model_key="model_a",
        ordinal=1,
        answers=[GivenAnswer(question_id=WHICH, answer_value=value)],
    )


def test_an_evaluation_from_elsewhere_uses_a_place_once() -> None:
    result = given(a_playground(1)).when(brought(1))
    kinds = [type(event) for event in result.events]
    assert kinds == [EvaluationOpened, EvaluationSubmitted, SlotImported]
    result.world.when(brought(1)).then()
    result.world.when(brought(1, value="cold")).then_refused(AlreadyExists)
    result.world.when(brought(2)).then_refused(Full)
    result.world.when(a_slot(3), meta=TESS).then_refused(Full)


def test_an_evaluation_from_elsewhere_has_to_fit_and_be_of_the_owner_s() -> None:
    world = given(a_playground(1))
    world.when(brought(1, value="hot")).then_refused(WrongAnswer)
    other = as_tester("bo", roles=["user"])
    world.when(brought(1), meta=other).then_refused(NotYours)
