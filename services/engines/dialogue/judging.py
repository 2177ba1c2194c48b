"""Natural-language assertions, judged where rules can tell and left open elsewhere.

An assertion is read as who did or did not do what: say, refuse, offer, ask, transfer,
or an act with a tool. What it says beyond a reason (`since ...`, in brackets) has to be
found, or nothing is said. Evidence is what the agent said outside quotation marks, not
what it repeated of the user, not lists of bare keywords; and the calls of its tools.
Values (numbers, codes, dates) are compared exactly, so that their absence counts.
Words are not, so that their absence says nothing. A claim is no act: where tools are
seen only their calls count, and where none is seen a claim cannot confirm an act.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

import msgspec

from services.engines.dialogue.agent import FAILED
from services.engines.dialogue.cue import NOT_YET, refusal
from services.engines.dialogue.lexicon import ENGLISH
from services.engines.dialogue.policy import SEPARATOR
from services.engines.dialogue.remembering import TEXTS, remembered
from services.engines.dialogue.text import (
    CODE,
    Sentence,
    copied,
    fold,
    foreign,
    sentence,
    sentences,
    share,
    stem,
    stems_of,
    stuffed,
    unquoted,
    values_of,
)
from services.engines.dialogue.turns import ENGINE, Turn


Deed = Literal["say", "refuse", "offer", "ask", "transfer", "notice", "act", "unread"]

LANGUAGE: Final = "en"
RELATED: Final = 0.34

SUBJECT: Final = re.compile(
    r"^(?:the |service )*(?P<who>agent|assistant|user|customer)\b[,:]?\s*(?P<rest>.*)$"
)
PASSIVE: Final = re.compile(
    r"^(?P<what>.+?) (?:is|are|was|were|has been|have been|gets?)"
    r"(?P<not> not| never)? (?P<verb>\w+(?:ed|en|t))\b(?P<rest>.*)$"
)
FRAME: Final = re.compile(r"^(?:please )?(?:check|verify|ensure|make sure) that ")
MODAL: Final = re.compile(
    r"^(?:should|must|will|shall|can|could|does|did|do|has|have|had|is|to|be|also|then|"
    r"actually|correctly|clearly|explicitly|properly|politely|successfully|indeed)\b\s*"
)
NEGATION: Final = re.compile(
    r"^(?:not|never|cannot|can't|doesn't|don't|didn't|shouldn't|mustn't|won't|"
    r"(?:refrains?|abstains?) from|avoids?)\b\s*"
)
REASON: Final = re.compile(
    r"\s*\([^)]*\)|\s+(?:since|because|due to|given that|so that|as (?:it|the|he|she|"
    r"they|this|that|per))\b.*$"
)
BEYOND: Final = re.compile(r"\b(?:other|others|only|except|instead|rather than)\b")
UNTIL: Final = re.compile(r"\s+(?:unless|before|until)\b.*$")
THAT: Final = re.compile(
    r"^(?:to )?(?:the )?(?:user|customer)?\s*(?:that|about|of|to)?\s+"
)
OFFERING: Final = re.compile(
    r"\b(?:(?:i|we)(?: can| could| will| would like to|'ll| am able to| have)? "
    r"(?:\w+ )?"
    r"(?:offer|offering|give|issue|issued|provide|send|sent|arrange)|"
    r"you(?:'ll| will| are| can) (?:be )?(?:receive|get|entitled|eligible|given)|"
    r"would you like|here is)\b"
)
CHANGES: Final = re.compile(
    r"^(?!get_|search_|list_|find_|look|read_|check_|fetch_|think|calculate|transfer)"
)

VERBS: Final[tuple[tuple[Deed, str], ...]] = (
    ("say", "communicate mention inform tell state say explain report notify clarify"),
    ("say", "confirm list quote"),
    ("refuse", "refuse deny decline reject"),
    ("offer", "offer propose promise suggest"),
    ("ask", "ask request"),
    ("transfer", "transfer escalate"),
    ("notice", "identify detect realise realize recognise recognize know understand"),
    ("notice", "verify check determine notice"),
    ("act", "cancel book change add remove refund charge issue assign use make search"),
    ("act", "get return exchange send pay process create delete close open place"),
)
PERMITS: Final = "approve allow permit accept agree grant proceed"
LOOSE: Final = "use assign charge make pay process place refund"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say of an assertion; `value` None where they cannot tell.

    `references` are the `seq` of the entries that it rests on.
    """

    value: bool | None
    justification: str
    references: tuple[int, ...] = ()
    rule: str
    engine: str = ENGINE

    @property
    def outcome(self) -> Literal["passed", "failed", "inconclusive"]:
        """Return the outcome of a criterion that asks for the assertion to hold."""
        if self.value is None:
            return "inconclusive"
        return "passed" if self.value else "failed"


