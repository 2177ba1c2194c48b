"""The read table `trials`: one row per conversation of a run, and its verdict."""

from collections.abc import Sequence
from typing import Final

from events.access.subjects import SubjectErased
from events.conversation import (
    ConversationEnded,
    MessageAdded,
    ToolCalled,
    ToolReturned,
)
from events.message import ERASED, Event, Recorded
from events.testing.set_runs import TrialsReopened
from events.testing.trials import TrialFinished, TrialStarted
from projections.projection import Column, Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    BY_CREATION,
    BY_SEAL,
    CREATED,
    EXTERNAL_ID,
    OWN_ORGANISATION,
    SCHEMA,
    SEALED_FOR,
    created,
    flag,
    identifier,
    integer,
    is_trial,
    jsonb,
    key,
    moment,
    sealed_for,
    text,
)


TABLE: Final = Table(
    schema=SCHEMA,
    name="trials",
    version=3,
    note="Trials of unit test set runs, each one conversation with its verdict",
    columns=(
        identifier("Trial identifier"),
        text("run_id", "Parent run ID"),
        text("unit_test_id", "Unit test that was tried"),
        integer("index", "Which trial of the unit test, from 0"),
        text(
            "outcome",
            "Verdict: passed, failed, inconclusive or errored; null while it runs",
            nullable=True,
            check="outcome IN ('passed', 'failed', 'inconclusive', 'errored')",
        ),
        Column(
            name="reward",
            type="double precision",
            note="Reward recorded with an imported trial, in the recorder's scale",
        ),
        Column(
            name="metric_results",
            type="jsonb",
            note="What each metric said: metric_id, metric_version, name, value,"
            " outcome, justification, references (seq of entries), engine",
        ),
        Column(
            name="failed_metrics",
            type="jsonb",
            note="Those of the metric results that failed; null if none did",
        ),
        text("error", "Why it broke off, if it did", nullable=True, personal=True),
        SEALED_FOR,
        text(
            "fault",
            "Whose fault it was that it broke off or called too many tools: agent,"
            " simulator, judge, target, or ourselves",
            nullable=True,
            check="fault IN ('agent', 'simulator', 'judge', 'target', 'ourselves')",
        ),
        Column(
            name="attempt",
            type="integer",
            note="How often the run has held it, from 1; null for a recorded one",
        ),
        flag("retried", "Whether a later attempt takes its place in the run"),
        integer("entries", "Messages, tool calls and tool results so far"),
        text("end_reason", "Why the conversation ended", nullable=True),
        moment("ended_at", "When the conversation ended", nullable=True),
        moment("judged_at", "When the verdict was given", nullable=True),
        EXTERNAL_ID,
        *CREATED,
    ),
    key=("_id",),
    rows=OWN_ORGANISATION,
    indexes=(
        Index(columns=("run_id", "unit_test_id", "index")),
        Index(columns=("unit_test_id",)),
        BY_CREATION,
        BY_SEAL,
    ),
    references=(
        Reference(column="run_id", table="testing.simulation_unit_test_set_runs"),
        Reference(column="unit_test_id", table="testing.simulation_unit_tests"),
    ),
)


def project(  # noqa: C901 - one arm for each fact
    batch: Sequence[Recorded[Event]], rows: Rows
) -> None:
    """Turn the facts of trials into their rows."""
    for recorded in batch:
        match recorded.event:
            case MessageAdded() | ToolCalled() | ToolReturned() as event:
                if is_trial(recorded):
                    rows.patch(
                        key(event.conversation_id),
                        entries=event.seq,
                        updated_at=recorded.recorded_at,
                    )
            case TrialStarted() as event:
                rows.insert(
                    str(event.trial_id),
                    str(event.run_id),
                    str(event.unit_test_id),
                    event.index,
                    None,
                    None,
                    None,
                    None,
                    None,
                    None,
                    None,
                    event.attempt,
                    False,
                    0,
                    None,
                    None,
                    None,
                    event.external_id,
                    *created(recorded),
                )
            case ConversationEnded() as event:
                if is_trial(recorded):
                    rows.patch(
                        key(event.conversation_id),
                        end_reason=event.reason,
                        ended_at=recorded.recorded_at,
                        updated_at=recorded.recorded_at,
                    )
            case TrialFinished() as event:
                failed = [
                    result
                    for result in event.metric_results
                    if result.outcome == "failed"
                ]
                rows.patch(
                    key(event.trial_id),
                    outcome=event.outcome,
                    reward=event.reward,
                    metric_results=jsonb(event.metric_results),
                    failed_metrics=jsonb(failed) if failed else None,
                    error=event.error,
                    sealed_for=_sealed_for(recorded, event),
                    fault=event.fault,
                    judged_at=recorded.recorded_at,
                    updated_at=recorded.recorded_at,
                )
            case TrialsReopened() as event:
                for slot in event.slots:
                    rows.patch(
                        key(slot.replaces),
                        retried=True,
                        updated_at=recorded.recorded_at,
                    )
            case SubjectErased() as event:
                rows.patch_where(
                    "sealed_for",
                    sealed_for(recorded.org_id, event.subject_id),
                    error=ERASED,
                )


def _sealed_for(recorded: Recorded[Event], event: TrialFinished) -> str | None:
    """Return whose key seals the error of a trial, if it has one and one does."""
    if event.error is None or event.subject_id is None:
        return None
    return sealed_for(recorded.org_id, event.subject_id)


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        TrialStarted,
        MessageAdded,
        ToolCalled,
        ToolReturned,
        ConversationEnded,
        TrialFinished,
        TrialsReopened,
        SubjectErased,
    ),
    project=project,
)
