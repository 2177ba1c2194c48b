"""The states of streams: how they are folded, and a bounded memory of recent ones.

A remembered state may be old: it is only ever used with an append that checks its
version, or brought up to date before a refusal becomes final. Since events never
change, what an old state lacks are the events after its version, and no others.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from events.message import Event
from services.decider import AnyDecider


class Loaded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stream's state at a version; `org_id` None: it does not exist yet."""

    version: int
    state: Any
    org_id: str | None


def absent(decider: AnyDecider) -> Loaded:
    """Return the state of a stream that does not exist yet."""
    return Loaded(version=0, state=decider.initial, org_id=None)


def fold(decider: AnyDecider, state: Any, events: Iterable[Event]) -> Any:  # noqa: ANN401 - each decider has its own
    """Return the state after events."""
    evolve = decider.evolve
    for event in events:
        state = evolve(state, event)
    return state


class StateCache:
    """Remembers the states of the streams that were used last.

    They are kept in two generations: once the younger is half of what is remembered,
    it is the elder, and what the elder held that was not used since is forgotten.
    """

    def __init__(self, size: int) -> None:
        self._half = max(size // 2, 1)
        self._younger: dict[str, Loaded] = {}
        self._elder: dict[str, Loaded] = {}
        self._doubted: set[str] = set()

    def get(self, stream_id: str) -> Loaded | None:
        """Return what is remembered of a stream, unless it is known to be old."""
        if stream_id in self._doubted:
            return None
        return self._younger.get(stream_id) or self._elder.get(stream_id)

    def old(self, stream_id: str) -> Loaded | None:
        """Return what is remembered of a stream, however old."""
        return self._younger.get(stream_id) or self._elder.get(stream_id)

    def put(self, stream_id: str, loaded: Loaded) -> None:
        """Remember a stream, and forget those unused for longest if need be."""
        if self._doubted:
            self._doubted.discard(stream_id)
        younger = self._younger
        younger[stream_id] = loaded
        if len(younger) >= self._half:
            self._elder, self._younger = younger, {}
            self._doubted &= younger.keys()

    def doubt(self, stream_id: str) -> None:
        """Take what is remembered of a stream for old."""
        if self.old(stream_id) is not None:
            self._doubted.add(stream_id)
