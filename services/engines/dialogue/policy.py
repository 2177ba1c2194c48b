"""A policy text read as numbered rules: what to obtain, to confirm, to deny, to allow.

Each sentence and each list entry is a rule, in the text's order from 1. A rule knows
its headings, and an entry the sentence that leads its list, so that "Business flights"
below "A flight can be cancelled if any of these is true:" keeps its meaning. A cue that
is not recognised makes a rule of kind `inform`, which is quoted but never enforced.
"""

import re
from typing import Final, Literal

import msgspec

from services.engines.dialogue.lexicon import base
from services.engines.dialogue.ranking import Index, index
from services.engines.dialogue.remembering import POLICIES, remembered
from services.engines.dialogue.text import Sentence, fold, plain, sentences, stems_of


Kind = Literal["obtain", "confirm", "deny", "conduct", "transfer", "allow", "inform"]

OBTAIN: Final = re.compile(
    r"\b(?:obtain|ask (?:for|the user for)|collect|must provide|needs? to provide|"
    r"must ask (?:for)?|erfragen|einholen|demander|obtenir|pedir|obtener|solicitar)\b"
    r"(?P<items>.*)$",
    re.IGNORECASE,
)
OBTAIN_LAST: Final = re.compile(
    r"\b(?:muss|soll) (?P<items>.+?) (?:erfragen|einholen)\b", re.IGNORECASE
)
CONFIRM: Final = re.compile(
    r"\b(?:explicit|obtain|ask for|get|require)\b.{0,40}\bconfirmation\b|"
    r"\bconfirm\b.{0,40}\bbefore\b|\bbefore\b.{0,120}\bconfirm|\bbestätig|"
    r"\bconfirmation\b.{0,30}\bavant\b|\bconfirmación\b"
)
DENY: Final = re.compile(
    r"\b(?:cannot|can't|can not|may not|must not|not (?:allowed|possible|permitted|"
    r"refundable)|but not|never|darf nicht|dürfen nicht|nicht (?:möglich|erlaubt)|"
    r"kann nicht|können nicht|ne (?:peut|peuvent|doit|doivent) pas|interdit|"
    r"no (?:puede|pueden|se puede|está permitido))\b"
)
CONDUCT: Final = re.compile(
    r"^(?:do not|don't|always|never|you should|you must|the agent should not|"
    r"the api)\b|\bagent (?:should not|must not)\b"
)
TRANSFER: Final = re.compile(r"\btransfer\w*\b|\bweiterleit\w*|\btransf[ée]r\w*")
ALLOW: Final = re.compile(
    r"\b(?:can|may|is allowed|are allowed|possible if|kann|können|peut|peuvent|puede|"
    r"pueden)\b"
)
ANY_OF: Final = re.compile(r"\b(?:any|one|either|at least one) of\b|\bif any\b")
SPOKEN: Final = re.compile(r"['\"“](?P<text>[^'\"”\n]{12,})['\"”]")
HEADING: Final = re.compile(r"^(#+)\s*(.+?)\s*#*$")
BULLET: Final = re.compile(r"^(\s*)(?:[-*•]|\d+[.)])\s+(.+)$")
NOISE: Final = re.compile(
    r"\b(?:then|also|from the (?:user|customer)|for each \w+|the|their|a|an|"
    r"your|user's|must|should|agent|each|to|die|den|das|der)\b",
    re.IGNORECASE,
)
SEPARATOR: Final = re.compile(r",|;|\band\b|\bund\b|\bet\b|\by\b")
NEGATIVE: Final = re.compile(
    r"\b(?:cannot|can't|can not|but not|must not|may not|never|not|nicht|"
    r"ne (?:peut|peuvent|doit|doivent) pas|no (?:se )?pueden?)\b(?: be)?"
)
LIMIT: Final = re.compile(r";|\b(?:unless|except|after|before|since|without)\b")
MAX_ITEM: Final = 4


class Parameter(msgspec.Struct, frozen=True):
    """An argument that a tool takes."""

    name: str
    required: bool = True
    description: str = ""


