"""An agent under test that goes by a policy text alone, and says which rule it used.

The first rule that fits makes the move: greet; report what a tool did; say goodbye;
act on a yes or a no to its own question; then, for the part of the policy that the
request is about, deny with the rule quoted, ask for what must be obtained, look up
with a tool, deny where none of a list of conditions is shown, list the details and ask
for a yes; else answer with the nearest sentence of the policy, or say that it does not
know. It says one thing or calls one tool, never both, and claims nothing as done that
a tool has not done. `references` are the numbers of the policy's rules it rests on.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from services.engines.dialogue.draw import Draw
from services.engines.dialogue.lexicon import LANGUAGES, Language
from services.engines.dialogue.policy import Book, Policy, Rule, Section, Tool, book_of
from services.engines.dialogue.ranking import index, ranked
from services.engines.dialogue.remembering import TEXTS, remembered
from services.engines.dialogue.text import (
    CODE,
    WORD,
    Sentence,
    fold,
    sentences,
    share,
    stems_of,
    unquoted,
)
from services.engines.dialogue.turns import ENGINE, Turn, interactions
from services.engines.dialogue.wording import AGENT


BARRED_SHARE: Final = 0.75
ANSWER_SHARE: Final = 0.25
ANSWER_STEMS: Final = 2
NAMED_SHARE: Final = 0.5
SHOWN_SHARE: Final = 0.75
MAX_ASKED: Final = 2
MAX_DEPTH: Final = 12
MAX_QUOTED: Final = 240
GENERIC: Final = frozenset({"id", "number", "code", "refer", "detail", "inform"})
READS: Final = ("get", "search", "list", "find", "look", "read", "check", "fetch")
OTHERS: Final = ("transfer", "think", "calculate")
FAILED: Final = re.compile(r"^\s*(?:\{\s*\"error\"|error\b|failed\b)", re.IGNORECASE)
FALSE: Final = frozenset({"no", "false", "none", "null", "0", "[]", "{}", ""})
CODED: Final = re.compile(r"(?:nummer|kennung|numéro|número|code|código)$")
HINTS: Final = {
    "origin": re.compile(r"\b(?:from|von|depuis|desde) (\w+)", re.IGNORECASE),
    "destination": re.compile(
        r"\bfrom \w+ to (\w+)|\b(?:to|nach|vers) ([A-Z]\w+)",
    ),
    "trip type": re.compile(r"\b(one[- ]way|round[- ]?trip)\b", re.IGNORECASE),
    "first name": re.compile(r"\b(?:I am|I'm|[Nn]ame is) ([A-Z]\w+) [A-Z]"),
    "last name": re.compile(r"\b(?:I am|I'm|[Nn]ame is) [A-Z]\w+ ([A-Z]\w+)"),
    "date of birth": re.compile(r"\b(\d{4}-\d\d-\d\d)\b"),
}


class ToolRequest(msgspec.Struct, frozen=True):
    """A tool that the agent wants called; `arguments` is a JSON object."""

    name: str
    arguments: str


class AgentMove(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent says or calls, by which rule, from which rules of its policy."""

    rule: str
    text: str | None = None
    tool_calls: tuple[ToolRequest, ...] = ()
    transfer: bool = False
    end: bool = False
    references: tuple[int, ...] = ()
    engine: str = ENGINE


class Scene(msgspec.Struct, frozen=True):
    """A conversation as the agent reads it.

    `asked` holds what the agent said before each message of the user, `evidence` the
    sentences that the user said and those that tools' answers come to.
    """

    policy: Policy
    book: Book
    words: Language
    draw: Draw
    transcript: tuple[Turn, ...]
    user: tuple[str, ...]
    agent: tuple[str, ...]
    asked: tuple[str, ...]
    evidence: tuple[Sentence, ...]
    section: Section | None

    @property
    def language(self) -> str:
        """Return the policy's language."""
        return self.book.language

    @property
    def last(self) -> str:
        """Return the user's last message, folded."""
        return fold(self.user[-1]) if self.user else ""


def reply(  # noqa: PLR0911 - one return for each rule
    policy: Policy, transcript: Sequence[Turn], seed: Draw
) -> AgentMove:
    """Return the agent's next message or tool call."""
    scene = scene_of(policy, tuple(transcript), seed)
    if not scene.user:
        return spoken(scene, "greet", "greet")
    if (move := after_tool(scene)) is not None:
        return move
    if parting(scene):
        return spoken(scene, "farewell", "farewell", end=True)
    if (move := after_question(scene)) is not None:
        return move
    if scene.words.human.search(scene.last) and denials(scene):
        return transferred(scene, ())
    if scene.section is not None:
        return handled(scene, scene.section)
    return answered(scene)


