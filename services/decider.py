"""A decider: three pure functions that own the rules of one kind of stream.

`decide(command, state, meta)` returns the events that happen: none means that it is
already so, a raised `Refused` means no. `evolve(state, event)` is the state after an
event. `also(command, state)` names what the same request asks of other streams, each
decided by its own decider; everything is appended together or not at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid5

from events.ids import text_of
from events.message import Command, Event, Meta


C = TypeVar("C", bound=Command)
S = TypeVar("S")
E = TypeVar("E", bound=Event)


def nothing_else(_command: Command, _state: object, _meta: Meta) -> Sequence[Command]:
    """Ask nothing of other streams."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Decider(Generic[C, S, E]):
    """The rules of one kind of stream, named `<category>-<id>`.

    `identify` gives the id of the stream that a command is for. Where ids come from
    elsewhere, so that another organisation may know them, streams are kept `apart`:
    their own id is made of that one and of the organisation. `internal` lists the
    commands that only another decider's `also` may ask for.
    """

    category: str
    commands: tuple[type[C], ...]
    events: tuple[type[E], ...]
    initial: S
    evolve: Callable[[S, E], S]
    decide: Callable[[C, S, Meta], Sequence[E]]
    identify: Callable[[C], UUID]
    also: Callable[[C, S, Meta], Sequence[Command]] = nothing_else
    internal: tuple[type[C], ...] = ()
    apart: bool = False

    def stream(self, command: C, org_id: str) -> str:
        """Return the name of the stream that an organisation's command is for."""
        key = self.identify(command)
        if self.apart:
            key = uuid5(key, org_id)
        return f"{self.category}-{text_of(key)}"

    def shared(self, command: C) -> str | None:
        """Return the name that the stream has if it is older than being kept apart."""
        return f"{self.category}-{self.identify(command)}" if self.apart else None


AnyDecider = Decider[Any, Any, Any]
