"""What metrics say of a conversation, by rules: they abstain on what they cannot judge.

A value None is an abstention; its criterion is inconclusive, whatever it asks for.
Numbers are equal within 1e-6: `==`, `!=`, `<=` and `>=` follow from that, and of
`<`, `==`, `>` exactly one holds. Patterns are RE2, matched in linear time, and bounded
in the size of their program so that the time stays short.

Text matches look at messages and at what the agent says along with a tool call.
`contains` and `equals` compare whole texts, `equals` without the white space around
them. A categorical metric looks for its categories, in its own order, in the texts
that match. Rewards are taken as they were recorded. Assertions are judged by the
dialogue engine's rules.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite
from typing import Final, Literal, assert_never

import msgspec
import re2

from events.conversation import ConversationFact, MessageAdded, Role, ToolCalled
from events.errors import Refused
from events.testing.metrics import (
    Assertion,
    Definition,
    RecordedReward,
    TextMatch,
    Value,
)
from events.testing.set_runs import MetricResult, Outcome, PinnedCriterion
from events.testing.unit_tests import Operator
from services.engines.dialogue import turns


TOLERANCE: Final = 1e-6
MAX_REFERENCES: Final = 20
MAX_PROGRAM: Final = 2_000
PATTERN_PATH: Final = "$.definition.pattern"

ENGINES: Final = {
    TextMatch: "rules/1",
    RecordedReward: "recorded",
    Assertion: turns.ENGINE,
}


class BadPattern(Refused):
    """This pattern cannot be used."""


class Line(msgspec.Struct, frozen=True):
    """Something that was said, at its place in the conversation."""

    seq: int
    role: Role
    text: str


class Measurement(msgspec.Struct, frozen=True):
    """A metric's value, None for an abstention, and what it rests on."""

    value: Value | None
    justification: str
    references: tuple[int, ...] = ()


def evaluate(
    criterion: PinnedCriterion,
    conversation: Sequence[ConversationFact],
    reward: float | None,
) -> MetricResult:
    """Return what a criterion's metric says of a conversation, and if it is met."""
    measured = measure(criterion, conversation, reward)
    verdict: Literal["passed", "failed", "inconclusive"] = "inconclusive"
    if measured.value is not None:
        met = holds(criterion.operator, measured.value, criterion.value)
        verdict = "passed" if met else "failed"
    return MetricResult(
        metric_id=criterion.metric_id,
        metric_version=criterion.metric_version,
        name=criterion.name,
        value=measured.value,
        outcome=verdict,
        justification=measured.justification,
        references=list(measured.references[:MAX_REFERENCES]),
        engine=ENGINES[type(criterion.definition)],
    )


def outcome(results: Sequence[MetricResult], error: str | None) -> Outcome:
    """Return a trial's outcome: an error, else a failure, else a doubt, else passed."""
    if error is not None:
        return "errored"
    outcomes = {result.outcome for result in results}
    if "failed" in outcomes:
        return "failed"
    return "passed" if outcomes == {"passed"} else "inconclusive"


def measure(
    criterion: PinnedCriterion,
    conversation: Sequence[ConversationFact],
    reward: float | None,
) -> Measurement:
    """Return a metric's value for a conversation and its recorded reward."""
    match criterion.definition:
        case TextMatch() as definition:
            return measure_text(criterion, definition, conversation)
        case RecordedReward():
            return measure_reward(criterion, reward)
        case Assertion(text=text):
            return measure_assertion(text, conversation)
        case _:
            assert_never(criterion.definition)


def measure_text(
    criterion: PinnedCriterion,
    definition: TextMatch,
    conversation: Sequence[ConversationFact],
) -> Measurement:
    """Return what a text match finds among the lines of a role."""
    lines = lines_of(conversation, definition.role)
    by = f" by the {definition.role}" if definition.role else ""
    if not lines:
        return Measurement(None, f"There is no message{by} to look at.")
    matches = matcher(definition)
    found = [line for line in lines if matches(line.text)]
    references = tuple(line.seq for line in found)
    said = f"{len(found)} of {len(lines)} messages{by} match."
    match criterion.value_type:
        case "boolean":
            return Measurement(bool(found), said, references)
        case "numeric":
            return bounded(criterion, Measurement(float(len(found)), said, references))
        case "categorical":
            return first_category(criterion.categories, definition, found)
        case _:
            assert_never(criterion.value_type)


def measure_reward(criterion: PinnedCriterion, reward: float | None) -> Measurement:
    """Return what a recorded reward means in the metric's type."""
    if reward is None or not isfinite(reward):
        return Measurement(None, "No reward was recorded.")
    said = f"The recorded reward is {reward:g}."
    match criterion.value_type:
        case "boolean":
            return Measurement(equal(reward, 1.0), said)
        case "numeric":
            return bounded(criterion, Measurement(float(reward), said))
        case "categorical":
            index = round(reward)
            if equal(reward, index) and 0 <= index < len(criterion.categories):
                return Measurement(criterion.categories[index], said)
            return Measurement(None, f"{said} No category has that index.")
        case _:
            assert_never(criterion.value_type)