def scene_of(policy: Policy, transcript: tuple[Turn, ...], seed: Draw) -> Scene:
    """Return a conversation as the agent reads it."""
    book = book_of(policy.text, policy.language)
    user: list[str] = []
    agent: list[str] = []
    asked: list[str] = []
    evidence: list[Sentence] = []
    for turn in transcript:
        if turn.role == "user":
            asked.append(agent[-1] if len(agent) > len(asked) - 1 and agent else "")
            user.append(turn.text)
            evidence.extend(sentences(unquoted(turn.text), book.language))
        elif turn.role == "assistant" and turn.text.strip():
            agent.append(turn.text)
        elif turn.returned is not None:
            evidence.extend(shown(turn.returned.content, book.language))
    return Scene(
        policy=policy,
        book=book,
        words=LANGUAGES[book.language],
        draw=seed.at(interactions(transcript)),
        transcript=transcript,
        user=tuple(user),
        agent=tuple(agent),
        asked=tuple(asked),
        evidence=tuple(evidence),
        section=section_of(book, requests_of(user, asked, book.language))
        or section_of(book, user),
    )


def requests_of(user: Sequence[str], asked: Sequence[str], language: str) -> list[str]:
    """Return the user's messages that do not answer a question of the agent."""
    more = LANGUAGES[language].more
    return [
        text
        for text, question in zip(user, asked, strict=True)
        if "?" not in question or more.search(fold(question))
    ]


@remembered(characters=TEXTS)
def shown(content: str, language: str) -> tuple[Sentence, ...]:
    """Return what a tool's answer shows, one sentence for each leaf of its JSON."""
    if FAILED.match(content):
        return ()
    try:
        value: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return sentences(content, language)
    return tuple(
        said
        for text in leaves(value, "", MAX_DEPTH)
        for said in sentences(text, language)
    )


def leaves(value: object, name: str, depth: int) -> Iterator[str]:
    """Yield a statement for each leaf, negated where it is false or empty.

    What lies deeper than so many levels is left out.
    """
    if not depth:
        return
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, str(key).replace("_", " "), depth - 1)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from leaves(inner, name, depth - 1)
    else:
        text = str(value).replace("_", " ") if isinstance(value, str) else str(value)
        yield f"no {name}" if text.casefold() in FALSE else f"{name} {text}"


def section_of(book: Book, requests: Sequence[str]) -> Section | None:
    """Return the part of the policy that the user's latest request is about.

    An answer to a question changes it only where there was no request yet.
    """
    procedures = [section for section in book.sections if regulated(section)]
    titles = index([sorted(section.topics) for section in procedures])
    for text in reversed(requests):
        wanted = [
            stem
            for said in sentences(unquoted(text), book.language)
            for place, stem in enumerate(said.stems)
            if place not in said.negated
            and sum(stem in section.topics for section in procedures) == 1
        ]
        if found := ranked(titles, wanted):
            return procedures[found[0][1]]
    return None


def regulated(section: Section) -> bool:
    """Return whether a part of a policy tells what to do, below a title."""
    kinds = {rule.kind for rule in section.rules}
    return bool(section.topics) and not kinds.isdisjoint({"obtain", "allow", "deny"})


def after_tool(scene: Scene) -> AgentMove | None:
    """Return what follows a tool's answer, None where more is to be done."""
    last = scene.transcript[-1]
    if last.returned is None:
        return None
    name = last.returned.name
    if name.startswith("transfer"):
        return handed_over(scene)
    tool = next((one for one in scene.policy.tools if one.name == name), None)
    if tool is None or not changing(tool):
        return None
    if FAILED.match(last.returned.content):
        said = quoted(last.returned.content)
        return spoken(scene, "tool_failed", "failed", said)
    return spoken(scene, "tool_done", "done", name.replace("_", " "))


def parting(scene: Scene) -> bool:
    """Return whether the user's last message says goodbye and asks nothing."""
    asks = "?" in scene.last
    new = section_of(scene.book, scene.user[-1:])
    return bool(scene.words.thanks.search(scene.last)) and not asks and new is None