class Claim(msgspec.Struct, frozen=True):
    """An assertion as the rules read it; `limited` has an `unless` or a `before`."""

    deed: Deed
    by_user: bool
    negative: bool
    verb: str
    what: str
    values: frozenset[str]
    stems: frozenset[str]
    limited: bool = False
    qualified: bool = False


class Spoken(msgspec.Struct, frozen=True):
    """A sentence, where it stands, and whether it may count as evidence."""

    seq: int
    said: Sentence
    counts: bool


class Call(msgspec.Struct, frozen=True):
    """A tool call that did not fail, with the values and stems of its arguments."""

    seq: int
    name: str
    values: frozenset[str]
    stems: frozenset[str]


class Record(msgspec.Struct, frozen=True):
    """A conversation as evidence."""

    agent: tuple[Spoken, ...]
    user: tuple[Spoken, ...]
    calls: tuple[Call, ...]
    tools_seen: bool
    foreign: bool


def judge(assertion: str, transcript: Sequence[Turn]) -> Judgement:
    """Return whether an assertion in English holds, as far as rules can tell."""
    if foreign(assertion, LANGUAGE):
        return unclear("language", "The assertion is not in English.")
    claims = claims_of(assertion)
    record = record_of(tuple(transcript))
    found = [whole(claim, judged(claim, record)) for claim in claims]
    return combined(found) if found else unclear("unread", "It names no deed.")


def communicates(info: str, transcript: Sequence[Turn]) -> Judgement:
    """Return whether the agent told the user an information.

    An information with a value is absent where the value is; one of words alone may
    have been put in other words, and its absence says nothing.
    """
    record = record_of(tuple(transcript))
    claim = Claim(
        deed="say",
        by_user=False,
        negative=False,
        verb="communicate",
        what=info,
        values=values_of(info),
        stems=frozenset(stems_of(info, LANGUAGE)),
    )
    return said_by(claim, record.agent, record)


def whole(claim: Claim, found: Judgement) -> Judgement:
    """Return a finding, open where it would pass a claim that says more."""
    if found.value and claim.qualified:
        return unclear(found.rule, "Only a part can be checked.", found.references)
    return found


def combined(found: Sequence[Judgement]) -> Judgement:
    """Return the judgement of all parts: failed where one is, open where one is."""
    if len(found) == 1:
        return found[0]
    values = [one.value for one in found]
    value = False if False in values else None if None in values else True
    telling = [one for one in found if one.value == value]
    return Judgement(
        value=value,
        justification=" ".join(one.justification for one in telling),
        references=tuple(sorted({seq for one in telling for seq in one.references})),
        rule="+".join(dict.fromkeys(one.rule for one in found)),
    )


@remembered(characters=TEXTS)
def claims_of(assertion: str) -> tuple[Claim, ...]:
    """Return what an assertion claims, one claim for each sentence with a deed."""
    parts = [fold(one.text).strip(" .") for one in sentences(assertion, LANGUAGE)]
    read = [claim for part in parts if (claim := claim_of(part)) is not None]
    if not read:
        return ()
    unread = len(parts) > len(read) and not read[0].negative
    return tuple(
        msgspec.structs.replace(one, qualified=one.qualified or unread) for one in read
    )


def claim_of(part: str) -> Claim | None:
    """Return what a folded sentence claims, None where it names no deed."""
    text = REASON.sub("", FRAME.sub("", part)).strip(" ,")
    limited = bool(UNTIL.search(text))
    text = UNTIL.sub("", text)
    if subject := SUBJECT.match(text):
        negative, rest = polarity(subject["rest"])
        verb, _, what = rest.partition(" ")
        return claimed(
            verb,
            what,
            by_user=subject["who"] in ("user", "customer"),
            negative=negative,
            limited=limited,
        )
    if passive := PASSIVE.match(text):
        what = f"{passive['what']}{passive['rest'].replace(' by agent', '')}"
        return claimed(
            passive["verb"],
            what,
            by_user=False,
            negative=bool(passive["not"]),
            limited=limited,
        )
    return None


