from collections.abc import Sequence
from math import inf, nan
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.conversation import (
    ConversationEnded,
    ConversationFact,
    MessageAdded,
    Role,
    ToolCalled,
    ToolReturned,
)
from events.testing.metrics import (
    Assertion,
    Definition,
    RecordedReward,
    TextMatch,
    Value,
    ValueType,
)
from events.testing.set_runs import MetricResult, PinnedCriterion
from events.testing.unit_tests import Operator
from services.testing.evaluation import TOLERANCE, evaluate, holds, outcome
from tests.services.testing.examples import METRIC, NOBODY


MOODS = ["calm", "angry"]
REWARD = RecordedReward()
Verdict = Literal["passed", "failed", "inconclusive"]


def said(role: Role, text: str, seq: int = 1) -> MessageAdded:
    return MessageAdded(conversation_id=NOBODY, seq=seq, role=role, text=text)


TALK: list[ConversationFact] = [
    said("system", "Be calm.", 1),
    said("user", "I am SORRY and angry.", 2),
    ToolCalled(
        conversation_id=NOBODY,
        seq=3,
        call_id="1",
        name="waive_fee",
        arguments='{"sorry": true}',
        text="One moment. Sorry!",
    ),
    ToolReturned(
        conversation_id=NOBODY, seq=4, call_id="1", name="waive_fee", content="sorry"
    ),
    said("assistant", "Done, stay calm. ", 5),
    ConversationEnded(conversation_id=NOBODY, reason="user_stop", entries=5),
]


def judged(
    definition: Definition,
    value_type: ValueType,
    *,
    reward: float | None = None,
    talk: Sequence[ConversationFact] = TALK,
    operator: Operator = "==",
    value: Value = True,
    bounds: tuple[float | None, float | None] = (None, None),
) -> MetricResult:
    criterion = PinnedCriterion(
        metric_id=METRIC,
        metric_version=2,
        name="judged",
        value_type=value_type,
        definition=definition,
        operator=operator,
        value=value,
        categories=MOODS if value_type == "categorical" else [],
        minimum=bounds[0],
        maximum=bounds[1],
    )
    return evaluate(criterion, talk, reward)


def test_a_result_says_what_it_rests_on() -> None:
    assert judged(
        TextMatch(mode="contains", pattern="sorry"), "boolean"
    ) == MetricResult(
        metric_id=METRIC,
        metric_version=2,
        name="judged",
        value=True,
        outcome="passed",
        justification="1 of 2 messages by the assistant match.",
        references=[3],
        engine="rules/1",
    )


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        (TextMatch(mode="contains", pattern="SORRY"), [3]),
        (TextMatch(mode="contains", pattern="SORRY", ignore_case=False), []),
        (TextMatch(mode="contains", pattern="sorry", role="user"), [2]),
        (TextMatch(mode="contains", pattern="calm", role=None), [1, 5]),
        (TextMatch(mode="equals", pattern="done, stay calm."), [5]),
        (TextMatch(mode="equals", pattern="done"), []),
        (TextMatch(mode="regex", pattern=r"\bm\w+t\b"), [3]),
        (TextMatch(mode="regex", pattern=r"^done"), [5]),
        (TextMatch(mode="regex", pattern=r"^done", ignore_case=False), []),
    ],
)
def test_a_text_is_looked_for(definition: TextMatch, found: list[int]) -> None:
    result = judged(definition, "boolean")
    assert (result.value, result.references) == (bool(found), found)


def test_a_number_counts_the_messages_that_match() -> None:
    pattern = TextMatch(mode="regex", pattern="calm|sorry", role=None)
    result = judged(pattern, "numeric", operator=">=", value=4)
    assert (result.value, result.outcome) == (4.0, "passed")


def test_a_category_is_the_first_in_order_that_occurs_where_it_matches() -> None:
    anything = TextMatch(mode="regex", pattern=".", role=None)
    result = judged(anything, "categorical", value="calm")
    assert (result.value, result.references) == ("calm", [1, 5])
    sorry = TextMatch(mode="contains", pattern="sorry", role="user")
    assert judged(sorry, "categorical", value="calm").value == "angry"


def test_no_more_than_twenty_references_are_given() -> None:
    talk = [said("assistant", "yes", seq) for seq in range(1, 50)]
    result = judged(
        TextMatch(mode="contains", pattern="yes"), "numeric", talk=talk, value=49.0
    )
    assert result.outcome == "passed"
    assert result.references == list(range(1, 21))