def after_question(scene: Scene) -> AgentMove | None:
    """Return what follows a yes or a no to the agent's request for confirmation."""
    before = fold(scene.asked[-1]) if scene.asked else ""
    if not scene.words.confirms.search(before) or scene.section is None:
        return None
    first = frozenset(WORD.findall(scene.last)[:3])
    if first & scene.words.no:
        return spoken(scene, "stopped", "stopped")
    if not first & scene.words.yes:
        return None
    references = numbers(scene.book.confirm)
    tool = tool_for(scene, scene.section)
    if tool is None:
        return without_tool(scene, references)
    return called(scene, "act", tool, references)


def without_tool(scene: Scene, references: tuple[int, ...]) -> AgentMove:
    """Return what an agent does that has no tool for what was agreed."""
    if scene.book.transfer is not None:
        return transferred(scene, references)
    return spoken(scene, "no_tool", "no_tool", references=references)


def handled(  # noqa: C901, PLR0911 - one return for each rule
    scene: Scene, section: Section
) -> AgentMove:
    """Return the next step of the procedure that a request is about."""
    if (barred := first_barred(scene)) is not None:
        return denied(scene, [barred])
    if not any(rule.kind == "obtain" for rule in section.rules):
        return answered(scene)
    missing = missing_items(scene, section)
    if missing:
        return asked_for(scene, missing)
    if (lookup := lookup_for(scene)) is not None:
        return called(scene, "look_up", lookup, ())
    for rule in section.rules:
        if rule.kind == "transfer" and applies(scene, rule):
            return transferred(scene, (rule.number,))
    if options := [rule for rule in section.rules if rule.any_of]:
        held = [rule for rule in options if evidenced(scene, rule)]
        if not held:
            return denied(scene, options)
    else:
        held = []
    if already_done(scene):
        return answered(scene)
    if not set(AGENT[scene.language]["no_tool"]).isdisjoint(scene.agent):
        return without_tool(scene, ())
    return confirmed(scene, section, held)


def first_barred(scene: Scene) -> Rule | None:
    """Return the first rule that denies what the user asks for, if any does."""
    wishes = frozenset().union(*(affirmed(said) for said in scene.evidence))
    for rule in scene.book.rules:
        near = rule.section == 0 or (
            scene.section and rule.section == scene.section.number
        )
        if (
            rule.kind == "deny"
            and near
            and len(rule.barred) > 1
            and share(rule.barred, wishes) >= BARRED_SHARE
            and pivotal(rule, scene)
        ):
            return rule
    return None


def pivotal(rule: Rule, scene: Scene) -> bool:
    """Return whether one sentence of the user has most of what a rule bars."""
    return any(
        share(rule.barred, affirmed(said)) >= NAMED_SHARE for said in scene.evidence
    )


def affirmed(said: Sentence) -> frozenset[str]:
    """Return the stems that a sentence does not negate."""
    return said.content - {
        said.stems[place] for place in said.negated if said.stems[place] in said.content
    }


def missing_items(scene: Scene, section: Section) -> list[tuple[str, Rule]]:
    """Return what a procedure wants obtained and the user has not given."""
    found: dict[str, Rule] = {}
    for rule in section.rules:
        conditional = rule.said.folded.startswith("if ")
        if rule.kind == "obtain" and not conditional:
            for item in rule.items:
                found.setdefault(item, rule)
    return [
        (item, rule) for item, rule in found.items() if value_of(item, scene) is None
    ]


def asked_for(scene: Scene, missing: list[tuple[str, Rule]]) -> AgentMove:
    """Return the question for what is missing, or that nothing goes without it."""
    first = missing[0][1]
    wanted = [item for item, rule in missing if rule.number == first.number]
    times = sum(fold(wanted[0]) in fold(text) for text in scene.agent)
    if times >= MAX_ASKED:
        without = ", ".join(wanted)
        return spoken(
            scene,
            "not_obtained",
            "not_obtained",
            without,
            quoted(first.text),
            references=(first.number,),
        )
    items = listed(wanted, scene.language)
    return spoken(scene, "obtain", "ask", items, references=(first.number,))


def value_of(item: str, scene: Scene) -> str | None:
    """Return what the user gave for an item, None where it did not.

    An id is the first value after the item's words, or the only new value in the answer
    to a question for it. Anything else is the sentence that names it, or the answer.
    """
    stems = frozenset(stems_of(item, scene.language))
    head = stems - GENERIC
    coded = head != stems or CODED.search(fold(item)) is not None
    for question, text in zip(scene.asked, scene.user, strict=True):
        for said in sentences(text, scene.language):
            found = named_value(said, head or stems, coded=coded)
            if found is not None:
                return found
        if fold(item) in HINTS:
            if hinted := HINTS[fold(item)].search(text):
                return next(group for group in hinted.groups() if group)
            continue
        sole = asked_in(question, scene) == [item]
        if sole and (given := given_in(text, scene, coded=coded)):
            return given
        if "reason" in head and scene.words.reasons.intersection(
            WORD.findall(fold(text))
        ):
            return text
    return None