def polarity(rest: str) -> tuple[bool, str]:
    """Return whether a predicate is negated, and the predicate from its verb on."""
    negative = False
    while True:
        if found := NEGATION.match(rest):
            negative = not negative
        elif not (found := MODAL.match(rest)):
            return negative, rest
        rest = rest[found.end() :]


def claimed(
    verb: str, what: str, *, by_user: bool, negative: bool, limited: bool
) -> Claim | None:
    """Return a claim about a verb and its object."""
    stemmed = stem(verb, LANGUAGE)
    deed = deeds().get(stemmed, "unread")
    if stemmed in stems_of(PERMITS, LANGUAGE):
        deed, negative = "refuse", not negative
    if deed == "unread":
        return None
    if deed in ("say", "notice"):
        what = THAT.sub("", f" {what}", count=1).strip() if what else what
    words = frozenset(stems_of(what, LANGUAGE)) - frozenset(
        stems_of("user agent customer any", LANGUAGE)
    )
    return Claim(
        deed=deed,
        by_user=by_user,
        negative=negative,
        verb=stemmed,
        what=what.strip(),
        values=values_of(what),
        stems=words,
        limited=limited,
        qualified=bool(BEYOND.search(what)) or second_deed(what),
    )


def second_deed(what: str) -> bool:
    """Return whether an object goes on with another verb."""
    joined = re.findall(r"\b(?:or|and) (\w+) (?:a|an|the|any)\b", what)
    return any(stem(word, LANGUAGE) in deeds() for word in joined)


@lru_cache(maxsize=1)
def deeds() -> dict[str, Deed]:
    """Return the deed that the stem of each verb stands for."""
    return {
        stemmed: deed for deed, text in VERBS for stemmed in stems_of(text, LANGUAGE)
    }


@remembered(characters=TEXTS)
def record_of(transcript: tuple[Turn, ...]) -> Record:
    """Return a conversation as evidence, read once."""
    agent: list[Spoken] = []
    user: list[Spoken] = []
    before = ""
    for turn in transcript:
        if turn.role == "user":
            user.extend(Spoken(turn.seq, one, counts=True) for one in read(turn.text))
            before = turn.text
        elif turn.role == "assistant":
            agent.extend(
                Spoken(
                    turn.seq,
                    one,
                    counts=not copied(one.text, before) and not stuffed(one, LANGUAGE),
                )
                for one in read(turn.text)
            )
    texts = [turn.text for turn in transcript if turn.role == "assistant"]
    return Record(
        agent=tuple(agent),
        user=tuple(user),
        calls=calls_of(transcript),
        tools_seen=any(turn.called is not None for turn in transcript),
        foreign=any(foreign(text, LANGUAGE) for text in texts),
    )


def read(text: str) -> tuple[Sentence, ...]:
    """Return the sentences of a text outside its quotation marks."""
    return sentences(unquoted(text), LANGUAGE)


def calls_of(transcript: Sequence[Turn]) -> tuple[Call, ...]:
    """Return the calls that no failure answered."""
    failed = {
        turn.returned.call_id
        for turn in transcript
        if turn.returned is not None and FAILED.match(turn.returned.content)
    }
    found: list[Call] = []
    for turn in transcript:
        called = turn.called
        if called is None or called.call_id in failed:
            continue
        text = f"{called.name} {called.arguments}".replace("_", " ")
        found.append(
            Call(
                turn.seq,
                called.name,
                values_of(called.arguments) | values_of(text),
                frozenset(sentence(text, LANGUAGE).stems),
            )
        )
    return tuple(found)


def judged(  # noqa: C901, PLR0911 - one return for each deed
    claim: Claim, record: Record
) -> Judgement:
    """Return what the record says of a claim."""
    if claim.by_user:
        if claim.deed == "say":
            return signed(claim, said_by(claim, record.user, record))
        return unclear("user", "Only what the user says can be judged by rules.")
    match claim.deed:
        case "say":
            return signed(claim, said_by(claim, record.agent, record))
        case "notice":
            return noticed(claim, record)
        case "refuse":
            return refused(claim, record)
        case "offer":
            return signed(claim, offered(claim, record))
        case "ask":
            return signed(claim, asked(claim, record))
        case "transfer":
            return signed(claim, transferred(record))
        case "act":
            return refrained(claim, record) if claim.negative else acted(claim, record)
        case "unread":
            return unclear("unread", "It names no deed that rules can check.")


