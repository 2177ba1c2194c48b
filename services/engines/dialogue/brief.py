"""What a simulated user is told, read as facts, goals, conditions and stances.

A fact is a sentence of the brief in the first person; the user says nothing else of
itself. A secret's values are never said. Where a brief speaks English in the second
person it is turned round; other languages are quoted as they stand.
"""

import re
from typing import Final, Literal

import msgspec

from services.engines.dialogue.lexicon import LANGUAGES, base, words
from services.engines.dialogue.personas import Persona, persona_of
from services.engines.dialogue.remembering import TEXTS, remembered
from services.engines.dialogue.text import (
    Sentence,
    fold,
    plain,
    sentences,
    share,
    stems_of,
    values_of,
)


Trigger = Literal["asked", "refused", "said"]

OPINION_SHARE: Final = 0.6
GENERIC: Final = frozenset(
    {"id", "number", "code", "refer", "detail", "inform", "name"}
)

WANTS: Final = re.compile(
    r"^(?:[\w',]+ ){0,4}?i (?:\w+ ){0,2}?(?:want|would like|need|wish|hope|am "
    r"(?:contacting|calling|looking|trying))\b|^(?:[\w',]+ ){0,4}?i'd like\b|"
    r"\b(?:möchte|möchtest|möchten|brauche|brauchst|veux|voulez|souhaite|souhaitez|"
    r"voudrais|quiere|quieres|quiero|necesita|necesitas|desea|deseas)\b"
)
ORDER: Final = re.compile(
    r"^(?:book|cancel|change|modify|upgrade|downgrade|request|get|find|add|remove|"
    r"return|exchange|buy|order|check|update|ask)\b",
    re.IGNORECASE,
)
META: Final = re.compile(
    r"\b(?:make up|pretend|abruptly|(?:the|service) agent|the user)\b", re.IGNORECASE
)
SPEECH: Final = re.compile(
    r"\b(?:by saying|mention|say|tell \w+|explain)(?: that|:) (?P<what>.+)$",
    re.IGNORECASE,
)
NO_WISH: Final = re.compile(
    r"\b(?:don't|do not|never|nicht|kein|ne|no|without) \w*\s?(?:want|like|need|wish|"
    r"will|möchte\w*|veux|voulez|quier\w+)\b"
)
LEAD: Final = re.compile(
    r"^(?:(?:first|then|next|also|finally|additionally|and)\b,?\s*|try to\s+|"
    r"your goal is to\s+)+",
    re.IGNORECASE,
)
CONDITION: Final = re.compile(
    r"^(?:if|when|once|whenever)\s+(?P<when>.+?),\s*(?:then\s+)?(?P<then>.+)$",
    re.IGNORECASE | re.DOTALL,
)
ASKED: Final = re.compile(r"\b(?:asks?|requests?|needs?|wants to know)\b")
REFUSED: Final = re.compile(
    r"\b(?:not|cannot|can't|isn't|refuses?|den(?:y|ies)|declines?|unable|won't|"
    r"impossible)\b"
)
SAY: Final = re.compile(
    r"^(?:(?:you\s+)?(?:should\s+|can\s+|must\s+)?)(?:mention|say|tell(?:\s+(?:him|her|"
    r"them|(?:the\s+)?(?:service\s+)?agent))?|explain|claim|state|reply|answer|"
    r"add|respond)(?:\s+to\s+(?:the\s+)?agent)?(?:\s+that)?\s*:?\s+(?P<what>.+)$",
    re.IGNORECASE | re.DOTALL,
)
ASK: Final = re.compile(
    r"^(?:you\s+)?(?:ask|request|demand|"
    r"(?P<insists>insist)\s+on)(?:\s+(?:(?:the\s+)?(?:service\s+)?agent))?"
    r"(?:\s+(?P<link>for|to))?\s+(?P<what>.+)$",
    re.IGNORECASE | re.DOTALL,
)
LEAVE: Final = re.compile(
    r"\b(?:end the (?:conversation|call|chat)|hang up|leave|give up|stop the)\b",
    re.IGNORECASE,
)
CUE_WORDS: Final = words(
    "agent servic user tell say ask request need want mention inform custom repres "
    "if explain respond repli offer"
)
IDENTITY: Final = re.compile(r"\bI am (?:[A-Z]\w+ ){1,3}?[A-Z]\w+\b")

