"""The text kernel: folding, words, stems, sentences, quotation, negation, concepts.

Folded text is NFKC, case folded and has straight apostrophes. A concept is found as
its exact run of stems, else by a token-set ratio with a high cut-off; a concept with a
digit in it is found exactly or not at all. A word is negated where one of the three
words before it in its clause negates. Quoted text is masked by spaces, so that places
stay the same.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

import msgspec
import snowballstemmer
from rapidfuzz import fuzz

from services.engines.dialogue.lexicon import LANGUAGES, base
from services.engines.dialogue.remembering import TEXTS, WORDS, remembered


CONCEPT_CUT: Final = 92.0
COPY_CUT: Final = 90.0
COPY_WORDS: Final = 8
COPY_LIMIT: Final = 200
NEGATION_WINDOW: Final = 3
STUFFED_WORDS: Final = 5
STUFFED_SHARE: Final = 0.15
RECOGNISED_WORDS: Final = 4

APOSTROPHES: Final = str.maketrans("\u2018\u2019`\u00b4", "''''")
WORD: Final = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\d+(?:[.,:/-]\d+)*\w*|[^\W\d]\w*(?:'\w+)*"
)
BREAK: Final = re.compile(r"[,;:()]|\b(?:but|however|aber|mais|pero)\b")
BOUNDARY: Final = re.compile(r"(?<=[.!?…])[\"'”»)*]*\s+|\n+|(?<=[\u3002\uff01\uff1f])")
QUOTED: Final = re.compile(
    r"\"[^\"\n]*\"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|(?<![\w])'[^'\n]*'(?!\w)|"
    r"^[ \t]*>.*$",
    re.MULTILINE,
)
MARKUP: Final = re.compile(r"\*\*|__|`|^\s*[-*•]\s+|^\s*#+\s*", re.MULTILINE)
ABBREVIATION: Final = re.compile(
    r"\b(?:e\.g|i\.e|mr|mrs|ms|dr|no|st|vs|etc|z\.b|bzw|ca|m|mme|sr|sra)\.$",
    re.IGNORECASE,
)
NUMBER: Final = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
CODE: Final = re.compile(r"\d|_|@")
MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        1,
    )
    for name in names.split()
}
DAY: Final = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
ISO_DATE: Final = re.compile(r"(?:\d{4}-)?(\d{2})-(\d{2})")


class Sentence(msgspec.Struct, frozen=True):
    """A sentence with its words, their stems, and which of them are negated.

    `content` holds the stems of its words that are no stop words, `values` its
    numbers, codes, addresses and dates in one spelling.
    """

    text: str
    folded: str
    words: tuple[str, ...]
    stems: tuple[str, ...]
    content: frozenset[str]
    negated: frozenset[int]
    values: frozenset[str]
    question: bool


def fold(text: str) -> str:
    """Return a text in the one form that words and patterns are compared in."""
    return unicodedata.normalize("NFKC", text).translate(APOSTROPHES).casefold()


def unquoted(text: str) -> str:
    """Return a text with what it quotes masked by spaces."""
    return QUOTED.sub(lambda found: " " * len(found[0]), text)


def plain(text: str) -> str:
    """Return a text without its markup."""
    return MARKUP.sub("", text)


@remembered(characters=WORDS)
def stem(word: str, language: str) -> str:
    """Return the stem of a folded word, of its concept where it has an alias."""
    if CODE.search(word):
        return canonical(word)
    stemmed = bare_stem(word.removesuffix("'s"), language)
    return concepts(language).get(stemmed, stemmed)


def bare_stem(word: str, language: str) -> str:
    """Return the stem that the language's algorithm gives."""
    stemmed: str = snowballstemmer.stemmer(LANGUAGES[language].stemmer).stemWord(word)
    return stemmed


@lru_cache(maxsize=8)
def concepts(language: str) -> dict[str, str]:
    """Return the stem of the concept of each stem that has an alias."""
    return {
        bare_stem(word, language): bare_stem(concept, language)
        for word, concept in LANGUAGES[language].aliases.items()
    }


def canonical(word: str) -> str:
    """Return a code or a number in one spelling: no thousands, no empty decimals."""
    if not NUMBER.fullmatch(word):
        return word
    number = word.replace(",", "")
    return number.rstrip("0").rstrip(".") if "." in number else number


@remembered(characters=TEXTS)
def words_of(text: str) -> tuple[str, ...]:
    """Return the folded words of a text."""
    return tuple(WORD.findall(fold(text)))


@remembered(characters=TEXTS)
def stems_of(text: str, language: str) -> tuple[str, ...]:
    """Return the stems of a text's words that are no stop words, in their order."""
    stop = LANGUAGES[language].stop
    return tuple(stem(word, language) for word in words_of(text) if word not in stop)


@remembered(characters=TEXTS)
def values_of(text: str) -> frozenset[str]:
    """Return a text's numbers, codes and addresses, and its dates as `--MM-DD`."""
    found = words_of(text)
    values = {canonical(word) for word in found if CODE.search(word)}
    for first, second in pairwise(found):
        month, day = MONTHS.get(first), DAY.fullmatch(second)
        if month is None:
            month, day = MONTHS.get(second), DAY.fullmatch(first)
        if month is not None and day is not None:
            values -= {first, second}
            values.add(f"--{month:02}-{int(day[1]):02}")
    for word in found:
        if date := ISO_DATE.fullmatch(word):
            values.add(f"--{date[1]}-{date[2]}")
    return frozenset(values)