def asked_in(question: str, scene: Scene) -> list[str]:
    """Return the items of the procedure that a question of the agent asks for."""
    if "?" not in question or scene.section is None:
        return []
    folded = fold(unquoted(question))
    items = dict.fromkeys(item for rule in scene.section.rules for item in rule.items)
    return [item for item in items if fold(item) in folded]


def named_value(said: Sentence, head: frozenset[str], *, coded: bool) -> str | None:
    """Return the value that a sentence gives to an item that it names."""
    places = [place for place, stem in enumerate(said.stems) if stem in head]
    if not places or not head <= frozenset(said.stems) or said.question:
        return None
    if places[-1] in said.negated:
        return None
    if not coded:
        return said.text
    later = [word for word in said.words[places[-1] + 1 :] if CODE.search(word)]
    return spelled(later[0], said.text) if later else None


def given_in(text: str, scene: Scene, *, coded: bool) -> str | None:
    """Return the answer to a question, None where it is none."""
    folded = fold(text)
    if "?" in folded or scene.words.missing.search(folded):
        return None
    if not coded:
        return text
    found = [word for word in WORD.findall(folded) if CODE.search(word)]
    return spelled(found[0], text) if len(found) == 1 else None


def spelled(word: str, text: str) -> str:
    """Return a folded word as a text spells it."""
    place = text.casefold().find(word)
    return text[place : place + len(word)] if place >= 0 else word


def applies(scene: Scene, rule: Rule) -> bool:
    """Return whether the condition that a rule begins with is shown."""
    condition = re.match(r"if (.+?),", rule.said.folded)
    if condition is None:
        return False
    wanted = stems_of(condition[1], scene.language)
    return any(share(wanted, affirmed(said)) >= SHOWN_SHARE for said in scene.evidence)


def evidenced(scene: Scene, rule: Rule) -> bool:
    """Return whether the user or a tool said that a condition holds."""
    wanted = stems_of(rule.text, scene.language)
    return any(
        share(wanted, affirmed(said)) >= SHOWN_SHARE
        for said in scene.evidence
        if not said.question
    )


def denied(scene: Scene, rules: Sequence[Rule]) -> AgentMove:
    """Return a denial with its rules quoted."""
    lead = f"{rules[0].lead}: " if rules[0].any_of else ""
    quote = quoted(lead + "; ".join(rule.text.rstrip(".") for rule in rules))
    again = "deny_again" if quote in " ".join(scene.agent) else "deny"
    return spoken(
        scene, "deny", again, quote, references=tuple(rule.number for rule in rules)
    )


def confirmed(scene: Scene, section: Section, held: Sequence[Rule]) -> AgentMove:
    """Return the details of what is asked for, and the request for a yes."""
    details = [section.title]
    for rule in section.rules:
        for item in rule.items:
            if (value := value_of(item, scene)) is not None and value not in details:
                details.append(f"{item}: {value.rstrip('. ')}")
    references = (*numbers(scene.book.confirm), *(rule.number for rule in held))
    text = "; ".join(dict.fromkeys(details))
    return spoken(scene, "confirm", "confirm", text, references=references)


def answered(scene: Scene) -> AgentMove:
    """Return the nearest sentence of the policy, or that the agent does not know."""
    wanted = tuple(
        dict.fromkeys(
            stem
            for said in sentences(unquoted(scene.user[-1]), scene.language)
            for stem in said.stems
            if stem in said.content
        )
    )
    for _, place in ranked(scene.book.index, wanted)[:3]:
        rule = scene.book.rules[place]
        known = rule.said.content | frozenset(stems_of(rule.heading, scene.language))
        telling = rule.kind in ("inform", "allow", "deny") and not rule.text.endswith(
            ":"
        )
        shared = len(known.intersection(wanted)) >= min(ANSWER_STEMS, len(wanted))
        if telling and shared and share(wanted, known) >= ANSWER_SHARE:
            lead = f"{rule.lead}: " if rule.lead else ""
            quote = quoted(lead + rule.text)
            return spoken(scene, "inform", "inform", quote, references=(rule.number,))
    return spoken(scene, "unknown", "unknown")


