"""Any mixture of appends against a model so small that it is plainly right.

`check_event_log` lets hypothesis play single, repeated, concurrent and bulk appends to
a few streams of two organisations. Concurrent ones must be answered as if they had
come one after another, in the order of their positions.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from copy import deepcopy
from typing import Any, Final, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from events.log import ABSENT, ANY, PRESENT, Append, EventLog, Status, Verdict, Write
from tests.builders import (
    BODY,
    ORG,
    OTHER_BODY,
    OTHER_ORG,
    entry,
    new_stream,
    said,
    write,
)
from tests.suites.event_log import statuses


T = TypeVar("T")
OpenLog = Callable[[], AbstractAsyncContextManager[EventLog]]
Answer = tuple[Status, int, int, str | None]

STREAMS: Final = 4
ACCEPTED: Final = {Status.OK, Status.DUPLICATE}


class Model:
    """A log as a list: what each stream holds, and what each command got."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, str]] = []
        self.versions: dict[str, int] = {}
        self.owners: dict[str, str] = {}
        self.closed: set[str] = set()
        self.accepted: dict[tuple[str, UUID], tuple[bytes, Answer]] = {}

    def answers(self, command: Append) -> list[Answer]:
        """Return every answer that would be right now."""
        known = self.accepted.get(identity(command))
        if known is not None:
            body, (_, version, events, _) = known
            if body != command.body_hash:
                return [(Status.MISMATCH, 0, 0, None)]
            return [(Status.DUPLICATE, version, events, None)]
        refusals: list[Answer] = [
            (status, self.versions.get(w.stream_id, 0), 0, w.stream_id)
            for w in command.writes
            for status in self._obstacles(w, command.meta.org_id)
        ]
        return refusals or [self._granted(command)]

    def accept(self, command: Append) -> None:
        """Let a command happen."""
        self.accepted[identity(command)] = (command.body_hash, self._granted(command))
        for w in command.writes:
            version = self.versions.get(w.stream_id, 0)
            if not w.events:
                continue
            for n, event in enumerate(w.events, start=version + 1):
                self.events.append((w.stream_id, n, str(getattr(event, "text", None))))
            self.versions[w.stream_id] = version + len(w.events)
            self.owners[w.stream_id] = command.meta.org_id
            if w.closes:
                self.closed.add(w.stream_id)

    def _granted(self, command: Append) -> Answer:
        first = command.writes[:1]
        version = sum(self.versions.get(w.stream_id, 0) + len(w.events) for w in first)
        return (Status.OK, version, sum(len(w.events) for w in command.writes), None)

    def _obstacles(self, w: Write, org_id: str) -> list[Status]:
        version = self.versions.get(w.stream_id, 0)
        wrong = w.expected not in (ANY, version)
        if w.expected == PRESENT:
            wrong = version == 0
        if wrong or self.owners.get(w.stream_id, org_id) != org_id:
            conflict = [Status.CONFLICT]
        else:
            conflict = []
        if w.events and w.stream_id in self.closed:
            return [*conflict, Status.CLOSED]
        return conflict


def identity(command: Append) -> tuple[str, UUID]:
    return (command.meta.org_id, command.meta.command_id)


def summary(verdict: Verdict) -> Answer:
    if verdict.status in ACCEPTED:
        return (verdict.status, verdict.version, verdict.events, None)
    if verdict.status is Status.MISMATCH:
        return (verdict.status, 0, 0, None)
    return (verdict.status, verdict.version, 0, verdict.stream_id)


writes = st.lists(
    st.tuples(
        st.integers(0, STREAMS - 1),
        st.sampled_from(["any", "any", "right", "right", "absent", "present", "ahead"]),
        st.integers(0, 2),
        st.sampled_from([False] * 9 + [True]),
    ),
    max_size=3,
    unique_by=lambda drawn: drawn[0],
)
commands = st.tuples(writes, st.sampled_from([ORG, ORG, ORG, OTHER_ORG]))
repeats = st.tuples(st.integers(0, 1000), st.booleans())
groups = st.lists(st.one_of(commands, commands, repeats), min_size=1, max_size=6)

Drawn = tuple[Any, Any]


