"""What happened, what is asked, what follows: rules told in a sentence.

`given(history).when(command).then(event, ...)` runs the deciders over streams that are
kept in memory, with everything that a command asks of other streams. History is told by
events, or by commands that are carried out first. An event belongs to the stream that
its first field names, in the category of the decider whose event it is.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import pytest

from events.conversation import ConversationEvent
from events.errors import Failure
from events.message import Command, Event, Meta
from services.decider import AnyDecider
from services.routing import DECIDERS, decider_of
from services.testing import trials


DECIDER_OF_EVENT: Final[Mapping[type[Event], AnyDecider]] = {
    kind: decider for decider in DECIDERS for kind in decider.events
}


def stream_of(event: Event) -> str:
    """Return the stream that an event is for."""
    decider = DECIDER_OF_EVENT[type(event)]
    if isinstance(event, ConversationEvent):
        decider = trials.decider
    return f"{decider.category}-{getattr(event, event.__struct_fields__[0])}"


class World:
    """Streams in memory; a command changes all that it concerns, or nothing."""

    def __init__(self, streams: Mapping[str, tuple[Event, ...]]) -> None:
        self.streams = streams

    def state(self, decider: AnyDecider, key: UUID) -> Any:  # noqa: ANN401 - each decider has its own
        """Return the state of a stream."""
        state = decider.initial
        for event in self.streams.get(f"{decider.category}-{key}", ()):
            state = decider.evolve(state, event)
        return state

    def after(self, *events: Event) -> "World":
        """Return the world with events appended."""
        streams = dict(self.streams)
        for event in events:
            stream = stream_of(event)
            streams[stream] = (*streams.get(stream, ()), event)
        return World(streams)

    def when(
        self, command: Command, *, by: str = "user:ada", meta: Meta | None = None
    ) -> "Result":
        """Carry out a command, and what it asks of other streams."""
        meta = meta or meta_of(by)
        world, events = self, list[Event]()
        asked: list[Command] = [command]
        try:
            for request in asked:
                decider = decider_of(type(request))
                state = world.state(decider, decider.identify(request))
                decided = list(decider.decide(request, state, meta))
                stream = f"{decider.category}-{decider.identify(request)}"
                assert all(stream_of(event) == stream for event in decided)
                world = world.after(*decided)
                events += decided
                if decided:
                    asked += decider.also(request, state, meta)
        except Failure as failure:
            return Result(self, [], failure)
        return Result(world, events, None)


class Result:
    """What became of a command."""

    def __init__(
        self, world: World, events: Sequence[Event], failure: Failure | None
    ) -> None:
        self.world = world
        self.events = events
        self.failure = failure

    def then(self, *events: Event) -> World:
        """Assert that exactly these events happened, in order; none: nothing did."""
        if self.failure is not None:
            raise self.failure
        assert list(self.events) == list(events)
        return self.world

    def then_happens(self, *events: Event) -> World:
        """Assert that these events happened, in order, perhaps among others."""
        if self.failure is not None:
            raise self.failure
        rest = iter(self.events)
        for event in events:
            assert event in rest, f"{event} is not among {self.events}"
        return self.world

    def then_refused(
        self, kind: type[Failure], *, path: str | None = None, saying: str = ""
    ) -> World:
        """Assert that just this failure stopped the command, and nothing happened."""
        if self.failure is None:
            pytest.fail(f"Not refused: {self.events}")
        assert type(self.failure) is kind, repr(self.failure)
        assert path is None or self.failure.path == path, self.failure.path
        assert saying in str(self.failure)
        return self.world


def given(*history: Event | Command) -> World:
    """Return the world after some history."""
    world = World({})
    for past in history:
        if isinstance(past, Event):
            world = world.after(past)
        else:
            result = world.when(past)
            if result.failure is not None:
                raise result.failure
            world = result.world
    return world


def meta_of(actor: str = "user:ada") -> Meta:
    """Return an envelope of the organisation `acme`."""
    return Meta(
        command_id=UUID(int=1),
        org_id="acme",
        region="eu",
        actor=actor,
        correlation_id=UUID(int=1),
        occurred_at=datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC),
        roles=frozenset({"admin"}),
    )
