"""What a simulated message must not be: empty, an echo, the agent's part, invented."""

import re
from collections.abc import Sequence
from typing import Final, Literal

from services.engines.dialogue.brief import Mind, names_of
from services.engines.dialogue.phrases import PHRASES
from services.engines.dialogue.text import copied, fold, sentences, values_of


Flaw = Literal["empty", "echo", "wrong_role", "secret", "unknown_fact"]

AGENT_SPEECH: Final = re.compile(
    r"\b(?:how (?:can|may) i (?:help|assist) you|as an (?:ai|agent|assistant)|"
    r"i am an? (?:ai|assistant|language model)|i(?:'m| am) transferring you|"
    r"(?:can|may) i help you with anything|"
    r"your (?:reservation|request|order|booking) has been|"
    r"wie kann ich ihnen helfen|comment puis-je vous aider|"
    r"en qué puedo ayudarle)\b"
)
SPOKEN: Final = {
    language: names_of("\n".join(text for group in rules.values() for text in group))
    for language, rules in PHRASES.items()
}
ALWAYS: Final = frozenset({"i", "i'm", "i'll", "i've", "i'd"})


def flaw_of(text: str, mind: Mind, heard: Sequence[str]) -> Flaw | None:
    """Return what is wrong with a message, None where nothing is.

    A number, code, address or name is known where the brief has it. The user's own
    words are no echo where the agent repeated them first.
    """
    if not text.strip():
        return "empty"
    folded = fold(text)
    if any(secret in folded for secret in mind.secrets):
        return "secret"
    if any(copied(text, said) for said in heard[-1:]) and not copied(text, mind.source):
        return "echo"
    if AGENT_SPEECH.search(folded):
        return "wrong_role"
    if values_of(text) - mind.values or unknown_names(text, mind):
        return "unknown_fact"
    return None


def unknown_names(text: str, mind: Mind) -> frozenset[str]:
    """Return the capitalised words inside sentences that the brief does not have.

    German writes every noun with a capital, so that nothing follows from one there.
    """
    if mind.language == "de":
        return frozenset()
    inside = frozenset().union(
        *(names_of(said.text.partition(" ")[2]) for said in sentences(text, "en"))
    )
    return inside - mind.names - SPOKEN[mind.language] - FOREIGN - ALWAYS


FOREIGN: Final = frozenset({"hola", "hello"})
