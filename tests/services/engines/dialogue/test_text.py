import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.engines.dialogue.ranking import index, ranked
from services.engines.dialogue.text import (
    affirms,
    canonical,
    copied,
    foreign,
    language_of,
    mentions,
    sentence,
    sentences,
    stems_of,
    stuffed,
    unquoted,
    values_of,
)


def test_words_of_one_concept_have_one_stem() -> None:
    assert stems_of("modifying", "en") == stems_of("changed", "en")
    assert stems_of("Suitcases", "en") == stems_of("baggage", "en")
    assert stems_of("Stornierung", "de") == stems_of("stornieren", "de")


def test_stop_words_have_no_stems() -> None:
    assert stems_of("what is the", "en") == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It costs $1,628.00.", "1628"),
        ("It costs 1628", "1628"),
        ("12.50 dollars", "12.5"),
        ("for gift_card_77", "gift_card_77"),
        ("on May 5th", "--05-05"),
        ("on 5 May", "--05-05"),
        ("on 2024-05-05", "--05-05"),
        ("to A.Field@Example.org!", "a.field@example.org"),
    ],
)
def test_values_have_one_spelling(text: str, value: str) -> None:
    assert value in values_of(text)


def test_a_code_is_not_rewritten() -> None:
    assert canonical("k77q") == "k77q"


def test_sentences_end_at_ends_and_lines_but_not_inside_quotes() -> None:
    text = "Ask Dr. Field. She said 'HOLD ON. NOW.' to me!\nDone"
    told = [one.text for one in sentences(text, "en")]
    assert told == ["Ask Dr. Field.", "She said 'HOLD ON. NOW.' to me!", "Done"]


def test_quotes_are_masked_in_place() -> None:
    text = "He said “pay 5” and left.\n> pay 6\nIt's 7."
    assert len(unquoted(text)) == len(text)
    assert values_of(unquoted(text)) == {"7"}


@pytest.mark.parametrize(
    ("text", "affirmed"),
    [
        ("We offer insurance.", True),
        ("We do not offer insurance.", False),
        ("We can't really offer insurance.", False),
        ("No, we offer insurance.", True),
        ("We never see it, but insurance is here.", True),
    ],
)
def test_a_negation_reaches_three_words_of_its_clause(
    text: str, *, affirmed: bool
) -> None:
    assert affirms("insurance", sentence(text, "en"), "en") == affirmed


def test_a_concept_is_found_in_another_order_but_a_code_only_exactly() -> None:
    said = sentence("The water that did damage, K77Q.", "en")
    assert mentions("damage water", said, "en")
    assert mentions("K77Q", said, "en")
    assert not mentions("K77", said, "en")


def test_bare_keywords_are_no_sentence() -> None:
    assert stuffed(sentence("fee price cost tariff charge refund", "en"), "en")
    assert not stuffed(sentence("The fee is part of the price.", "en"), "en")


def test_long_repetition_is_a_copy_and_short_is_not() -> None:
    text = "I was told that the fee is twelve dollars."
    assert copied(f"Well: {text}", text)
    assert not copied("the fee", text)


def test_languages_are_told_apart_by_their_stop_words() -> None:
    assert language_of("Das ist leider nicht möglich") == "de"
    assert language_of("Je ne peux pas le faire") == "fr"
    assert language_of("No se puede hacer en este momento") == "es"
    assert language_of("ok") is None
    assert foreign("これはできません", "en")
    assert not foreign("This is not possible now", "en")


def test_the_rarer_word_ranks_first() -> None:
    documents = [["flight", "bag"], ["flight", "seat"], ["flight", "meal"]]
    assert ranked(index(documents), ["flight", "seat"])[0][1] == 1
    assert ranked(index([]), ["seat"]) == []


@given(st.text(max_size=80), st.sampled_from(["en", "de", "fr", "es"]))
def test_any_text_can_be_read(text: str, language: str) -> None:
    for one in sentences(text, language):
        assert len(one.words) == len(one.stems)
        assert all(0 <= place < len(one.words) for place in one.negated)
    assert len(unquoted(text)) == len(text)