def transferred(scene: Scene, references: tuple[int, ...]) -> AgentMove:
    """Return the hand-over to a human, by the tool for it where there is one."""
    rules = (*references, *numbers(scene.book.transfer))
    if scene.book.transfer is None:
        return spoken(scene, "no_transfer", "no_transfer", references=references)
    tool = next(
        (one for one in scene.policy.tools if one.name.startswith("transfer")), None
    )
    if tool is not None:
        return called(scene, "transfer", tool, rules)
    return handed_over(scene, rules)


def handed_over(scene: Scene, references: tuple[int, ...] = ()) -> AgentMove:
    """Return the words of a transfer, the policy's own where it has some."""
    rules = tuple(dict.fromkeys((*references, *numbers(scene.book.transfer))))
    own = AGENT[scene.language]["transfer"][0]
    return AgentMove(
        rule="transfer",
        text=scene.book.farewell or own,
        transfer=True,
        end=True,
        references=rules,
    )


def lookup_for(scene: Scene) -> Tool | None:
    """Return the first tool that reads what an item names and was not called yet."""
    called_before = {turn.called.name for turn in scene.transcript if turn.called}
    for tool in scene.policy.tools:
        if (
            tool.name not in called_before
            and reading(tool)
            and tool.parameters
            and arguments_for(scene, tool) is not None
        ):
            return tool
    return None


def tool_for(scene: Scene, section: Section) -> Tool | None:
    """Return the tool whose name says what a part of the policy is about."""
    fitting = [
        (share(section.topics, frozenset(name_stems(tool, scene.language))), tool)
        for tool in scene.policy.tools
        if changing(tool) and arguments_for(scene, tool) is not None
    ]
    best = max(fitting, key=lambda pair: pair[0], default=None)
    return best[1] if best is not None and best[0] >= NAMED_SHARE else None


def name_stems(tool: Tool, language: str) -> tuple[str, ...]:
    """Return the stems of a tool's name."""
    return stems_of(tool.name.replace("_", " "), language)


def reading(tool: Tool) -> bool:
    """Return whether a tool only looks something up."""
    return tool.name.startswith(READS) if tool.changes is None else not tool.changes


def changing(tool: Tool) -> bool:
    """Return whether a tool changes something."""
    return not reading(tool) and not tool.name.startswith(OTHERS)


def arguments_for(scene: Scene, tool: Tool) -> str | None:
    """Return a tool's arguments as JSON, None where a required one is not known."""
    given: dict[str, str] = {}
    for parameter in tool.parameters:
        value = value_of(parameter.name.replace("_", " "), scene)
        if value is not None:
            given[parameter.name] = value
        elif parameter.required and tool.name.startswith("transfer"):
            given[parameter.name] = scene.user[-1]
        elif parameter.required:
            return None
    return msgspec.json.encode(given).decode()


def called(
    scene: Scene, rule: str, tool: Tool, references: tuple[int, ...]
) -> AgentMove:
    """Return a move that calls a tool and says nothing."""
    arguments = arguments_for(scene, tool) or "{}"
    call = ToolRequest(tool.name, arguments)
    return AgentMove(rule=rule, tool_calls=(call,), references=references)


def denials(scene: Scene) -> int:
    """Return how often the agent refused so far."""
    return sum(
        bool(scene.words.denies.search(said.folded))
        for text in scene.agent
        for said in sentences(unquoted(text), scene.language)
    )


def already_done(scene: Scene) -> bool:
    """Return whether a tool that changes something has done so in this conversation."""
    names = {tool.name for tool in scene.policy.tools if changing(tool)}
    return any(
        turn.returned is not None
        and turn.returned.name in names
        and not FAILED.match(turn.returned.content)
        for turn in scene.transcript
    )


def spoken(
    scene: Scene,
    rule: str,
    template: str,
    *fills: str,
    references: tuple[int, ...] = (),
    end: bool = False,
) -> AgentMove:
    """Return a move that says one of a template's wordings."""
    text = scene.draw.choose(template, AGENT[scene.language][template])
    for place, fill in enumerate(fills):
        text = text.replace(f"{{{place}}}", fill)
    return AgentMove(rule=rule, text=text, references=references, end=end)


def quoted(text: str) -> str:
    """Return a text fit to stand between quotation marks."""
    text = " ".join(text.replace('"', "'").split()).rstrip(".")
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED].rstrip()}…"


def listed(items: Sequence[str], language: str) -> str:
    """Return phrases as a list in words."""
    if len(items) == 1:
        return items[0]
    last = AGENT[language]["and"][0]
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def numbers(rule: Rule | None) -> tuple[int, ...]:
    """Return a rule's number, nothing for none."""
    return () if rule is None else (rule.number,)
