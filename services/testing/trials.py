"""A trial: one conversation of a set run, written whole into a stream of its own."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, assert_never, get_args
from uuid import UUID

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.conversation import (
    ConversationEnded,
    ConversationFact,
    MessageAdded,
    Role,
    ToolCalled,
    ToolReturned,
)
from events.errors import Refused
from events.ids import SubjectId, TrialId
from events.message import Meta as Envelope
from events.testing.trials import TrialEvent, TrialFinished, TrialStarted
from services.decider import Decider
from services.testing.common import Label, Name, TestingCommand


Text = Annotated[str, Meta(max_length=262_144)]
CallId = Annotated[str, Meta(max_length=200)]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a recorded conversation."""


class Message(Entry, frozen=True, kw_only=True, tag=True):
    """Somebody said something; `speaker` names them where the role does not say."""

    role: Role
    text: Text
    speaker: Label | None = None


class ToolCall(Entry, frozen=True, kw_only=True, tag=True):
    """The agent called a tool, perhaps saying `text` with it.

    `arguments` is the text that the agent sent, JSON or not.
    """

    call_id: CallId
    name: Name
    arguments: Text
    text: Text | None = None


class ToolResult(Entry, frozen=True, kw_only=True, tag=True):
    """A tool answered a call."""

    call_id: CallId
    name: Name
    content: Text


AnyEntry = Message | ToolCall | ToolResult


class WriteTrial(TestingCommand, frozen=True, kw_only=True):
    """Write a trial that its run has counted."""

    trial_id: TrialId
    facts: tuple[TrialEvent, ...]


class TrialIdTaken(Refused):
    """There is another trial with this id."""


class Trial(msgspec.Struct, frozen=True):
    """A trial as its rules see it."""

    started: TrialStarted | None = None
    entries: int = 0
    ended: str | None = None
    finished: TrialFinished | None = None


def conversation_of(
    trial_id: TrialId, entries: Sequence[AnyEntry], subject_id: SubjectId | None
) -> list[ConversationFact]:
    """Return recorded entries as the facts of a conversation, numbered from 1."""
    return list(facts_of(trial_id, entries, subject_id))


def facts_of(
    trial_id: TrialId, entries: Sequence[AnyEntry], subject_id: SubjectId | None
) -> Iterator[ConversationFact]:
    """Yield recorded entries as facts; all personal text is the subject's."""
    for seq, entry in enumerate(entries, start=1):
        match entry:
            case Message():
                yield MessageAdded(
                    conversation_id=trial_id,
                    seq=seq,
                    role=entry.role,
                    text=entry.text,
                    speaker=entry.speaker,
                    subject_id=subject_id,
                )
            case ToolCall():
                yield ToolCalled(
                    conversation_id=trial_id,
                    seq=seq,
                    call_id=entry.call_id,
                    name=entry.name,
                    arguments=entry.arguments,
                    text=entry.text,
                    subject_id=subject_id,
                )
            case ToolResult():
                yield ToolReturned(
                    conversation_id=trial_id,
                    seq=seq,
                    call_id=entry.call_id,
                    name=entry.name,
                    content=entry.content,
                    subject_id=subject_id,
                )
            case _:
                assert_never(entry)


def evolve(state: Trial, event: TrialEvent) -> Trial:
    """Return the state after an event."""
    match event:
        case TrialStarted():
            return replace(state, started=event)
        case MessageAdded(seq=seq) | ToolCalled(seq=seq) | ToolReturned(seq=seq):
            return replace(state, entries=seq)
        case ConversationEnded(reason=reason):
            return replace(state, ended=reason)
        case TrialFinished():
            return replace(state, finished=event)
        case _:
            assert_never(event)


def decide(command: WriteTrial, state: Trial, _meta: Envelope) -> list[TrialEvent]:
    """Return a trial's facts, if its id is new."""
    if state.started is not None:
        raise TrialIdTaken(path="$.trial_id")
    return list(command.facts)


def identify(command: WriteTrial) -> UUID:
    """Return the trial's id."""
    return command.trial_id


decider: Final = Decider[WriteTrial, Trial, TrialEvent](
    category="testing.trial",
    commands=(WriteTrial,),
    events=get_args(TrialEvent),
    initial=Trial(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    internal=(WriteTrial,),
)
