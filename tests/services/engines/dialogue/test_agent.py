import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.engines.dialogue.agent import AgentMove, reply
from services.engines.dialogue.policy import Policy, book_of
from services.engines.dialogue.turns import Called, Returned, Turn
from tests.services.engines.dialogue.shop import (
    POLICY,
    SEED,
    SHOP,
    TEXT,
    play,
    said,
)


def answer(*texts: str, policy: Policy = POLICY) -> AgentMove:
    return reply(policy, said(*texts), SEED)


def quotes(move: AgentMove) -> list[str]:
    return [book_of(TEXT, "en").rules[number - 1].text for number in move.references]


def test_a_policy_is_read_as_rules() -> None:
    kinds = [(rule.kind, rule.items) for rule in book_of(TEXT, "en").rules]
    assert ("obtain", ("customer id", "order id")) in kinds
    assert {"confirm", "transfer", "deny", "allow", "inform"} <= {
        kind for kind, _ in kinds
    }


def test_the_agent_greets_where_nobody_spoke() -> None:
    assert reply(POLICY, (), SEED).rule == "greet"


def test_what_the_policy_wants_obtained_is_asked_for() -> None:
    move = answer("I want to cancel my order.")
    assert move.rule == "obtain"
    assert move.text is not None
    assert "customer id and order id" in move.text
    assert quotes(move) == ["The agent must obtain the customer id and order id."]


def test_a_change_is_denied_with_the_rule_quoted_where_no_condition_is_shown() -> None:
    move = answer(
        "I want to cancel order K77Q because I am sick. My customer id is dana_12."
    )
    assert move.rule == "deny"
    assert move.text is not None
    assert "premium membership" in move.text


def test_details_are_listed_and_confirmed_before_a_change() -> None:
    move = answer(
        "I want to cancel order K77Q because I am sick. My customer id is dana_12. "
        "My order was placed today."
    )
    assert move.rule == "confirm"
    assert move.text is not None
    assert "K77Q" in move.text
    assert "The order was placed today" in quotes(move)


def test_a_barred_request_is_denied() -> None:
    move = answer("Can gift cards be returned?")
    assert move.text is not None
    assert "Gift cards cannot be returned" in move.text


def test_a_question_is_answered_from_the_policy() -> None:
    move = answer("When are parcels delivered?")
    assert move.rule == "inform"
    assert quotes(move) == ["Parcels are delivered within 3 working days."]


def test_what_the_policy_does_not_say_is_not_known() -> None:
    move = answer("Who painted the ceiling?")
    assert (move.rule, move.references) == ("unknown", ())


def test_an_item_that_the_user_does_not_have_ends_the_asking() -> None:
    move = answer(
        "I want to cancel my order.",
        "Could you please provide your customer id and order id?",
        "I don't have that.",
        "Could you please provide your customer id and order id?",
        "I don't have that.",
    )
    assert move.rule == "not_obtained"


def test_a_whole_conversation_uses_the_tools_after_a_yes() -> None:
    turns, reason = play(policy=SHOP)
    called = [turn.called for turn in turns if turn.called is not None]
    assert [call.name for call in called] == ["get_order", "cancel_order"]
    assert msgspec.json.decode(called[1].arguments) == {"order_id": "K77Q"}
    assert reason == "goal_met"


def test_without_a_tool_nothing_is_claimed_as_done() -> None:
    turns, _ = play(policy=POLICY)
    spoken = " ".join(turn.text for turn in turns if turn.role == "assistant")
    assert "has been" not in spoken


def test_a_failed_tool_is_reported() -> None:
    turns = (
        *said("Cancel order K77Q."),
        Turn(2, "assistant", called=Called("c", "cancel_order", "{}")),
        Turn(3, "tool", returned=Returned("c", "cancel_order", "Error: shipped")),
    )
    move = reply(SHOP, turns, SEED)
    assert move.rule == "tool_failed"
    assert move.text is not None
    assert "Error: shipped" in move.text


def test_a_transfer_calls_its_tool_and_then_says_the_policys_words() -> None:
    turns = (*said("Hello.", "I cannot do that.", "I want to speak to a human."),)
    move = reply(SHOP, turns, SEED)
    assert [call.name for call in move.tool_calls] == ["transfer_to_human"]
    assert move.text is None
    called = Turn(4, "assistant", called=Called("c", "transfer_to_human", "{}"))
    returned = Turn(5, "tool", returned=Returned("c", "transfer_to_human", "ok"))
    told = reply(SHOP, (*turns, called, returned), SEED)
    assert told.text == "A COLLEAGUE WILL TAKE OVER. HOLD ON."
    assert told.transfer
    assert told.end


def test_goodbye_ends() -> None:
    assert answer("Hello.", "Hello.", "Thank you, goodbye.").end


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_every_language_has_the_agents_words(language: str) -> None:
    policy = Policy(text="", language=language)
    assert reply(policy, (), SEED).text
    assert reply(policy, said("Xyz?"), SEED).rule == "unknown"


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=120),
    st.lists(st.one_of(st.text(max_size=40), st.just("Cancel it")), max_size=5),
    st.sampled_from(["en", "de", "fr", "es"]),
)
def test_any_policy_and_transcript_give_one_move(
    text: str, texts: list[str], language: str
) -> None:
    policy = Policy(text=f"{TEXT}\n{text}", language=language, tools=SHOP.tools)
    move = reply(policy, said(*texts), SEED)
    assert move == reply(policy, said(*texts), SEED)
    assert (move.text is not None) != bool(move.tool_calls)
    assert move.engine == "rules/1"
    rules = book_of(policy.text, language).rules
    assert all(1 <= number <= len(rules) for number in move.references)


def test_a_german_policy_is_followed_in_german() -> None:
    policy = Policy(
        text="## Bestellung stornieren\nDer Mitarbeiter muss die Kundennummer erfragen."
        "\nGeschenkkarten können nicht storniert werden.",
        language="de",
    )
    asked = answer("Ich möchte eine Bestellung stornieren.", policy=policy)
    assert asked.rule == "obtain"
    assert asked.text is not None
    assert "Kundennummer" in asked.text
    barred = answer("Ich möchte Geschenkkarten stornieren.", policy=policy)
    assert barred.rule == "deny"


def test_a_tools_answer_may_be_deep_or_no_json() -> None:
    for content in ("[" * 5_000 + "]" * 5_000, '{"a": [{"b": null}]}', "{", ""):
        turns = (
            *said("I want to cancel order K77Q."),
            Turn(2, "assistant", called=Called("c", "get_order", "{}")),
            Turn(3, "tool", returned=Returned("c", "get_order", content)),
        )
        assert reply(SHOP, turns, SEED).rule == "obtain"