def measure_assertion(
    text: str, conversation: Sequence[ConversationFact]
) -> Measurement:
    """Return whether an assertion holds of a conversation, as far as rules can tell."""
    # Its lexicon takes time and memory, and few processes judge.
    from services.engines.dialogue.judging import judge  # noqa: PLC0415

    judged = judge(text, turns.transcript_of(conversation))
    return Measurement(judged.value, judged.justification, judged.references)


def first_category(
    categories: Sequence[str], definition: TextMatch, found: Sequence[Line]
) -> Measurement:
    """Return the first category that occurs in the lines that were found."""
    for category in categories:
        occurs = containing(category, ignore_case=definition.ignore_case)
        references = tuple(line.seq for line in found if occurs(line.text))
        if references:
            said = f"{category!r} occurs in {len(references)} matching messages."
            return Measurement(category, said, references)
    return Measurement(None, f"No category occurs in {len(found)} matching messages.")


def bounded(criterion: PinnedCriterion, measured: Measurement) -> Measurement:
    """Return a numeric measurement, or an abstention outside the metric's bounds."""
    value = measured.value
    minimum, maximum = criterion.minimum, criterion.maximum
    if minimum is not None and value is not None and holds("<", value, minimum):
        said = f"{measured.justification} That is below the minimum {minimum:g}."
        return Measurement(None, said, measured.references)
    if maximum is not None and value is not None and holds(">", value, maximum):
        said = f"{measured.justification} That is above the maximum {maximum:g}."
        return Measurement(None, said, measured.references)
    return measured


def holds(operator: Operator, value: Value, wanted: Value) -> bool:
    """Return whether a value stands in a relation to another of its type."""
    if isinstance(value, str) or isinstance(wanted, str):
        return (value == wanted) == (operator == "==")
    same = equal(value, wanted)
    match operator:
        case "==":
            return same
        case "!=":
            return not same
        case "<" | "<=":
            return same if operator == "<=" and same else value < wanted and not same
        case ">" | ">=":
            return same if operator == ">=" and same else value > wanted and not same
        case _:
            assert_never(operator)


def equal(one: float, other: float) -> bool:
    """Return whether two numbers are equal within the tolerance."""
    return abs(one - other) <= TOLERANCE


def lines_of(conversation: Sequence[ConversationFact], role: Role | None) -> list[Line]:
    """Return what a role said, or everybody where it is None."""
    return [
        line
        for fact in conversation
        if (line := line_of(fact)) is not None and role in (None, line.role)
    ]


def line_of(fact: ConversationFact) -> Line | None:
    """Return what was said with an entry."""
    match fact:
        case MessageAdded(seq=seq, role=role, text=text):
            return Line(seq, role, text)
        case ToolCalled(seq=seq, text=str(text)):
            return Line(seq, "assistant", text)
        case _:
            return None


def matcher(definition: TextMatch) -> Callable[[str], bool]:
    """Return the test that a definition asks of a text."""
    pattern, ignore_case = definition.pattern, definition.ignore_case
    match definition.mode:
        case "contains":
            return containing(pattern, ignore_case=ignore_case)
        case "equals":
            wanted = folded(pattern, ignore_case=ignore_case).strip()
            return lambda text: folded(text, ignore_case=ignore_case).strip() == wanted
        case "regex":
            searched = compiled(pattern, ignore_case=ignore_case)
            return lambda text: searched(text) is not None
        case _:
            assert_never(definition.mode)


def containing(part: str, *, ignore_case: bool) -> Callable[[str], bool]:
    """Return the test for a part of a text."""
    wanted = folded(part, ignore_case=ignore_case)
    return lambda text: wanted in folded(text, ignore_case=ignore_case)


def folded(text: str, *, ignore_case: bool) -> str:
    """Return a text without its case where that is to be ignored."""
    return text.casefold() if ignore_case else text


@lru_cache(maxsize=256)
def compiled(pattern: str, *, ignore_case: bool) -> Callable[[str], object | None]:
    """Return a pattern's search, or raise `BadPattern`."""
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.never_capture = True
    try:
        regex = re2.compile(pattern, options)
    except re2.error as error:
        message = f"Not an RE2 pattern: {error.args[0].decode(errors='replace')}."
        raise BadPattern(message, path=PATTERN_PATH) from error
    if regex.programsize > MAX_PROGRAM:
        message = f"The pattern is too large: {regex.programsize} > {MAX_PROGRAM}."
        raise BadPattern(message, path=PATTERN_PATH)
    search: Callable[[str], object | None] = regex.search
    return search


def check_pattern(definition: Definition) -> None:
    """Raise `BadPattern` where a definition's pattern cannot be used."""
    if isinstance(definition, TextMatch) and definition.mode == "regex":
        compiled(definition.pattern, ignore_case=definition.ignore_case)