def said_by(claim: Claim, spoken: Sequence[Spoken], record: Record) -> Judgement:
    """Return whether somebody said something: its values, else its words."""
    return (
        said_values(claim, spoken)
        if claim.values
        else said_words(claim, spoken, record)
    )


def said_values(claim: Claim, spoken: Sequence[Spoken]) -> Judgement:
    """Return whether all values were said, not negated and as evidence."""
    seen: set[str] = set()
    sound: set[str] = set()
    references: list[int] = []
    for one in spoken:
        found = claim.values & one.said.values
        seen |= found
        if found and one.counts and not negates(one.said, found):
            sound |= found
            references.append(one.seq)
    wanted = ", ".join(sorted(claim.values))
    if sound == claim.values:
        return verdict("say", f"Said: {wanted}.", value=True, references=references)
    if seen != claim.values:
        absent = ", ".join(sorted(claim.values - seen))
        return verdict("say", f"Never said: {absent}.", value=False)
    return unclear("say", f"Said only in negation, repetition or lists: {wanted}.")


def negates(said: Sentence, values: frozenset[str]) -> bool:
    """Return whether a sentence negates one of its values."""
    return any(said.stems[place] in values for place in said.negated)


def said_words(claim: Claim, spoken: Sequence[Spoken], record: Record) -> Judgement:
    """Return whether one sentence has all the words, in the claim's own polarity."""
    if not claim.stems:
        return unclear("say", "It says nothing that could be looked for.")
    wanted = sentence(claim.what, LANGUAGE)
    against = bool(wanted.negated)
    whole = [
        one
        for one in spoken
        if one.counts and claim.stems <= one.said.content and not one.said.question
    ]
    same = [one for one in whole if denying(one.said, claim.stems) == against]
    if same:
        references = [one.seq for one in same]
        return verdict("say", "Said in its words.", value=True, references=references)
    if record.foreign:
        return unclear("language", "The conversation is not all in English.")
    if (
        len(claim.stems) == 1
        and not any(claim.stems & one.said.content for one in spoken)
        and claim.negative
    ):
        return verdict("say", "The word does not occur.", value=False)
    return unclear("say", "Not said in these words; others may say the same.")


def denying(said: Sentence, stems: frozenset[str]) -> bool:
    """Return whether a sentence negates or refuses what these stems are about."""
    reached = any(said.stems[place] in stems for place in said.negated)
    return reached or refusal(said, LANGUAGE)


def noticed(claim: Claim, record: Record) -> Judgement:
    """Return whether the agent said what it was to notice."""
    found = said_by(claim, record.agent, record)
    if found.value and not claim.negative and (claim.values or len(claim.stems) > 1):
        return found
    return unclear("notice", "What somebody notices shows only where it is said.")


def refused(claim: Claim, record: Record) -> Judgement:
    """Return whether the agent refused a thing, or did or promised it after all."""
    topics = claim.stems or frozenset({claim.verb})
    done = [call.seq for call in record.calls if changes(call) and topics & call.stems]
    claims = done_sentences(record, topics)
    refusals = [
        one.seq
        for one in record.agent
        if one.counts and refusal(one.said, LANGUAGE) and related(one, topics, record)
    ]
    if done or claims:
        found = verdict("refuse", "It was done.", value=False, references=done + claims)
        return signed(claim, found)
    if refusals:
        said = "It was refused and not done."
        found = verdict("refuse", said, value=True, references=refusals)
        return signed(claim, found)
    return unclear("refuse", "It was neither refused nor done in words known here.")


def related(one: Spoken, topics: frozenset[str], record: Record) -> bool:
    """Return whether a refusal is about a topic, by its words or the user's before."""
    earlier = [other for other in record.user if other.seq < one.seq]
    heard = frozenset().union(*(other.said.content for other in earlier))
    return bool(topics & one.said.content) or share(topics, heard) >= RELATED


