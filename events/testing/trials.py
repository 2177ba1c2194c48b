"""Facts about trials: one conversation of a set run, in a stream of its own."""

from typing import ClassVar

from events.conversation import (
    ConversationEnded,
    MessageAdded,
    ToolCalled,
    ToolReturned,
)
from events.ids import SetRunId, SubjectId, TrialId, UnitTestId
from events.testing.common import TestingEvent
from events.testing.set_runs import Fault, MetricResult, Outcome


class TrialStarted(TestingEvent, frozen=True, kw_only=True):
    """A trial of a run began; `trial_id` is its conversation's id.

    `attempt` counts from 1 how often a live run holds the trial; None: recorded.
    """

    trial_id: TrialId
    run_id: SetRunId
    unit_test_id: UnitTestId
    index: int
    external_id: str | None = None
    attempt: int | None = None


class TrialFinished(TestingEvent, frozen=True, kw_only=True):
    """A trial was judged.

    `reward` is the recorded one of an imported trial, in the recorder's own scale.
    `fault` says whose it was that the trial broke off or called too many tools.
    `attempt` counts from 1 how often a live run holds the trial; None: recorded.
    `error` is sealed for `subject_id`, the person whose conversation it was.
    """

    personal: ClassVar[tuple[str, ...]] = ("error",)

    trial_id: TrialId
    run_id: SetRunId
    unit_test_id: UnitTestId
    index: int
    outcome: Outcome
    metric_results: list[MetricResult]
    reward: float | None = None
    error: str | None = None
    fault: Fault | None = None
    attempt: int | None = None
    subject_id: SubjectId | None = None


TrialEvent = (
    TrialStarted
    | MessageAdded
    | ToolCalled
    | ToolReturned
    | ConversationEnded
    | TrialFinished
)
