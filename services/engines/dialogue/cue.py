"""What the simulated user hears in the agent's words: questions, refusals, results."""

import re
from functools import lru_cache
from typing import Final

import msgspec

from services.engines.dialogue.lexicon import LANGUAGES, words
from services.engines.dialogue.remembering import TEXTS, remembered
from services.engines.dialogue.text import (
    WORD,
    Sentence,
    fold,
    sentences,
    share,
    stems_of,
    unquoted,
)


GOAL_SHARE: Final = 0.4

REQUEST_WORDS: Final = words(
    "provide share give tell confirm specify know need help assist proceed like want "
    "let check look locate request send first see continue sorry thing "
    "today find get verify moment work able happy understand "
    "nennen geben mitteilen sagen teilen senden brauchen benötige benötigen indiquer "
    "donner dire fournir besoin indicar dar decir darme decirme proporcionar indicarme "
    "necesito"
)
JOINERS: Final = frozenset({"of", "de", "du", "von", "del"})
ACTIONS: Final = (
    "cancel book change add remove refund return exchange send stornieren buchen "
    "ändern hinzufügen annuler réserver changer ajouter cancelar reservar "
    "cambiar añadir"
)
WHOLLY_DONE: Final = re.compile(
    r"\b(?:all set|(?:it|that|this|everything) (?:is|has been) (?:now )?(?:done|"
    r"completed?|taken care of)|request (?:is|has been) (?:complete|completed|done)|"
    r"erledigt|c'est fait|está hecho)\b"
)
NOT_YET: Final = re.compile(
    r"\b(?:once|if|when|will be|would be|before|after|until|sobald|wenn|si|"
    r"cuando|wird)\b"
)
LOOKING: Final = re.compile(r"\b(?:find|see|locate|access|verify|finden|trouver)\b")


class Cue(msgspec.Struct, frozen=True):
    """What the agent said before the user's next message.

    `items` are the phrases that it asks for, `opinions` the stems of its questions.
    """

    text: str
    said: tuple[Sentence, ...]
    items: tuple[str, ...]
    opinions: tuple[frozenset[str], ...]
    refused: bool
    transferred: bool
    confirms: bool
    more: bool
    farewell: bool

    @property
    def empty(self) -> bool:
        """Return whether nothing was said."""
        return not self.said

    @property
    def content(self) -> frozenset[str]:
        """Return the stems of all that was said."""
        return frozenset().union(*(one.content for one in self.said))


@remembered(characters=TEXTS)
def heard(text: str, language: str) -> Cue:
    """Return what the agent's words ask and say."""
    rules = LANGUAGES[language]
    said = sentences(unquoted(text), language)
    asking = [one for one in said if one.question or rules.asks.search(one.folded)]
    confirms = any(rules.confirms.search(one.folded) for one in said)
    more = any(rules.more.search(one.folded) for one in said)
    open_questions = [one for one in asking if not rules.more.search(one.folded)]
    return Cue(
        text=text,
        said=said,
        items=tuple(
            dict.fromkeys(
                item for one in open_questions for item in phrases(one.text, language)
            )
        ),
        opinions=tuple(
            topics
            for one in open_questions
            if (topics := one.content - request_stems(language))
        ),
        refused=any(refusal(one, language) for one in said),
        transferred=any(
            rules.transfers.search(one.folded) and not one.question for one in said
        ),
        confirms=confirms,
        more=more,
        farewell=any(rules.farewell.search(one.folded) for one in said),
    )


def refusal(said: Sentence, language: str) -> bool:
    """Return whether a sentence refuses something rather than fails to find it."""
    if said.question or LOOKING.search(said.folded):
        return False
    return bool(LANGUAGES[language].denies.search(said.folded))


@lru_cache(maxsize=8)
def request_stems(language: str) -> frozenset[str]:
    """Return the stems of words that belong to asking, not to what is asked for."""
    return frozenset(stems_of(" ".join(sorted(REQUEST_WORDS)), language))


@lru_cache(maxsize=8)
def action_stems(language: str) -> frozenset[str]:
    """Return the stems of what an agent can be asked to do."""
    return frozenset(stems_of(ACTIONS, language))


def phrases(text: str, language: str) -> list[str]:
    """Return the runs of words that carry a topic, joined over `of`."""
    stop = LANGUAGES[language].stop
    asking = request_stems(language)
    runs: list[list[str]] = [[]]
    end = 0
    folded = fold(text)
    for found in WORD.finditer(folded):
        word = found[0]
        apart = folded[end : found.start()].strip()
        end = found.end()
        if apart:
            runs.append([])
        if word in JOINERS and runs[-1]:
            continue
        stems = stems_of(word, language)
        if word in stop or not stems or stems[0] in asking:
            runs.append([])
        else:
            runs[-1].append(word)
    return [" ".join(run) for run in runs if run]


def achieved(cue: Cue, goal: str, language: str) -> bool:
    """Return whether the agent's words are evidence that a goal is met.

    A goal to have something done needs words that it is done; promises, questions,
    conditions and negations are no evidence. Any other goal needs a statement about it.
    """
    rules = LANGUAGES[language]
    wanted = frozenset(stems_of(goal, language))
    actions = wanted & action_stems(language)
    for one in cue.said:
        if one.question or refusal(one, language) or NOT_YET.search(one.folded):
            continue
        if WHOLLY_DONE.search(one.folded) and not one.negated:
            return True
        finished = rules.done.search(one.folded) and not one.negated
        if actions and finished and actions & one.content:
            return True
        known = not rules.missing.search(one.folded)
        asked = rules.asks.search(one.folded)
        if (
            not actions
            and known
            and not asked
            and (share(wanted, one.content) >= GOAL_SHARE)
        ):
            return True
    return False