@pytest.mark.parametrize(
    ("result", "because"),
    [
        (
            judged(TextMatch(mode="contains", pattern="x"), "boolean", talk=[]),
            "There is no message by the assistant to look at.",
        ),
        (
            judged(TextMatch(mode="contains", pattern="moment"), "categorical"),
            "No category occurs in 1 matching messages.",
        ),
        (
            judged(
                TextMatch(mode="contains", pattern="o"), "numeric", bounds=(None, 1)
            ),
            "2 of 2 messages by the assistant match. That is above the maximum 1.",
        ),
        (judged(REWARD, "boolean"), "No reward was recorded."),
        (judged(REWARD, "numeric", reward=nan), "No reward was recorded."),
        (judged(REWARD, "numeric", reward=inf), "No reward was recorded."),
        (
            judged(REWARD, "numeric", reward=-1, bounds=(0, 1)),
            "The recorded reward is -1. That is below the minimum 0.",
        ),
        (
            judged(REWARD, "categorical", reward=2),
            "The recorded reward is 2. No category has that index.",
        ),
        (
            judged(REWARD, "categorical", reward=0.5),
            "The recorded reward is 0.5. No category has that index.",
        ),
    ],
)
def test_a_metric_abstains_where_it_cannot_judge(
    result: MetricResult, because: str
) -> None:
    assert result.value is None
    assert result.outcome == "inconclusive"
    assert result.justification == because


@pytest.mark.parametrize(
    ("value_type", "reward", "value"),
    [
        ("boolean", 1.0, True),
        ("boolean", 0.9999999, True),
        ("boolean", 0.99, False),
        ("numeric", 0.25, 0.25),
        ("numeric", 1, 1.0),
        ("categorical", 1.0000001, "angry"),
    ],
)
def test_a_reward_is_taken_as_recorded(
    value_type: ValueType, reward: float, value: Value
) -> None:
    result = judged(REWARD, value_type, reward=reward)
    assert (result.value, result.engine) == (value, "recorded")
    assert type(result.value) is type(value)


def test_rewards_at_the_bounds_are_within_them() -> None:
    for reward in (0.0, -1e-9, 1.0, 1 + 1e-9):
        assert judged(REWARD, "numeric", reward=reward, bounds=(0, 1)).value == reward


@pytest.mark.parametrize(
    ("operator", "truths"),
    [
        ("==", [False, True, True, False]),
        ("!=", [True, False, False, True]),
        ("<", [True, False, False, False]),
        ("<=", [True, True, True, False]),
        (">", [False, False, False, True]),
        (">=", [False, True, True, True]),
    ],
)
def test_numbers_compare_with_a_tolerance(
    operator: Operator, truths: list[bool]
) -> None:
    values = [0.2, 0.1 + 0.2, 0.3 + TOLERANCE / 2, 0.4]
    assert [holds(operator, value, 0.3) for value in values] == truths


@pytest.mark.parametrize(
    ("value", "other"), [(True, False), (False, True), ("calm", "angry")]
)
def test_other_values_are_equal_or_not(value: Value, other: Value) -> None:
    assert holds("==", value, value)
    assert holds("!=", value, other)
    assert not holds("==", value, other)
    assert not holds("!=", value, value)


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(one=numbers, other=numbers)
def test_of_less_same_and_more_exactly_one_holds(one: float, other: float) -> None:
    assert [
        holds("<", one, other),
        holds("==", one, other),
        holds(">", one, other),
    ].count(True) == 1
    assert holds("<=", one, other) is not holds(">", one, other)
    assert holds(">=", one, other) is not holds("<", one, other)
    assert holds("!=", one, other) is not holds("==", one, other)


def results(*outcomes: Verdict) -> list[MetricResult]:
    return [
        MetricResult(
            metric_id=METRIC,
            metric_version=1,
            name="judged",
            value=None,
            outcome=verdict,
            justification="",
            references=[],
            engine="rules/1",
        )
        for verdict in outcomes
    ]


def test_an_error_outweighs_a_failure_and_that_a_doubt() -> None:
    assert outcome(results("failed", "passed"), "The line went dead.") == "errored"
    assert outcome(results("passed", "inconclusive", "failed"), None) == "failed"
    assert outcome(results("passed", "inconclusive"), None) == "inconclusive"
    assert outcome(results("passed", "passed"), None) == "passed"
    assert outcome([], None) == "inconclusive"


@given(st.lists(st.sampled_from(["passed", "failed", "inconclusive"]), min_size=1))
def test_the_order_of_the_criteria_does_not_matter(outcomes: list[Verdict]) -> None:
    backwards = outcomes[::-1]
    assert outcome(results(*outcomes), None) == outcome(results(*backwards), None)


@settings(max_examples=50, deadline=None)
@given(text=st.text(), pattern=st.text(min_size=1, max_size=20))
def test_looking_for_any_text_in_any_text_gives_a_verdict(
    text: str, pattern: str
) -> None:
    definition = TextMatch(mode="contains", pattern=pattern, ignore_case=False)
    result = judged(definition, "boolean", talk=[said("assistant", text)])
    assert result.value is (pattern in text)


@pytest.mark.parametrize(
    ("text", "value", "verdict"),
    [
        ("Agent should refuse to waive the fee.", True, "passed"),
        ("Agent should not refuse to waive the fee.", False, "failed"),
        ("Agent should sound as if it meant it.", None, "inconclusive"),
    ],
)
def test_assertions_are_judged_as_far_as_rules_can(
    text: str, *, value: bool | None, verdict: Verdict
) -> None:
    talk = [
        said("user", "I want the fee waived.", 1),
        said("assistant", "I cannot waive the fee.", 2),
    ]
    result = judged(Assertion(text=text), "boolean", talk=talk)
    assert (result.value, result.outcome, result.engine) == (value, verdict, "rules/1")
    assert result.justification
