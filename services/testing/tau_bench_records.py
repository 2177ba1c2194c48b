"""The records of a tau-bench file: one for each trial of each task.

A file is a JSON array of records as tau-bench writes them (Yao et al. 2024); fields
that are not named here are passed over. Refusals name the record's place in the file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from events.errors import Malformed, TooLarge
from services.testing.common import LongText, Name
from services.testing.set_runs import MAX_ENTRIES
from services.testing.specs import MAX_TRIALS
from services.testing.trials import (
    AnyEntry,
    CallId,
    Message,
    Text,
    ToolCall,
    ToolResult,
)
from services.testing.unit_test_sets import MAX_RUN_COUNT, MAX_UNIT_TESTS


STOP: Final = "###STOP###"
PASSED: Final = 1e-6


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool call calls; `arguments` is the text that the agent sent."""

    name: Name
    arguments: Text


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call of the agent."""

    id: CallId
    function: Function


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a trajectory."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Text | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: CallId | None = None
    name: Name | None = None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that the task wants."""

    name: str
    kwargs: dict[str, Any]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulated customer wants, and what a right agent does and says."""

    user_id: Name
    instruction: Annotated[LongText, Meta(min_length=1, pattern=r"\S")]
    actions: list[Action] = msgspec.field(default_factory=list)
    outputs: list[Any] = msgspec.field(default_factory=list)


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a trial; one that broke down has an error, perhaps no task."""

    task: Task | None = None
    error: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One trial of one task."""

    task_id: (
        Annotated[int, Meta(ge=0, le=2_147_483_647)]
        | Annotated[str, Meta(min_length=1, max_length=100)]
    )
    trial: Annotated[int, Meta(ge=0, le=2_147_483_647)]
    reward: float
    info: Info
    traj: Annotated[list[Turn], Meta(max_length=MAX_ENTRIES)]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A record as a trial of the run; `place` is that of the record in the file."""

    place: int
    record: Record
    entries: list[AnyEntry]

    @property
    def passed(self) -> bool:
        """Say whether the recorded reward is 1."""
        return not self.record.info.error and abs(self.record.reward - 1) <= PASSED


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A task with its trials, in the order of their numbers."""

    name: str
    task: Task
    trials: list[Trial]


def grouped(records: Sequence[Record]) -> list[Group]:
    """Return tasks in the order of the file, each with as many trials as the others."""
    if not records:
        raise Malformed("The file holds no records.", path="$")
    places: dict[tuple[str, int], int] = {}
    trials: dict[str, list[Trial]] = {}
    for place, record in enumerate(records):
        name = str(record.task_id)
        first = places.setdefault((name, record.trial), place)
        if first != place:
            message = f"Task {name}, trial {record.trial} is also record {first}."
            raise Malformed(message, path=f"$[{place}].trial")
        trials.setdefault(name, []).append(
            Trial(place=place, record=record, entries=list(entries_of(record, place)))
        )
    groups = [
        Group(
            name=name,
            task=task_of(name, found),
            trials=sorted(found, key=lambda trial: trial.record.trial),
        )
        for name, found in trials.items()
    ]
    check_sizes(groups)
    return groups


def task_of(name: str, trials: Sequence[Trial]) -> Task:
    """Return the task that all of its trials agree on."""
    found: Task | None = None
    for trial in trials:
        task = trial.record.info.task
        path = f"$[{trial.place}].info.task"
        if task is None and not trial.record.info.error:
            message = "Object missing required field `task`."
            raise Malformed(message, path=path)
        if task is not None and found is not None and task != found:
            message = f"Task {name} is another one in an earlier record."
            raise Malformed(message, path=path)
        found = found or task
    if found is None:
        message = f"No record says what task {name} is."
        raise Malformed(message, path=f"$[{trials[0].place}].info.task")
    return found


def check_sizes(groups: Sequence[Group]) -> None:
    """Refuse uneven trials and more than a run can hold."""
    first, trials = groups[0].name, len(groups[0].trials)
    for group in groups:
        if len(group.trials) != trials:
            message = (
                f"Task {group.name} has {len(group.trials)} trials, "
                f"task {first} has {trials}."
            )
            raise Malformed(message, path=f"$[{group.trials[-1].place}].trial")
    for count, limit, noun in (
        (len(groups), MAX_UNIT_TESTS, "tasks"),
        (trials, MAX_RUN_COUNT, "trials of a task"),
        (trials * len(groups), MAX_TRIALS, "trials"),
    ):
        if count > limit:
            message = f"The file has {count} {noun}; a run has at most {limit}."
            raise TooLarge(message, path="$")


def entries_of(record: Record, place: int) -> Iterator[AnyEntry]:
    """Yield a trajectory's entries; one with several tool calls becomes several."""
    names: dict[str, str] = {}
    for index, turn in enumerate(record.traj):
        path = f"$[{place}].traj[{index}]"
        if turn.role == "tool":
            yield tool_result(turn, names, path)
        elif turn.tool_calls:
            if turn.role != "assistant":
                message = f"Only the assistant calls tools, not the {turn.role}."
                raise Malformed(message, path=f"{path}.tool_calls")
            names.update({call.id: call.function.name for call in turn.tool_calls})
            yield from tool_calls(turn, turn.tool_calls)
        else:
            yield Message(role=turn.role, text=turn.content or "")


def tool_calls(turn: Turn, calls: Iterable[Call]) -> Iterator[ToolCall]:
    """Yield an entry's tool calls; what was said with them is the first one's."""
    text = turn.content
    for call in calls:
        yield ToolCall(
            call_id=call.id,
            name=call.function.name,
            arguments=call.function.arguments,
            text=text,
        )
        text = None


def tool_result(turn: Turn, names: Mapping[str, str], path: str) -> ToolResult:
    """Return a tool's answer, named as its call where it has no name of its own."""
    call_id = turn.tool_call_id
    if call_id is None:
        message = "A tool's answer needs a `tool_call_id`."
        raise Malformed(message, path=f"{path}.tool_call_id")
    name = turn.name or names.get(call_id)
    if name is None:
        message = "A tool's answer needs the `name` of the tool."
        raise Malformed(message, path=f"{path}.name")
    return ToolResult(call_id=call_id, name=name, content=turn.content or "")


def end_reason(record: Record) -> str:
    """Return how a trajectory ended, as far as its last entry shows."""
    last = record.traj[-1] if record.traj else None
    if record.info.error:
        return "error"
    if last is not None and last.role == "user" and STOP in (last.content or ""):
        return "user_stopped"
    if last is not None and last.role == "tool":
        return "tool_ended"
    return "ended"