class Tool(msgspec.Struct, frozen=True):
    """A tool that the connection declares; `changes` None judges by its name."""

    name: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    changes: bool | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent under test goes by: a text, its language, its tools."""

    text: str
    language: str = "en"
    tools: tuple[Tool, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """A sentence of a policy; `section` counts its second-level headings from 0.

    `lead` is the sentence that introduces its list, `items` what it wants obtained,
    `barred` the stems that must come together for a denial.
    """

    number: int
    text: str
    heading: str
    section: int
    kind: Kind
    said: Sentence
    lead: str = ""
    items: tuple[str, ...] = ()
    barred: frozenset[str] = frozenset()
    any_of: bool = False


class Section(msgspec.Struct, frozen=True):
    """A second-level part of a policy with the stems of its title and of its rules."""

    number: int
    title: str
    topics: frozenset[str]
    rules: tuple[Rule, ...]


class Book(msgspec.Struct, frozen=True):
    """A policy as the rules read it."""

    language: str
    rules: tuple[Rule, ...]
    sections: tuple[Section, ...]
    index: Index
    confirm: Rule | None
    transfer: Rule | None
    farewell: str | None


class Line(msgspec.Struct, frozen=True):
    """A line of a policy with its headings and the sentence that leads its list."""

    text: str
    heading: str
    section: int
    lead: str


@remembered(characters=POLICIES)
def book_of(text: str, tag: str) -> Book:
    """Return a policy text as rules, read once."""
    language = base(tag)
    rules: list[Rule] = []
    titles: dict[int, str] = {0: ""}
    for line in lines_of(text):
        titles.setdefault(line.section, line.heading.partition(" / ")[0])
        for said in sentences(plain(line.text), language):
            rules.append(rule_of(len(rules) + 1, said, line, language))
    sections = tuple(
        Section(
            number=number,
            title=title,
            topics=frozenset(stems_of(title, language)),
            rules=tuple(rule for rule in rules if rule.section == number),
        )
        for number, title in titles.items()
    )
    transfer = next((rule for rule in rules if TRANSFER.search(rule.said.folded)), None)
    words = [
        found["text"]
        for rule in rules
        if rule.kind == "transfer"
        for found in SPOKEN.finditer(rule.text)
    ]
    return Book(
        language=language,
        rules=tuple(rules),
        sections=sections,
        index=index([topics_of(rule, language) for rule in rules]),
        confirm=next((rule for rule in rules if rule.kind == "confirm"), None),
        transfer=transfer,
        farewell=words[0] if words else None,
    )


def topics_of(rule: Rule, language: str) -> tuple[str, ...]:
    """Return the stems that a rule is found by: its headings', its lead's, its own."""
    return (
        *stems_of(rule.heading, language),
        *stems_of(rule.lead, language),
        *stems_of(rule.text, language),
    )


def lines_of(text: str) -> list[Line]:
    """Return a policy's lines below their headings and leads."""
    found: list[Line] = []
    headings: list[tuple[int, str]] = []
    leads: list[tuple[int, str]] = []
    section = 0
    for raw in text.splitlines():
        if not raw.strip():
            continue
        if heading := HEADING.match(raw.strip()):
            depth = len(heading[1])
            headings = [one for one in headings if one[0] < depth]
            headings.append((depth, plain(heading[2])))
            section += depth == 2  # noqa: PLR2004 - the level that holds procedures
            leads = []
            continue
        bullet = BULLET.match(raw)
        depth = len(bullet[1]) if bullet else -1
        body = bullet[2] if bullet else raw.strip()
        leads = [one for one in leads if one[0] < depth]
        parts = [title for level, title in headings if level > 1]
        lead = " ".join(text for _, text in leads)
        found.append(Line(body, " / ".join(parts), section, lead))
        if body.rstrip().endswith(":"):
            leads.append((depth, plain(body).rstrip(": ")))
    return found


def rule_of(number: int, said: Sentence, line: Line, language: str) -> Rule:
    """Return a sentence as a rule."""
    kind = kind_of(said.folded, fold(line.lead))
    obtained = None
    if kind == "obtain":
        obtained = OBTAIN_LAST.search(said.text) or OBTAIN.search(said.text)
    return Rule(
        number=number,
        text=said.text,
        heading=line.heading,
        section=line.section,
        kind=kind,
        said=said,
        lead=line.lead,
        items=items_of(obtained["items"], language) if obtained else (),
        barred=barred_by(said, language) if kind == "deny" else frozenset(),
        any_of=bool(ANY_OF.search(fold(line.lead))),
    )


def kind_of(  # noqa: PLR0911 - one return for each rule
    folded: str, lead: str
) -> Kind:
    """Return what a sentence makes the agent do, by the first cue that is found."""
    if CONFIRM.search(folded):
        return "confirm"
    if TRANSFER.search(folded) and not DENY.search(folded.partition("transfer")[2]):
        return "transfer"
    if CONDUCT.search(folded):
        return "conduct"
    if DENY.search(folded):
        return "deny"
    if OBTAIN.search(folded):
        return "obtain"
    if ALLOW.search(folded) or ANY_OF.search(lead):
        return "allow"
    return "inform"


def items_of(text: str, language: str) -> tuple[str, ...]:
    """Return the things that a sentence wants obtained, as short phrases."""
    text = re.sub(r"\(.*?\)", "", text).rstrip(".: ")
    found: list[str] = []
    for part in SEPARATOR.split(text):
        item = " ".join(NOISE.sub(" ", part).split()).strip(" .:'\"")
        if item and len(item.split()) <= MAX_ITEM and stems_of(item, language):
            found.append(item)
    return tuple(dict.fromkeys(found))


def barred_by(said: Sentence, language: str) -> frozenset[str]:
    """Return the stems that a request must all have to be denied by a sentence.

    They are the words of the negated clause with its condition, without limits of
    time or exceptions; before `but not` stands what is allowed, which does not count.
    """
    found = NEGATIVE.search(said.folded)
    if found is None:
        return frozenset()
    before = said.folded[: found.start()].rpartition(";")[2]
    after = LIMIT.split(said.folded[found.end() :])[0]
    if found[0].startswith("but not") or re.search(r"\b(?:but|and)\s*$", before):
        before = ""
    words = stems_of(f"{before} {after}", language)
    generic = frozenset(stems_of("user agent customer possible allowed even", language))
    return frozenset(words) - generic
