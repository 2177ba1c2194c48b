"""A trial: one conversation of a set run, in a stream of its own.

A recorded one is written whole. A live one grows turn by turn: each turn says after
which entry it comes, so that a second copy of it changes nothing. Then it is ended,
and finished once, with what was measured of it.
"""

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
from events.ids import SetRunId, SubjectId, TrialId, UnitTestId
from events.message import Meta as Envelope
from events.testing.set_runs import Fault, MetricResult, Outcome
from events.testing.trials import TrialEvent, TrialFinished, TrialStarted
from events.testing.unit_tests import OnLimit
from services.decider import Decider
from services.testing import evaluation
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
Said = MessageAdded | ToolCalled | ToolReturned


class WriteTrial(TestingCommand, frozen=True, kw_only=True):
    """Write a trial that its run has counted."""

    trial_id: TrialId
    facts: tuple[TrialEvent, ...]


class LiveTrial(TestingCommand, frozen=True, kw_only=True):
    """A request about a trial that is held here: which one it is of its run."""

    trial_id: TrialId
    run_id: SetRunId
    unit_test_id: UnitTestId
    index: int
    attempt: int


class AddTurn(LiveTrial, frozen=True, kw_only=True):
    """Add what somebody said or did next, after the first `after` entries.

    `ended` is why the conversation ends with it, if it does.
    """

    after: int
    entries: tuple[Said, ...]
    ended: str | None = None


class FinishTrial(LiveTrial, frozen=True, kw_only=True):
    """Finish a trial with what was measured of its conversation.

    `ended` is why the conversation ends, where it did not end by itself. `error` says
    what broke, if something did, and `fault` whose it was.
    """

    results: tuple[MetricResult, ...]
    on_limit: OnLimit
    ended: str
    error: str | None = None
    fault: Fault | None = None


TrialCommand = WriteTrial | AddTurn | FinishTrial


class TrialIdTaken(Refused):
    """There is another trial with this id."""


class OutOfTurn(Refused):
    """The conversation has fewer entries, or is over."""


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


def decide(command: TrialCommand, state: Trial, _meta: Envelope) -> list[TrialEvent]:
    """Return what happens: a trial is written once, or grows and is finished once."""
    match command:
        case WriteTrial():
            if state.started is not None:
                raise TrialIdTaken(path="$.trial_id")
            return list(command.facts)
        case AddTurn():
            return add(command, state)
        case FinishTrial():
            return finish(command, state)
        case _:
            assert_never(command)


def add(command: AddTurn, state: Trial) -> list[TrialEvent]:
    """Add a turn, unless it was added before."""
    if command.after < state.entries:
        return []
    if command.after > state.entries or state.ended is not None:
        raise OutOfTurn(path="$.after")
    turn: list[TrialEvent] = [*begun(command, state), *command.entries]
    if command.ended is not None:
        entries = command.after + len(command.entries)
        turn.append(end(command, command.ended, entries))
    return turn


def finish(command: FinishTrial, state: Trial) -> list[TrialEvent]:
    """Finish a trial once, and end its conversation where it did not end."""
    if state.finished is not None:
        return []
    ending: list[TrialEvent] = [*begun(command, state)]
    if state.ended is None:
        ending.append(end(command, command.ended, state.entries))
    reason = state.ended or command.ended
    return [
        *ending,
        TrialFinished(
            trial_id=command.trial_id,
            run_id=command.run_id,
            unit_test_id=command.unit_test_id,
            index=command.index,
            outcome=outcome_of(command, reason),
            metric_results=list(command.results),
            error=command.error,
            fault="agent" if reason == "too_many_calls" else command.fault,
            attempt=command.attempt,
        ),
    ]


def begun(command: LiveTrial, state: Trial) -> Iterator[TrialStarted]:
    """Yield the start of a trial with its first turn."""
    if state.started is None:
        yield TrialStarted(
            trial_id=command.trial_id,
            run_id=command.run_id,
            unit_test_id=command.unit_test_id,
            index=command.index,
            attempt=command.attempt,
        )


def end(command: LiveTrial, reason: str, entries: int) -> ConversationEnded:
    """Return the end of a trial's conversation."""
    return ConversationEnded(
        conversation_id=command.trial_id, reason=reason, entries=entries
    )


def outcome_of(command: FinishTrial, reason: str) -> Outcome:
    """Return a live trial's outcome: its limits count before its criteria."""
    if command.error is not None:
        return "errored"
    limited = reason == "max_interactions" and command.on_limit == "fail"
    if limited or reason == "too_many_calls":
        return "failed"
    return evaluation.outcome(command.results, None)


def identify(command: TrialCommand) -> UUID:
    """Return the trial's id."""
    return command.trial_id


decider: Final = Decider[TrialCommand, Trial, TrialEvent](
    category="testing.trial",
    commands=get_args(TrialCommand),
    events=get_args(TrialEvent),
    initial=Trial(),
    evolve=evolve,
    decide=decide,
    identify=identify,
    internal=get_args(TrialCommand),
)