def done_sentences(record: Record, topics: frozenset[str]) -> list[int]:
    """Return where the agent says that something about a topic has been done."""
    return [
        one.seq
        for one in record.agent
        if one.counts
        and not one.said.question
        and ENGLISH.done.search(one.said.folded)
        and not NOT_YET.search(one.said.folded)
        and not denying(one.said, topics)
        and topics & one.said.content
    ]


def offered(claim: Claim, record: Record) -> Judgement:
    """Return whether the agent offered a thing, before the user asked where limited."""
    topics = frozenset(word for word in claim.stems if not CODE.search(word))
    asked = [one.seq for one in record.user if topics & one.said.content]
    until = asked[0] if claim.limited and asked else None
    about = [
        one
        for one in record.agent
        if topics & one.said.content and (until is None or one.seq < until)
    ]
    offers = [
        one.seq
        for one in about
        if one.counts
        and OFFERING.search(one.said.folded)
        and not denying(one.said, topics)
        and claim.values <= one.said.values
    ]
    given = [
        call.seq
        for call in record.calls
        if changes(call)
        and topics & call.stems
        and claim.values <= call.values
        and (until is None or call.seq < until)
    ]
    if offers or given:
        return verdict(
            "offer", "It was offered.", value=True, references=offers + given
        )
    if record.foreign:
        return unclear("language", "The conversation is not all in English.")
    vague = [
        one.seq
        for one in record.agent
        if not about
        and (until is None or one.seq < until)
        and OFFERING.search(one.said.folded)
        and not refusal(one.said, LANGUAGE)
    ]
    if vague:
        return unclear("offer", "Something was offered, in other words.", vague)
    if all(denying(one.said, topics) for one in about):
        references = [one.seq for one in about]
        said = "It was not offered, only refused." if about else "It was not mentioned."
        return verdict("offer", said, value=False, references=references)
    return unclear("offer", "It was mentioned, in words that may or may not offer it.")


def asked(claim: Claim, record: Record) -> Judgement:
    """Return whether the agent asked for a thing."""
    questions = [
        one
        for one in record.agent
        if one.said.question or ENGLISH.asks.search(one.said.folded)
    ]
    topics = claim.stems - frozenset(stems_of("user provide give", LANGUAGE))
    found = [one.seq for one in questions if topics and topics <= one.said.content]
    if found:
        return verdict("ask", "It was asked for.", value=True, references=found)
    if record.foreign or questions:
        return unclear("ask", "It may have been asked for in other words.")
    return verdict("ask", "Nothing was asked.", value=False)


def transferred(record: Record) -> Judgement:
    """Return whether the user was handed over."""
    found = [call.seq for call in record.calls if call.name.startswith("transfer")]
    words = [
        one.seq
        for one in record.agent
        if ENGLISH.transfers.search(one.said.folded)
        and not one.said.question
        and not one.said.negated
        and not refusal(one.said, LANGUAGE)
    ]
    if words and record.tools_seen and not found:
        return unclear("transfer", "The agent says so; no tool shows it.", words)
    if found or words:
        said = "The user was handed over."
        return verdict("transfer", said, value=True, references=found + words)
    if record.foreign or not record.tools_seen:
        return unclear("transfer", "No tool is seen, and no known words say so.")
    return verdict("transfer", "The user was not handed over.", value=False)


def changes(call: Call) -> bool:
    """Return whether a call changes something, by its name."""
    return CHANGES.match(call.name) is not None


def of_kind(claim: Claim, record: Record) -> list[Call]:
    """Return the calls that a verb is about; a loose verb is about any change."""
    if claim.verb in stems_of(LOOSE, LANGUAGE):
        return [call for call in record.calls if changes(call)]
    names = (
        (call, stems_of(call.name.replace("_", " "), LANGUAGE)) for call in record.calls
    )
    return [call for call, stems in names if claim.verb in stems]


