import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.engines.dialogue.judging import communicates, judge
from tests.services.engines.dialogue.confusion import matrix, table
from tests.services.engines.dialogue.labelled import CASES, Labelled, transcript
from tests.services.engines.dialogue.shop import said


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.assertion}")
def test_no_verdict_contradicts_its_label(one: Labelled) -> None:
    found = judge(one.assertion, transcript(one.entries))
    assert found.value in (one.verdict, None), found.justification


def test_most_plain_cases_are_judged() -> None:
    plain = [
        judge(one.assertion, transcript(one.entries)).value
        for one in CASES
        if one.kind == "plain"
    ]
    assert sum(value is not None for value in plain) >= 0.9 * len(plain)


def test_the_matrix_counts_every_case() -> None:
    counts = matrix()
    assert sum(counts.values()) == len(CASES)
    assert table(counts).splitlines()[-1].startswith("all")


def test_a_verdict_names_the_entries_that_it_rests_on() -> None:
    found = judge("Agent tells the user that the fee is $5.", said("Fee?", "It is 5."))
    assert (found.outcome, found.references) == ("passed", (2,))
    assert (found.engine, found.rule) == ("rules/1", "say")


def test_an_abstention_is_inconclusive_with_its_reason() -> None:
    found = judge("Agent is friendly.", said("Hello.", "Hello."))
    assert found.value is None
    assert found.outcome == "inconclusive"
    assert found.justification


def test_an_assertion_in_another_language_is_left_open() -> None:
    found = judge("Der Agent soll die Stornierung ablehnen, das ist so.", said("Hi"))
    assert (found.value, found.rule) == (None, "language")


def test_a_value_is_communicated_or_absent_and_words_may_be_put_otherwise() -> None:
    turns = said("How much?", "The total is $1,628.")
    assert communicates("1628", turns).value is True
    assert communicates("1629", turns).value is False
    assert communicates("the sum of all", turns).value is None


def test_what_the_user_says_is_no_evidence_for_the_agent() -> None:
    assert communicates("1628", said("Is it 1628?", "I will look.")).value is False
    found = judge("User tells the agent that it is 1628.", said("Is it 1628?"))
    assert found.value is True


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60), st.builds("Agent {} not {}.".format, st.text(), st.text())
    ),
    st.lists(st.text(max_size=40), max_size=5),
)
def test_any_assertion_can_be_judged_and_rests_on_real_entries(
    assertion: str, texts: list[str]
) -> None:
    turns = said(*texts)
    found = judge(assertion, turns)
    assert found == judge(assertion, turns)
    assert found.justification
    assert set(found.references) <= {turn.seq for turn in turns}