@remembered(characters=TEXTS)
def sentences(text: str, language: str) -> tuple[Sentence, ...]:
    """Return the sentences of a text."""
    parts: list[str] = []
    for part in split(text):
        if parts and ABBREVIATION.search(parts[-1]):
            parts[-1] = f"{parts[-1]} {part}"
        elif part.strip():
            parts.append(part.strip())
    return tuple(sentence(part, language) for part in parts)


def split(text: str) -> Iterator[str]:
    """Yield the parts of a text between ends of sentences that are not quoted."""
    masked = QUOTED.sub(lambda found: "x" * (len(found[0]) - 1) + found[0][-1], text)
    start = 0
    for found in BOUNDARY.finditer(masked):
        yield text[start : found.start()]
        start = found.end()
    yield text[start:]


def sentence(text: str, language: str) -> Sentence:
    """Return one sentence with what the rules see in it."""
    folded = fold(text)
    words = tuple(WORD.findall(folded))
    stop = LANGUAGES[language].stop
    stems = tuple(stem(word, language) for word in words)
    return Sentence(
        text=text,
        folded=folded,
        words=words,
        stems=stems,
        content=frozenset(
            stemmed
            for word, stemmed in zip(words, stems, strict=True)
            if word not in stop
        ),
        negated=negated(folded, language),
        values=values_of(text),
        question=folded.rstrip("\"'”»)* ").endswith(("?", "\uff1f")),
    )


def negated(folded: str, language: str) -> frozenset[int]:
    """Return the places of the words that a negation reaches."""
    negations = LANGUAGES[language].negations
    breaks = [found.start() for found in BREAK.finditer(folded)]
    reached: set[int] = set()
    left, clause = 0, 0
    for place, found in enumerate(WORD.finditer(folded)):
        while clause < len(breaks) and breaks[clause] < found.start():
            clause, left = clause + 1, 0
        if left:
            reached.add(place)
            left -= 1
        if found[0] in negations:
            left = NEGATION_WINDOW
    return frozenset(reached)


def mentions(concept: str, said: Sentence, language: str) -> bool:
    """Return whether a sentence names a concept."""
    return bool(places(concept, said, language)) or similar(concept, said, language)


def affirms(concept: str, said: Sentence, language: str) -> bool:
    """Return whether a sentence names a concept without negating it."""
    found = places(concept, said, language)
    if found:
        return any(place not in said.negated for place in found)
    return not said.negated and similar(concept, said, language)


def places(concept: str, said: Sentence, language: str) -> tuple[int, ...]:
    """Return where the exact run of a concept's stems begins."""
    wanted = tuple(stem(word, language) for word in words_of(concept))
    size = len(wanted)
    return tuple(
        place
        for place in range(len(said.stems) - size + 1)
        if size and said.stems[place : place + size] == wanted
    )


def similar(concept: str, said: Sentence, language: str) -> bool:
    """Return whether a sentence has all words of a concept, up to their spelling."""
    wanted = stems_of(concept, language)
    if not wanted or any(CODE.search(word) for word in wanted):
        return False
    score = fuzz.token_set_ratio(" ".join(wanted), " ".join(sorted(said.content)))
    return score >= CONCEPT_CUT and any(word in said.content for word in wanted)


def share(wanted: Iterable[str], found: frozenset[str]) -> float:
    """Return the share of stems that are among others, 0 where none is wanted."""
    stems = frozenset(wanted)
    return len(stems & found) / len(stems) if stems else 0.0


def copied(text: str, source: str) -> bool:
    """Return whether a text of eight words or more repeats a part of another.

    Of both, the first two hundred words are compared.
    """
    words = words_of(text)[:COPY_LIMIT]
    if len(words) < COPY_WORDS:
        return False
    others = words_of(source)[:COPY_LIMIT]
    if len(others) < COPY_WORDS:
        return False
    return fuzz.partial_ratio(" ".join(words), " ".join(others)) >= COPY_CUT


def stuffed(said: Sentence, language: str) -> bool:
    """Return whether a sentence is a list of bare keywords."""
    if len(said.words) < STUFFED_WORDS:
        return False
    stop = LANGUAGES[language].stop
    bare = sum(word in stop for word in said.words)
    return bare < STUFFED_SHARE * len(said.words)


@remembered(characters=TEXTS)
def language_of(text: str) -> str | None:
    """Return the language that a text's stop words speak for, if one does.

    A text of another script or of fewer than four words speaks for none.
    """
    words = words_of(text)
    if len(words) < RECOGNISED_WORDS:
        return None
    counts = {
        name: sum(word in rules.stop for word in words)
        for name, rules in LANGUAGES.items()
    }
    best = max(counts, key=lambda name: counts[name])
    clear = sum(count == counts[best] for count in counts.values()) == 1
    return best if clear and counts[best] >= len(words) * STUFFED_SHARE else None


def foreign(text: str, language: str) -> bool:
    """Return whether a text is clearly not in a language."""
    letters = [char for char in text if char.isalpha()]
    if letters and sum(char > "\u024f" for char in letters) > len(letters) / 2:
        return True
    return language_of(text) not in (None, base(language))
