from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.conversation import (
    ConversationEnded,
    MessageAdded,
    ToolCalled,
    ToolReturned,
)
from services.engines.dialogue.draw import Draw
from services.engines.dialogue.turns import (
    MAX_CALLS,
    Called,
    Opens,
    Returned,
    Turn,
    awaited,
    cues,
    interactions,
    transcript_of,
)
from tests.services.engines.dialogue.shop import SEED, said


ID = UUID(int=9)
CALL = Turn(2, "assistant", called=Called("c", "get_order", "{}"))
RESULT = Turn(3, "tool", returned=Returned("c", "get_order", "{}"))


@pytest.mark.parametrize(
    ("opens", "first"),
    [("user_message", "user"), ("external_event", "agent"), ("skip", "agent")],
)
def test_who_starts_follows_from_the_initial_message(opens: Opens, first: str) -> None:
    assert awaited((), opens, 5) == first
    assert awaited((Turn(1, "system", "A parcel came."),), opens, 5) == first


def test_a_call_awaits_its_tool_and_an_answer_the_agent() -> None:
    assert awaited((*said("Hi"), CALL), "user_message", 5) == "tool"
    assert awaited((*said("Hi"), CALL, RESULT), "user_message", 5) == "agent"


def test_a_turn_may_only_call_so_often() -> None:
    turns = (*said("Hi"), *[CALL, RESULT] * MAX_CALLS)
    assert awaited(turns, "user_message", 5) == "too_many_calls"


def test_the_last_interaction_is_answered_before_the_limit_ends_it() -> None:
    assert awaited(said("Hi"), "user_message", 1) == "agent"
    assert awaited(said("Hi", "Hello"), "user_message", 1) == "max_interactions"
    assert awaited(said("Hi", "Hello"), "user_message", 2) == "user"


def test_a_greeting_is_no_interaction() -> None:
    assert interactions((Turn(1, "assistant", "Hello"),)) == 0


def test_cues_are_what_the_agent_said_around_the_users_messages() -> None:
    greeting = Turn(1, "assistant", "Hello")
    assert cues((greeting, *said("Hi", "Yes?"))) == ["Hello", "Yes?"]


def test_facts_of_a_conversation_are_its_entries() -> None:
    facts = (
        MessageAdded(conversation_id=ID, seq=1, role="user", text="Hi"),
        ToolCalled(
            conversation_id=ID, seq=2, call_id="c", name="get_order", arguments="{}"
        ),
        ToolReturned(
            conversation_id=ID, seq=3, call_id="c", name="get_order", content="{}"
        ),
        ConversationEnded(conversation_id=ID, reason="goal_met", entries=3),
    )
    assert transcript_of(facts) == (Turn(1, "user", "Hi"), CALL, RESULT)


def test_a_draw_is_the_same_everywhere() -> None:
    assert Draw(7, UUID(int=1), 0).number("open") == 8_212_309_845_570_978_267


@given(st.text(), st.integers(1, 9))
def test_a_choice_is_one_of_the_options(purpose: str, size: int) -> None:
    assert SEED.choose(purpose, range(size)) in range(size)


def test_draws_differ_by_turn_trial_and_purpose() -> None:
    keys = [SEED, SEED.at(1), Draw(7, UUID(int=1), 1), Draw(8, UUID(int=1), 0)]
    drawn = {key.number(purpose) for key in keys for purpose in ("a", "b")}
    assert len(drawn) == 8
