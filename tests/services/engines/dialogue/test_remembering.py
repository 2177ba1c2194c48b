"""What is remembered of texts, and what is forgotten."""

from collections.abc import Callable

from services.engines.dialogue.remembering import ENTRY, length, remembered
from services.engines.dialogue.turns import Called, Returned, Turn


def counting(
    characters: int,
) -> tuple[Callable[[str, int], int | None], list[str]]:
    """Return a function that remembers, and the texts that it looked at."""
    looked: list[str] = []

    @remembered(characters=characters)
    def place_of(text: str, start: int) -> int | None:
        looked.append(text)
        found = text.find("x", start)
        return None if found < 0 else found

    return place_of, looked


def test_what_was_asked_before_is_answered_from_memory() -> None:
    place_of, looked = counting(10_000)
    for _ in range(3):
        assert [place_of("axbx", 0), place_of("axbx", 2), place_of("ab", 0)] == [
            1,
            3,
            None,
        ]
    assert looked == ["axbx", "axbx", "ab"]


def test_texts_that_nobody_asks_for_are_forgotten() -> None:
    place_of, looked = counting(20 * (ENTRY + 10))
    texts = [f"{number:010}" for number in range(100)]
    for text in texts:
        place_of(text, 0)
        place_of("asked again", 0)
    assert looked.count("asked again") == 1
    looked.clear()
    for text in reversed(texts):
        place_of(text, 0)
    remembered_texts = len(texts) - len(looked)
    assert 9 <= remembered_texts <= 20


def test_a_text_that_is_too_long_is_remembered_until_others_come() -> None:
    place_of, looked = counting(1_000)
    long = "a" * 5_000
    for _ in range(3):
        place_of(long, 0)
    assert looked == [long]
    for number in range(20):
        place_of(str(number), 0)
    looked.clear()
    place_of(long, 0)
    assert looked == [long]


def test_all_texts_of_a_conversation_count() -> None:
    turns = (
        Turn(1, "user", "ab"),
        Turn(2, "assistant", called=Called("1", "find", "{}")),
        Turn(3, "tool", returned=Returned("1", "find", "none")),
    )
    assert length((turns, "en")) == sum(
        map(len, ("user", "ab", "assistant", "1", "find", "{}", "tool", "1", "find"))
    ) + len("none") + len("en")
