import subprocess
import sys
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.engines.dialogue.brief import UserBrief, mind_of
from services.engines.dialogue.draw import Draw
from services.engines.dialogue.personas import PERSONAS, persona_of
from services.engines.dialogue.text import values_of
from services.engines.dialogue.turns import Turn
from services.engines.dialogue.user import (
    MAX_TURNS,
    SimulatorFault,
    UserMove,
    next_user_turn,
)
from services.engines.dialogue.validity import flaw_of
from tests.services.engines.dialogue.shop import CUSTOMER, SEED, heard, said


STYLES = st.sampled_from(sorted(PERSONAS))
AGENT_TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "How can I help you?",
            "What is your order id and your phone number?",
            "Do you confirm (yes/no)?",
            "I am sorry, I cannot do that.",
            "Your order has been cancelled. Is there anything else?",
            "I am transferring you to a colleague.",
            "Order Z99 of Rob Stone will cost $500 on May 3.",
        ]
    ),
)


def move(brief: UserBrief, turns: tuple[Turn, ...]) -> UserMove:
    found = next_user_turn(brief, turns, SEED)
    assert isinstance(found, UserMove)
    return found


def after(*texts: str, brief: UserBrief = CUSTOMER) -> UserMove:
    return move(brief, heard(*texts))


def test_the_user_opens_with_its_goal_in_the_first_person() -> None:
    opening = move(CUSTOMER, ())
    assert "I want to cancel order K77Q because I changed my mind." in opening.text
    assert (opening.rule, opening.engine) == ("open", "rules/1")


def test_a_given_opening_is_said_as_it_stands() -> None:
    brief = replace(CUSTOMER, opening="Order K77Q, please.")
    assert move(brief, ()).text == "Order K77Q, please."


def test_the_user_opens_after_a_greeting_too() -> None:
    greeted = (Turn(1, "assistant", "How can I help you?"),)
    assert move(CUSTOMER, greeted).rule == "open"


def test_a_question_is_answered_from_the_facts() -> None:
    answer = after("What is your customer id?")
    assert answer.text == "My customer id is dana_12."
    assert answer.facts == ("My customer id is dana_12.",)


def test_what_is_not_known_is_not_invented() -> None:
    answer = after("What is your phone number?")
    assert (answer.rule, answer.facts) == ("unknown", ())
    assert not values_of(answer.text)


def test_a_confirmation_is_given() -> None:
    assert after("I will cancel order K77Q. Do you confirm (yes/no)?").rule == "confirm"


def test_what_the_instructions_rule_out_is_not_confirmed() -> None:
    brief = replace(
        CUSTOMER,
        instructions="You don't want to cancel the order if you don't get a refund.",
    )
    text = "I would cancel the order, you do not get a refund. Do you confirm?"
    assert after(text, brief=brief).rule == "object"


def test_an_instruction_is_followed_once_when_its_condition_holds() -> None:
    refusal = "I am sorry, the order cannot be cancelled."
    assert after(refusal).text == "I am sad."
    assert after(refusal, refusal).rule == "insist"


def test_a_promise_is_no_completion_and_a_result_is() -> None:
    assert after("Your order will be cancelled tomorrow.").stop is None
    assert after("Your order has been cancelled.").stop == "goal_met"


def test_the_next_goal_follows_the_first() -> None:
    brief = replace(
        CUSTOMER, objective="You want to cancel order K77Q. You want to return a book."
    )
    following = after("Your order has been cancelled.", brief=brief)
    assert following.rule == "next_goal"
    assert "I want to return a book." in following.text


def test_a_refusal_after_insisting_stops() -> None:
    refusal = "That is not possible."
    brief = replace(CUSTOMER, instructions="")
    assert after(refusal, brief=brief).rule == "insist"
    assert after(refusal, refusal, brief=brief).stop == "refused"


def test_a_transfer_stops() -> None:
    assert after("I am transferring you to a colleague.").stop == "transferred"


def test_patience_ends() -> None:
    stops = [after(*["Lovely weather."] * count).stop for count in range(1, 8)]
    assert stops[-1] == "patience_exhausted"


def test_a_secret_is_not_said() -> None:
    brief = replace(
        CUSTOMER, known_facts=("Your pin is 4711.",), secrets=("4711",), opening=None
    )
    assert "4711" not in after("What is your pin?", brief=brief).text


