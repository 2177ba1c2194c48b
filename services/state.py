"""The states of streams: how they are folded, and a bounded memory of recent ones.

A remembered state may be old: it is only ever used with an append that checks its
version, or thrown away and read again before a refusal becomes final.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec

from events.message import Event
from services.decider import AnyDecider


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A stream's state at a version; `org_id` None: it does not exist yet."""

    version: int
    state: Any
    org_id: str | None


def fold(decider: AnyDecider, state: Any, events: Iterable[Event]) -> Any:  # noqa: ANN401 - each decider has its own
    """Return the state after events."""
    evolve = decider.evolve
    for event in events:
        state = evolve(state, event)
    return state


class StateCache:
    """Remembers the states of the streams that were used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._states: OrderedDict[str, Loaded] = OrderedDict()

    def get(self, stream_id: str) -> Loaded | None:
        """Return what is remembered of a stream."""
        loaded = self._states.get(stream_id)
        if loaded is not None:
            self._states.move_to_end(stream_id)
        return loaded

    def put(self, stream_id: str, loaded: Loaded) -> None:
        """Remember a stream, and forget the one unused for longest if need be."""
        states = self._states
        if stream_id in states:
            states.move_to_end(stream_id)
        states[stream_id] = loaded
        if len(states) > self._size:
            states.popitem(last=False)

    def forget(self, stream_id: str) -> None:
        """Forget a stream."""
        self._states.pop(stream_id, None)
