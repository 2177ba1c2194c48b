"""Live trials: they grow turn by turn, and are finished once."""

from typing import Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.conversation import ConversationEnded, MessageAdded
from events.ids import MetricId, TrialId
from events.testing.set_runs import Fault, MetricResult, Outcome
from events.testing.trials import TrialFinished, TrialStarted
from events.testing.unit_tests import OnLimit
from services.testing.trials import AddTurn, FinishTrial, OutOfTurn
from tests.given import given
from tests.services.testing.examples import RUN, TEST


TRIAL: Final = TrialId(UUID(int=51))
STARTED: Final = TrialStarted(
    trial_id=TRIAL, run_id=RUN, unit_test_id=TEST, index=3, attempt=1
)
PASSED: Final = MetricResult(
    metric_id=MetricId(UUID(int=52)),
    metric_version=1,
    name="kind",
    value=True,
    outcome="passed",
    justification="1 of 1 messages match.",
    references=[1],
    engine="rules/1",
)


def word(seq: int, text: str = "Hello") -> MessageAdded:
    return MessageAdded(
        conversation_id=TRIAL, seq=seq, role="user", text=text, engine="rules/1"
    )


def turn(after: int, *, ended: str | None = None) -> AddTurn:
    return AddTurn(
        trial_id=TRIAL,
        run_id=RUN,
        unit_test_id=TEST,
        index=3,
        attempt=1,
        after=after,
        entries=(word(after + 1),),
        ended=ended,
    )


def finish(
    ended: str = "goal_met",
    *,
    results: tuple[MetricResult, ...] = (PASSED,),
    on_limit: OnLimit = "fail",
    error: str | None = None,
    fault: Fault | None = None,
) -> FinishTrial:
    return FinishTrial(
        trial_id=TRIAL,
        run_id=RUN,
        unit_test_id=TEST,
        index=3,
        attempt=1,
        results=results,
        on_limit=on_limit,
        ended=ended,
        error=error,
        fault=fault,
    )


def end(reason: str, entries: int) -> ConversationEnded:
    return ConversationEnded(conversation_id=TRIAL, reason=reason, entries=entries)


def finished(
    outcome: Outcome,
    *,
    results: tuple[MetricResult, ...] = (PASSED,),
    error: str | None = None,
    fault: Fault | None = None,
) -> TrialFinished:
    return TrialFinished(
        trial_id=TRIAL,
        run_id=RUN,
        unit_test_id=TEST,
        index=3,
        outcome=outcome,
        metric_results=list(results),
        error=error,
        fault=fault,
        attempt=1,
    )


def test_a_trial_begins_with_its_first_turn() -> None:
    given().when(turn(0)).then(STARTED, word(1)).when(turn(1)).then(word(2))


def test_a_second_copy_of_a_turn_changes_nothing() -> None:
    given(turn(0), turn(1)).when(turn(0)).then()


def test_a_turn_that_leaves_a_gap_is_refused() -> None:
    given(turn(0)).when(turn(2)).then_refused(OutOfTurn, path="$.after")


def test_a_last_turn_ends_the_conversation() -> None:
    world = (
        given(turn(0))
        .when(turn(1, ended="agent_ended"))
        .then(word(2), end("agent_ended", 2))
    )
    world.when(turn(2)).then_refused(OutOfTurn)


def test_a_conversation_that_did_not_end_by_itself_ends_with_its_verdict() -> None:
    given(turn(0)).when(finish("max_interactions", on_limit="evaluate")).then(
        end("max_interactions", 1), finished("passed")
    )


def test_a_trial_is_finished_once() -> None:
    world = given(turn(0, ended="goal_met")).when(finish()).then(finished("passed"))
    world.when(finish()).then()
    world.when(finish(error="Too late", fault="ourselves")).then()


def test_a_trial_may_break_off_before_its_first_word() -> None:
    broken = finish("target_fault", results=(), error="No policy.", fault="target")
    given().when(broken).then(
        STARTED,
        end("target_fault", 0),
        finished("errored", results=(), error="No policy.", fault="target"),
    )


@pytest.mark.parametrize(
    ("reason", "on_limit", "outcome", "fault"),
    [
        ("max_interactions", "fail", "failed", None),
        ("max_interactions", "evaluate", "passed", None),
        ("too_many_calls", "evaluate", "failed", "agent"),
        ("patience_exhausted", "fail", "passed", None),
    ],
)
def test_limits_count_before_criteria(
    reason: str, on_limit: OnLimit, outcome: Outcome, fault: Fault | None
) -> None:
    given(turn(0, ended=reason)).when(finish(on_limit=on_limit)).then(
        finished(outcome, fault=fault)
    )


def test_what_cannot_be_judged_is_inconclusive() -> None:
    unsure = (replace(PASSED, value=None, outcome="inconclusive"),)
    given(turn(0, ended="goal_met")).when(finish(results=unsure)).then(
        finished("inconclusive", results=unsure)
    )
