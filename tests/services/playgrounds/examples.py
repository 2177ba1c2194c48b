"""Two greetings under test: commands that set a playground up, and people who judge."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from events.ids import EvaluationId, PlaygroundId, QuestionId
from events.message import Meta
from services.playgrounds.asking import GivenAnswer
from services.playgrounds.evaluations import SubmitEvaluation
from services.playgrounds.ledgers import ReserveSlot
from services.playgrounds.playgrounds import CreatePlayground, NewModel
from services.playgrounds.questions import NewQuestion, Option
from tests.given import meta_of


PLAYGROUND: Final = PlaygroundId(UUID(int=0xA0))
WHICH: Final = QuestionId(UUID(int=0xB1))
WHY: Final = QuestionId(UUID(int=0xB2))
STARS: Final = QuestionId(UUID(int=0xB3))
AGAIN: Final = QuestionId(UUID(int=0xB4))
BETTER: Final = QuestionId(UUID(int=0xB5))
NOW: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)

TONE: Final = NewQuestion(
    question_id=WHICH,
    question_text="How was the tone?",
    question_type="select",
    options=[Option(label="Warm", value="warm"), Option(label="Cold", value="cold")],
)
REASON: Final = NewQuestion(
    question_id=WHY,
    question_text="Why?",
    question_type="input_string",
    required=False,
)


def a_model(key: str, most: int = 2) -> NewModel:
    return NewModel(
        model_key=key,
        model_name=f"The {key} one",
        embed_code=f'<elevenlabs-convai agent-id="agent-{key}"></elevenlabs-convai>',
        max_evaluations=most,
    )


def a_playground(*caps: int, seed: int = 7) -> CreatePlayground:
    return CreatePlayground(
        playground_id=PLAYGROUND,
        name="Greetings",
        kind="tuning" if len(caps) == 1 else "ab_testing",
        models=[a_model(f"model_{'abcdefgh'[i]}", cap) for i, cap in enumerate(caps)],
        questions=[TONE, REASON],
        seed=seed,
    )


def session(number: int) -> EvaluationId:
    return EvaluationId(UUID(int=0xE000 + number))


def a_slot(number: int) -> ReserveSlot:
    return ReserveSlot(playground_id=PLAYGROUND, session_id=session(number))


def a_submission(
    number: int, *, value: str = "warm", text: str | None = None
) -> SubmitEvaluation:
    answers = [GivenAnswer(question_id=WHICH, answer_value=value)]
    if text is not None:
        answers.append(GivenAnswer(question_id=WHY, answer_text=text))
    return SubmitEvaluation(session_id=session(number), answers=answers)


def as_tester(
    name: str,
    *,
    later: float = 0,
    email: str | None = None,
    roles: Sequence[str] = ("tester",),
) -> Meta:
    """Return the envelope of a tester's request, some seconds later."""
    return replace(
        meta_of(f"user:{name}"),
        roles=frozenset(roles),
        email=email,
        occurred_at=NOW + timedelta(seconds=later),
    )