PERSON: Final = (
    (re.compile(r"\byou(?:'re| are)\b", re.IGNORECASE), "I am"),
    (re.compile(r"\byou were\b", re.IGNORECASE), "I was"),
    (re.compile(r"\b(?<=\bare )you\b|\b(?<=\bwere )you\b", re.IGNORECASE), "I"),
    (re.compile(r"\byou(?='(?:ve|d|ll)\b)", re.IGNORECASE), "I"),
    (re.compile(r"\byourself\b", re.IGNORECASE), "myself"),
    (re.compile(r"\byours\b", re.IGNORECASE), "mine"),
    (re.compile(r"\byour\b", re.IGNORECASE), "my"),
    (
        re.compile(
            r"(?P<before>\b(?:to|for|with|at|by|from|about|tell|tells|told|give|gives|"
            r"gave|let|lets|help|helps|allow|allows|ask|asks|asked|offer|offers|charge|"
            r"charged|refund|of|and|than|inform|informs|informed|assured|caused|"
            r"cause|causes|leave|cost)\s+)you\b",
            re.IGNORECASE,
        ),
        r"\g<before>me",
    ),
    (re.compile(r"\byou(?=\s*(?:[.,;!?]|$))", re.IGNORECASE), "me"),
    (re.compile(r"\byou\b", re.IGNORECASE), "I"),
)


