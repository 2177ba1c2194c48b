"""The stock personas: how somebody speaks and how long they stay.

A persona is chosen by a tag (`style: terse`, or the name itself as a tag), else by
words of its background that are not negated, else it is cooperative. Edits of the
wording spare numbers, codes, addresses and names, so that what is said stays true.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from services.engines.dialogue.draw import Draw
from services.engines.dialogue.text import WORD, affirms, fold, sentences, values_of


Style = Literal[
    "cooperative",
    "terse",
    "rambling",
    "impatient",
    "confused",
    "withholding",
    "contradictory",
    "code-switching",
    "typo-prone",
    "non-native",
    "adversarial",
    "silent",
]

TYPO_SHARE: Final = 0.12
TYPO_LENGTH: Final = 5
ARTICLES: Final = {
    "en": frozenset({"a", "an", "the"}),
    "de": frozenset({"der", "die", "das", "ein", "eine", "einen", "den"}),
    "fr": frozenset({"le", "la", "les", "un", "une"}),
    "es": frozenset({"el", "la", "los", "las", "un", "una"}),
}
FOREIGN_HELLO: Final = {"en": "Hola", "de": "Hello", "fr": "Hello", "es": "Hello"}


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    """A way to behave.

    `patience` is how many turns without progress it takes, `pushbacks` how often it
    insists after a refusal. `reluctant` keeps an answer back once, `wavering` takes
    one confirmation back, `asks_back` asks once what a question means.
    """

    style: Style
    cues: tuple[str, ...] = ()
    patience: int = 4
    pushbacks: int = 1
    reluctant: bool = False
    wavering: bool = False
    asks_back: bool = False
    scripted: bool = False
    mute: bool = False


PERSONAS: Final = {
    persona.style: persona
    for persona in (
        Persona(style="cooperative"),
        Persona(
            style="impatient",
            cues=("impatient", "in a hurry", "frustrated", "angry", "short temper"),
            patience=2,
        ),
        Persona(
            style="adversarial",
            cues=("adversarial", "manipulative", "attacker", "hostile", "jailbreak"),
            patience=5,
            pushbacks=3,
            scripted=True,
        ),
        Persona(
            style="contradictory",
            cues=("contradictory", "contradicts", "changes mind", "indecisive"),
            wavering=True,
        ),
        Persona(
            style="withholding",
            cues=("withholding", "reluctant", "secretive", "guarded", "suspicious"),
            patience=5,
            reluctant=True,
        ),
        Persona(
            style="confused",
            cues=("confused", "forgetful", "unfamiliar", "disoriented"),
            patience=5,
            asks_back=True,
        ),
        Persona(
            style="rambling",
            cues=("rambling", "talkative", "chatty", "verbose", "long-winded"),
        ),
        Persona(
            style="terse",
            cues=("terse", "brief", "few words", "curt", "concise", "to the point"),
        ),
        Persona(style="code-switching", cues=("code-switching", "mixes languages")),
        Persona(style="typo-prone", cues=("typo-prone", "typos", "misspells")),
        Persona(
            style="non-native", cues=("non-native", "broken", "limited vocabulary")
        ),
        Persona(style="silent", cues=("silent", "mute", "says nothing"), mute=True),
    )
}


def persona_of(tags: Mapping[str, str | None], background: str) -> Persona:
    """Return the stock persona that tags name, or that a background describes."""
    named = {fold(word or "") for pair in tags.items() for word in pair}
    for persona in PERSONAS.values():
        if persona.style in named:
            return persona
    told = sentences(background, "en")
    for persona in PERSONAS.values():
        if any(affirms(cue, said, "en") for cue in persona.cues for said in told):
            return persona
    return PERSONAS["cooperative"]


def voiced(text: str, persona: Persona, language: str, draw: Draw) -> str:
    """Return a text as a persona would put it."""
    match persona.style:
        case "typo-prone":
            return edited(text, lambda word, place: mistyped(word, place, draw))
        case "non-native":
            articles = ARTICLES[language]
            kept = [word for word in text.split(" ") if fold(word) not in articles]
            return " ".join(kept) or text
        case "code-switching" if draw.turn == 1:
            return f"{FOREIGN_HELLO[language]}! {text}"
        case _:
            return text


def edited(text: str, edit: Callable[[str, int], str]) -> str:
    """Return a text whose plain words are edited, its names and values as they are."""
    counted = 0

    def changed(found: re.Match[str]) -> str:
        nonlocal counted
        counted += 1
        word = found[0]
        fixed = values_of(word) or not word.islower() or not word.isalpha()
        return word if fixed else edit(word, counted)

    return WORD.sub(changed, text)


def mistyped(word: str, place: int, draw: Draw) -> str:
    """Return a word with two letters swapped, or one lost or doubled, or as it is."""
    purpose = f"typo {place}"
    if len(word) < TYPO_LENGTH or not draw.chance(purpose, TYPO_SHARE):
        return word
    spot = 1 + draw.choose(f"{purpose} spot", range(len(word) - 2))
    kind = draw.choose(f"{purpose} kind", ("swap", "lose", "double"))
    match kind:
        case "swap":
            return word[:spot] + word[spot + 1] + word[spot] + word[spot + 2 :]
        case "lose":
            return word[:spot] + word[spot + 1 :]
        case _:
            return word[:spot] + word[spot] + word[spot:]