def test_a_message_that_cannot_be_valid_is_the_simulators_fault() -> None:
    brief = replace(CUSTOMER, opening="How can I help you?")
    fault = next_user_turn(brief, (), SEED)
    assert isinstance(fault, SimulatorFault)
    assert (fault.flaw, fault.reason) == ("wrong_role", "simulator_fault")


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (" ", "empty"),
        ("My customer id is dana_13.", "unknown_fact"),
        ("I am with Rob Stone.", "unknown_fact"),
        ("Is there any way that I get the money for my return today?", "echo"),
        ("As an agent I can do that.", "wrong_role"),
        ("I am Dana Field.", None),
    ],
)
def test_each_flaw_is_found(text: str, flaw: str | None) -> None:
    before = ["Is there any way that I get the money for my return today?"]
    assert flaw_of(text, mind_of(CUSTOMER), before) == flaw


@pytest.mark.parametrize("style", sorted(PERSONAS))
def test_a_persona_is_named_by_its_tag(style: str) -> None:
    assert persona_of({style: None}, "").style == style
    assert persona_of({"style": style}, "").style == style


def test_a_persona_is_described_by_its_background() -> None:
    assert persona_of({}, "She is in a hurry.").style == "impatient"
    assert persona_of({}, "She is not impatient.").style == "cooperative"


def test_typos_spare_names_and_values() -> None:
    brief = replace(CUSTOMER, tags=(("typo-prone", None),))
    texts = {
        found.text
        for index in range(30)
        if isinstance(
            found := next_user_turn(brief, (), Draw(1, UUID(int=1), index)), UserMove
        )
    }
    assert all("K77Q" in text for text in texts)
    assert any("I want to cancel order K77Q because" not in text for text in texts)


def test_personas_differ() -> None:
    def reaction(style: str, text: str) -> str:
        return after(text, brief=replace(CUSTOMER, tags=((style, None),))).rule

    assert reaction("withholding", "What is your customer id?") == "keep_back"
    assert reaction("confused", "What is your customer id?") == "ask_back"
    assert reaction("contradictory", "Do you confirm?") == "waver"
    assert reaction("silent", "What is your customer id?") == "silent"


def test_german_is_spoken_to_a_german_brief() -> None:
    brief = UserBrief(
        objective="Ich möchte Bestellung K77Q stornieren.",
        known_facts=("Meine Kundennummer ist dana_12.",),
        language="de-AT",
    )
    text = "Können Sie mir Ihre Kundennummer nennen?"
    assert after(text, brief=brief).text == "Meine Kundennummer ist dana_12."


def test_another_process_says_the_same() -> None:
    script = (
        "from tests.services.engines.dialogue.shop import play\n"
        "print([turn.text for turn in play()[0]])"
    )
    from_there = {
        subprocess.run(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(from_there) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(AGENT_TEXTS, max_size=6), STYLES, st.integers(0, 9))
def test_any_transcript_gives_a_valid_move(
    texts: list[str], style: str, index: int
) -> None:
    brief = replace(CUSTOMER, tags=((style, None),))
    seed = Draw(3, UUID(int=2), index)
    found = next_user_turn(brief, heard(*texts), seed)
    assert found == next_user_turn(brief, heard(*texts), seed)
    assert isinstance(found, UserMove)
    mind = mind_of(brief)
    assert flaw_of(found.text, mind, texts) is None
    assert values_of(found.text) <= mind.values


@settings(max_examples=40, deadline=None)
@given(AGENT_TEXTS, STYLES)
def test_every_conversation_ends(text: str, style: str) -> None:
    brief = replace(CUSTOMER, tags=((style, None),))
    found = next_user_turn(brief, heard(*[text] * MAX_TURNS), SEED)
    assert isinstance(found, SimulatorFault) or found.stop is not None


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        UserBrief,
        objective=st.text(max_size=60),
        background=st.text(max_size=40),
        instructions=st.text(max_size=60),
        known_facts=st.tuples(st.text(max_size=40)),
        language=st.sampled_from(["en", "de", "fr-CA", "es", "ja", ""]),
    ),
    AGENT_TEXTS,
)
def test_any_brief_gives_a_move_or_a_fault(brief: UserBrief, text: str) -> None:
    found = next_user_turn(brief, said("Hello.", text), SEED)
    assert found == next_user_turn(brief, said("Hello.", text), SEED)
    if isinstance(found, UserMove):
        assert flaw_of(found.text, mind_of(brief), [text]) is None
