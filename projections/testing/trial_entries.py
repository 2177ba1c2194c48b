"""The read table `trial_entries`: what was said and done in each trial, in order.

After a data subject's erasure no row of that subject in that organisation holds text,
whether it was written before the erasure or is rebuilt after it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from events.access.subjects import SubjectErased
from events.conversation import MessageAdded, ToolCalled, ToolReturned
from events.message import ERASED, Event, Recorded
from projections.projection import Index, Projection, Reference, Rows, Table
from projections.testing.columns import (
    BY_SEAL,
    OWN_ORGANISATION,
    SCHEMA,
    SEALED_FOR,
    integer,
    is_trial,
    moment,
    sealed_for,
    text,
)


NOTHING_LEFT: Final = {"text": ERASED, "arguments": ERASED, "speaker": None}

TABLE: Final = Table(
    schema=SCHEMA,
    name="trial_entries",
    version=2,
    note="Messages, tool calls and tool results of trials; erased text reads [erased]",
    columns=(
        text("trial_id", "Trial that the entry belongs to"),
        integer("seq", "Place in the conversation, from 1", check="seq >= 1"),
        text(
            "kind",
            "What it is: message, tool_call or tool_result",
            check="kind IN ('message', 'tool_call', 'tool_result')",
        ),
        text("role", "Whose it is: system, user, assistant or tool"),
        text(
            "speaker",
            "Who spoke a message, where that is known and not erased",
            nullable=True,
            personal=True,
        ),
        text("name", "Tool that was called or answered", nullable=True),
        text("call_id", "What a call and its result have in common", nullable=True),
        text(
            "text",
            "What was said, with a call perhaps nothing, or the tool's result",
            nullable=True,
            personal=True,
        ),
        text(
            "arguments",
            "What a call gave the tool, as the agent sent it, JSON or not",
            nullable=True,
            visible="kind = 'tool_call'",
            personal=True,
        ),
        text("engine", "Who made the text: recorded, rules/<n>, a model's name"),
        text("subject_id", "Person whose text it is, if it is sealed", nullable=True),
        SEALED_FOR,
        text("org_id", "Organization identifier"),
        text("region_name", "Deployment region"),
        moment("at", "When it was recorded"),
    ),
    key=("trial_id", "seq"),
    rows=OWN_ORGANISATION,
    indexes=(
        BY_SEAL,
        Index(columns=("org_id", "at")),
    ),
    references=(Reference(column="trial_id", table="testing.trials"),),
)


class Said(NamedTuple):
    """What the kinds of entries have that differs, in the order of the columns."""

    kind: str
    role: str
    speaker: str | None
    name: str | None
    call_id: str | None
    text: str | None
    arguments: str | None


def _said(event: MessageAdded | ToolCalled | ToolReturned) -> Said:
    match event:
        case MessageAdded():
            return Said(
                "message", event.role, event.speaker, None, None, event.text, None
            )
        case ToolCalled():
            return Said(
                "tool_call",
                "assistant",
                None,
                event.name,
                event.call_id,
                event.text,
                event.arguments,
            )
        case ToolReturned():
            return Said(
                "tool_result",
                "tool",
                None,
                event.name,
                event.call_id,
                event.content,
                None,
            )


def _insert(
    recorded: Recorded[Event],
    event: MessageAdded | ToolCalled | ToolReturned,
    rows: Rows,
) -> None:
    said, subject_id, sealed = _said(event), None, None
    if event.subject_id is not None:
        subject_id = str(event.subject_id)
        sealed = sealed_for(recorded.org_id, event.subject_id)
        if ERASED in (said.text, said.arguments):
            said = said._replace(text=ERASED, arguments=ERASED, speaker=None)
    rows.insert(
        str(event.conversation_id),
        event.seq,
        *said,
        event.engine,
        subject_id,
        sealed,
        recorded.org_id,
        recorded.region,
        recorded.recorded_at,
    )


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn what was said into rows, and take its text away after an erasure."""
    for recorded in batch:
        match recorded.event:
            case MessageAdded() | ToolCalled() | ToolReturned() as event:
                if is_trial(recorded):
                    _insert(recorded, event, rows)
            case SubjectErased() as event:
                rows.patch_where(
                    "sealed_for",
                    sealed_for(recorded.org_id, event.subject_id),
                    **NOTHING_LEFT,
                )


PROJECTION: Final = Projection(
    table=TABLE,
    events=(MessageAdded, ToolCalled, ToolReturned, SubjectErased),
    project=project,
)