def acted(  # noqa: PLR0911 - one return for each rule
    claim: Claim, record: Record
) -> Judgement:
    """Return whether the agent did a thing with its tools."""
    calls = of_kind(claim, record)
    references = [call.seq for call in calls]
    if not record.tools_seen:
        return claimed_only(claim, record)
    if not calls:
        if claim.verb in stems_of(LOOSE, LANGUAGE) or not in_tools(claim, record):
            return verdict("act", "No call of a tool does that.", value=False)
        return unclear("act", "No tool's name says whether that was done.")
    values = frozenset().union(*(call.values for call in calls))
    if absent := claim.values - values:
        said = f"No such call has {', '.join(sorted(absent))}."
        if any(naming(value) for value in absent):
            return verdict("act", said, value=False, references=references)
        return unclear("act", said, references)
    stems = frozenset().union(*(call.stems for call in calls)) | {claim.verb}
    open_words = {word for word in claim.stems - stems if not CODE.search(word)}
    negative = sentence(claim.what, LANGUAGE).negated
    if open_words or negative or claim.qualified or scattered(claim, calls):
        words = ", ".join(sorted(open_words)) or "what it rules out or adds"
        return unclear(
            "act", f"Called, but this cannot be checked: {words}.", references
        )
    return verdict("act", "The tool was called so.", value=True, references=references)


def naming(value: str) -> bool:
    """Return whether a value names one thing: letters and digits, not an amount."""
    return any(char.isalpha() for char in value)


def in_tools(claim: Claim, record: Record) -> bool:
    """Return whether a value of the claim stands in a call of another kind."""
    return any(claim.values & call.values for call in record.calls if changes(call))


def scattered(claim: Claim, calls: Sequence[Call]) -> bool:
    """Return whether no single call has all values, and the claim names them as one."""
    whole = any(claim.values <= call.values for call in calls)
    return not whole and len(SEPARATOR.split(claim.what)) == 1


def claimed_only(claim: Claim, record: Record) -> Judgement:
    """Return what can be said of an act where no tool is seen."""
    topics = frozenset({claim.verb})
    if claims := done_sentences(record, frozenset({claim.verb})):
        return unclear("act", "The agent says so; no tool shows it.", claims)
    refusals = [
        one.seq
        for one in record.agent
        if one.counts and refusal(one.said, LANGUAGE) and related(one, topics, record)
    ]
    if refusals:
        return verdict("act", "It was refused.", value=False, references=refusals)
    return unclear("act", "No tool is seen, and nothing is said of it.")


def refrained(  # noqa: PLR0911 - one return for each rule
    claim: Claim, record: Record
) -> Judgement:
    """Return whether the agent left a thing undone."""
    topics = frozenset({claim.verb})
    loose = claim.verb in stems_of(LOOSE, LANGUAGE)
    calls = [
        call
        for call in of_kind(claim, record)
        if changes(call) and claim.values <= call.values
    ]
    claims = done_sentences(record, claim.stems if loose else topics)
    if calls:
        references = [call.seq for call in calls]
        if claim.qualified:
            return unclear("act", "Something of that kind was done.", references)
        if claim.values or not specific(claim):
            return verdict("act", "It was done.", value=False, references=references)
        return unclear("act", "Something of that kind was done.", references)
    if record.tools_seen:
        if claims and not any(changes(call) for call in record.calls):
            return unclear("act", "The agent says so; no tool shows it.", claims)
        return verdict("act", "No call of a tool did that.", value=True)
    if claims:
        return verdict("act", "The agent says it did.", value=False, references=claims)
    refusals = [
        one.seq
        for one in record.agent
        if one.counts and refusal(one.said, LANGUAGE) and related(one, topics, record)
    ]
    if refusals:
        said = "It was refused, and never said to be done."
        return verdict("act", said, value=True, references=refusals)
    return unclear("act", "No tool is seen, and nothing is said of it.")


def specific(claim: Claim) -> bool:
    """Return whether a claim is about less than everything of its kind."""
    common = stems_of("reservation flight booking order change modification", LANGUAGE)
    return bool(claim.stems - frozenset(common))


def signed(claim: Claim, found: Judgement) -> Judgement:
    """Return a finding as the verdict on a claim, turned round where it is negative."""
    if found.value is None or not claim.negative:
        return found
    return msgspec.structs.replace(found, value=not found.value)


def verdict(
    rule: str, said: str, *, value: bool, references: Sequence[int] = ()
) -> Judgement:
    """Return a judgement that rests on these entries."""
    return Judgement(
        value=value,
        justification=said,
        references=tuple(sorted(set(references))),
        rule=rule,
    )


def unclear(rule: str, said: str, references: Sequence[int] = ()) -> Judgement:
    """Return an abstention with its reason."""
    return Judgement(
        value=None,
        justification=said,
        references=tuple(sorted(set(references))),
        rule=rule,
    )