class UserBrief(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated user is and wants, as the testing context keeps it.

    `known_facts` is what it may say of itself, besides its background and objective.
    `secrets` are texts that it must not say. `opening` is said first, as it stands.
    """

    objective: str
    background: str = ""
    instructions: str = ""
    known_facts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    opening: str | None = None
    language: str = "en"
    tags: tuple[tuple[str, str | None], ...] = ()


class Fact(msgspec.Struct, frozen=True):
    """A sentence that the user may say, and the stems that it is about."""

    text: str
    said: Sentence
    topics: frozenset[str]


class Condition(msgspec.Struct, frozen=True):
    """Something to say, or to leave, when the agent does something.

    `topics` are the stems that the agent's words must share, none for any words.
    """

    trigger: Trigger
    topics: frozenset[str]
    text: str | None
    leaves: bool = False


class Mind(msgspec.Struct, frozen=True):
    """A brief as the rules read it."""

    persona: Persona
    language: str
    goals: tuple[str, ...]
    facts: tuple[Fact, ...]
    stances: tuple[str, ...]
    conditions: tuple[Condition, ...]
    secrets: frozenset[str]
    source: str
    values: frozenset[str]
    names: frozenset[str]


@remembered(characters=TEXTS)
def mind_of(brief: UserBrief) -> Mind:
    """Return what a brief says, read once."""
    language = base(brief.language)
    wishes = own_sentences(brief.objective, language)
    if not wishes:
        whole = first_person(plain(brief.objective), language)
        # A text may have signs and no sentence.
        wishes = [whole] if sentences(whole, language) else []
    goals = tuple(text for text in wishes if wanted(text)) or tuple(wishes[:1])
    told = [
        *(own for text in brief.known_facts for own in own_sentences(text, language)),
        *own_sentences(brief.background, language),
        *wishes,
    ]
    directed = [one.text for one in sentences(plain(brief.instructions), language)]
    own = tuple(
        first_person(text, language)
        for text in directed
        if text.casefold().startswith("you") and not META.search(text)
    )
    behaviour = f"{brief.background}\n{brief.instructions}"
    facts = tuple(
        fact_of(text, language)
        for text in dict.fromkeys([*told, *own])
        if not secret(text, brief.secrets)
    )
    conditions = tuple(
        found for text in directed if (found := condition_of(text, language))
    )
    source = "\n".join(
        (
            brief.objective,
            brief.background,
            brief.instructions,
            brief.opening or "",
            *brief.known_facts,
        )
    )
    return Mind(
        persona=persona_of(dict(brief.tags), behaviour),
        language=language,
        goals=tuple(goal for goal in goals if not secret(goal, brief.secrets)),
        facts=facts,
        stances=tuple(
            text
            for text in own
            if not secret(text, brief.secrets) and not text.startswith("I am ")
        ),
        conditions=tuple(
            one for one in conditions if not secret(one.text or "", brief.secrets)
        ),
        secrets=frozenset(secret for secret in map(fold, brief.secrets) if secret),
        source="\n".join((source, *told, *own)),
        values=values_of(source),
        names=names_of(source),
    )


def own_sentences(text: str, language: str) -> list[str]:
    """Return the sentences of a text in the first person, without stage directions."""
    return [
        own
        for said in sentences(plain(text), language)
        if (own := own_sentence(LEAD.sub("", said.text), language))
    ]


def own_sentence(text: str, language: str) -> str | None:
    """Return a sentence as the user says it, an order as a wish, or None."""
    if language == "en" and (speech := SPEECH.search(text)):
        text = speech["what"]
        text = text.partition(" by saying that ")[2] or text
    if META.search(text):
        return None
    if language == "en" and ORDER.match(text):
        text = f"you want to {text[:1].lower()}{text[1:]}"
    return first_person(text, language)


def first_person(text: str, language: str) -> str:
    """Return what a brief says to the user as the user would say it."""
    text = " ".join(text.split())
    if language == "en":
        for pattern, replacement in PERSON:
            text = pattern.sub(replacement, text)
    return text[:1].upper() + text[1:]


def wanted(text: str) -> bool:
    """Return whether a sentence says what somebody wants."""
    folded = fold(text)
    return bool(WANTS.search(folded)) and not NO_WISH.search(folded)


def secret(text: str, secrets: tuple[str, ...]) -> bool:
    """Return whether a text says a secret."""
    folded = fold(text)
    return any(fold(one) in folded for one in secrets if one)


def fact_of(text: str, language: str) -> Fact:
    """Return a sentence as a fact."""
    said = sentences(text, language)[0]
    topics = said.content
    if IDENTITY.search(text):
        topics |= frozenset(stems_of("full first last name", language))
    if LANGUAGES[language].reasons.intersection(said.words):
        topics |= frozenset(stems_of("reason", language))
    if "@" in text:
        topics |= frozenset(stems_of("email mail address", language))
    return Fact(text=ended(text), said=said, topics=topics)


def condition_of(text: str, language: str) -> Condition | None:
    """Return what an instruction tells the user to do when something happens."""
    found = CONDITION.match(text)
    if found is None:
        return None
    when, then = fold(found["when"]), found["then"].strip()
    trigger: Trigger = "said"
    if REFUSED.search(when):
        trigger = "refused"
    elif ASKED.search(when):
        trigger = "asked"
    topics = frozenset(stems_of(when, language)) - CUE_WORDS
    if LEAVE.search(then):
        return Condition(trigger, topics, None, leaves=True)
    speech = speech_of(then, language)
    return Condition(trigger, topics, speech) if speech else None


def speech_of(then: str, language: str) -> str | None:
    """Return what an instruction wants said, None where it wants something else."""
    if said := SAY.match(then):
        return ended(first_person(said["what"].strip("\"'"), language))
    if asked := ASK.match(then):
        return request(asked, language)
    if then.casefold().startswith("you "):
        return ended(first_person(then, language))
    return None


def request(asked: re.Match[str], language: str) -> str | None:
    """Return what somebody says who is told to ask for something."""
    what = first_person(asked["what"].rstrip(".,; "), language)
    if what.endswith("ly") and " " not in what:
        return None
    what = what[:1].lower() + what[1:]
    if asked["insists"]:
        return f"I insist on {what}."
    if asked["link"] == "to":
        return f"I would like to {what}."
    return f"I ask for {what}." if asked["link"] else f"I would like to ask {what}."


def ended(text: str) -> str:
    """Return a text that ends like a sentence."""
    text = text.strip().rstrip(",;:")
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def names_of(text: str) -> frozenset[str]:
    """Return the folded words that a text writes with a capital."""
    return frozenset(fold(word) for word in re.findall(r"\b[A-ZÀ-Ý][\w'-]*", text))


def answer_to(mind: Mind, item: str) -> Fact | None:
    """Return the fact that answers an item, None where none does.

    All words of the item must be the fact's own; where the item asks for an id, a
    value beside the rest of the words will do.
    """
    wanted_stems = frozenset(stems_of(item, mind.language))
    if not wanted_stems:
        return None
    for fact in mind.facts:
        if wanted_stems <= fact.topics:
            return fact
    head = wanted_stems - GENERIC
    if not head or head == wanted_stems:
        return None
    for fact in mind.facts:
        if head <= fact.topics and fact.said.values:
            return fact
    return None


def opinion_on(mind: Mind, topics: frozenset[str]) -> Fact | None:
    """Return the fact that shares most of the topics, None where none shares enough."""
    best = max(mind.facts, key=lambda fact: share(topics, fact.topics), default=None)
    if best is None or share(topics, best.topics) < OPINION_SHARE:
        return None
    return best