class EventLogMachine(RuleBasedStateMachine):
    """Plays one mixture of appends on one log."""

    open_log: OpenLog

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._log = self._run(self._stack.enter_async_context(self.open_log()))
        self._start = self._run(self._log.head()).position
        self._streams = [new_stream() for _ in range(STREAMS)]
        self._model = Model()
        self._sent: list[Append] = []

    def teardown(self) -> None:
        self._run(self._stack.aclose())
        self._run(self._loop.shutdown_asyncgens())
        self._loop.close()

    @rule(drawn=commands)
    def append(self, drawn: Drawn) -> None:
        self._append(self._command(drawn))

    @precondition(lambda self: self._sent)
    @rule(drawn=repeats)
    def append_again(self, drawn: Drawn) -> None:
        self._append(self._repeat(drawn))

    @rule(drawn=groups)
    def append_together(self, drawn: list[Drawn]) -> None:
        group = self._group(drawn)
        verdicts = self._run(self._together(group))
        answered = list(zip(group, verdicts, strict=True))
        placed = sorted(
            (pair for pair in answered if pair[1].status is Status.OK),
            key=lambda pair: (pair[1].events == 0, pair[1].position),
        )
        moments = [deepcopy(self._model)]
        for command, verdict in placed:
            if verdict.events:
                assert summary(verdict) in self._model.answers(command)
                self._model.accept(command)
                assert verdict.position == self._start + len(self._model.events)
            else:
                assert any(summary(verdict) in m.answers(command) for m in moments)
                self._model.accepted[identity(command)] = (
                    command.body_hash,
                    summary(verdict),
                )
            moments.append(deepcopy(self._model))
        for command, verdict in answered:
            if verdict.status is not Status.OK:
                assert any(summary(verdict) in m.answers(command) for m in moments)

    @rule(drawn=groups)
    def append_in_bulk(self, drawn: list[Drawn]) -> None:
        group = self._group(drawn)
        verdicts = self._run(self._log.append_bulk(group))
        after = deepcopy(self._model)
        for command, verdict in zip(group, verdicts, strict=True):
            answers = after.answers(command)
            if answers[0][0] is Status.OK:
                after.accept(command)
            elif answers[0][0] is not Status.DUPLICATE:
                assert summary(verdict) in answers
                return
            if set(statuses(verdicts)) <= ACCEPTED:
                assert summary(verdict) in answers
        assert set(statuses(verdicts)) <= ACCEPTED
        self._model = after

    @rule(page=st.integers(1, 5), after=st.integers(0, 20))
    def read(self, page: int, after: int) -> None:
        found = self._run(self._log.read(self._start + after, page))
        assert [
            (e.stream_id, e.version, str(getattr(e.event, "text", None))) for e in found
        ] == self._model.events[after : after + page]
        assert [e.position for e in found] == [
            self._start + after + n for n in range(1, len(found) + 1)
        ]

    @rule(
        index=st.integers(0, STREAMS - 1),
        after=st.integers(0, 5),
        upto=st.none() | st.integers(0, 20),
        limit=st.none() | st.integers(1, 4),
    )
    def read_stream(
        self, index: int, after: int, upto: int | None, limit: int | None
    ) -> None:
        name = self._streams[index]
        bound = None if upto is None else self._start + upto
        stream = self._run(
            self._log.read_stream(name, after=after, upto=bound, limit=limit)
        )
        assert stream.version == self._model.versions.get(name, 0)
        assert stream.org_id == self._model.owners.get(name)
        assert [(e.position, e.version) for e in stream.events] == [
            (self._start + position, version)
            for position, (owner, version, _) in enumerate(self._model.events, 1)
            if owner == name and version > after and (upto is None or position <= upto)
        ][:limit]

    @invariant()
    def the_head_is_the_last_event(self) -> None:
        head = self._run(self._log.head())
        assert head.position == self._start + len(self._model.events)

    def _append(self, command: Append) -> None:
        verdict = self._run(self._log.append(command))
        assert summary(verdict) in self._model.answers(command)
        if verdict.status is Status.OK:
            self._model.accept(command)

    async def _together(self, group: Sequence[Append]) -> list[Verdict]:
        return await asyncio.gather(*map(self._log.append, group))

    def _group(self, drawn: Sequence[Drawn]) -> list[Append]:
        return [
            self._command(each) if isinstance(each[0], list) else self._repeat(each)
            for each in drawn
            if isinstance(each[0], list) or self._sent
        ]

    def _command(self, drawn: Drawn) -> Append:
        drawn_writes, org_id = drawn
        command = entry(*(self._write(*each) for each in drawn_writes), org_id=org_id)
        self._sent.append(command)
        return command

    def _repeat(self, drawn: Drawn) -> Append:
        index, reused = drawn
        command: Append = self._sent[index % len(self._sent)]
        return replace(command, body_hash=OTHER_BODY if reused else BODY)

    def _write(self, index: int, expectation: str, events: int, closes: bool) -> Write:  # noqa: FBT001 - drawn as it is
        name = self._streams[index]
        version = self._model.versions.get(name, 0)
        expected = {
            "any": ANY,
            "right": version,
            "absent": ABSENT,
            "present": PRESENT,
            "ahead": version + 1,
        }[expectation]
        texts = (f"{len(self._sent)}.{n}" for n in range(events))
        return write(
            name, *map(said, texts), expected=expected, closes=closes and events > 0
        )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)


def check_event_log(open_log: OpenLog, *, examples: int, steps: int = 30) -> None:
    """Play mixtures of appends on logs that `open_log` opens, one log each."""
    machine = type(
        "OpenedEventLogMachine",
        (EventLogMachine,),
        {"open_log": staticmethod(open_log)},
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
