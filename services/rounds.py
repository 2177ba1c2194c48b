"""The short way of a command: one remembered stream, decided in a round with others.

Most commands are for one stream that is remembered, that nobody else works on, and are
accepted. They go in rounds: all that came since the last round are guarded, then all
are decided, then all are hashed, then all are sent to the log. A step that is done many
times over takes about half of what it takes once, because the code of all the steps
together does not fit into the cache that is nearest to the processor.

Whatever does not fit goes the long way, from its beginning and with nothing done here:
a stream to be loaded or to be waited for, partners, a refusal, a conflict, a defect.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from hashlib import sha256
from typing import Final

import msgspec

from events.errors import Failure
from events.log import Append, EventLog, Status, Verdict, Write
from events.message import Command, Event, Meta
from services.decider import AnyDecider
from services.locks import StreamLocks
from services.outcome import Outcome, answer
from services.state import Loaded, StateCache


Guard = Callable[[Command, Meta], None]
Step = Callable[["Asked"], bool]

# Looking a status up in its class costs as much as a call.
_OK: Final = Status.OK
_DUPLICATE: Final = Status.DUPLICATE
_encode: Final = msgspec.json.Encoder().encode


class Asked:
    """A command on the short way; from `locked` on it holds the lock of its stream."""

    __slots__ = (
        "after",
        "body_hash",
        "command",
        "decider",
        "events",
        "future",
        "locked",
        "meta",
        "rounds",
        "stream_id",
        "version",
    )

    # They are set as they become known; to be called with them costs as much as a step.
    rounds: "Rounds"
    command: Command
    meta: Meta
    future: "asyncio.Future[Outcome | None]"
    decider: AnyDecider
    locked: bool
    stream_id: str
    version: int
    events: Sequence[Event]
    after: Loaded
    body_hash: bytes

    def entry(self) -> Append:
        """Return what the log appends, at the version that was remembered."""
        write = Write(
            stream_id=self.stream_id, events=tuple(self.events), expected=self.version
        )
        return Append(meta=self.meta, body_hash=self.body_hash, writes=(write,))

    def told(self, verdict: Verdict | Exception) -> None:
        """Learn what became of the command, let go of its stream and pass it on."""
        if not self.locked:
            return
        self.locked = False
        stream_id, rounds, outcome = self.stream_id, self.rounds, None
        rounds.locks.give_back(stream_id)
        if isinstance(verdict, Verdict):
            status = verdict.status
            if status is _OK:
                rounds.cache.put(stream_id, self.after)
                outcome = answer(self.meta, stream_id, verdict)
            else:
                rounds.cache.doubt(stream_id)
                if status is _DUPLICATE:
                    outcome = answer(self.meta, stream_id, verdict)
        future = self.future
        if future.done():
            return
        if isinstance(verdict, Failure):
            future.set_exception(verdict)
        else:
            future.set_result(outcome)


class Rounds:
    """Takes commands along the short way, as far as it leads."""

    def __init__(
        self,
        *,
        log: EventLog,
        deciders: Mapping[type[Command], AnyDecider],
        guard: Guard,
        cache: StateCache,
        locks: StreamLocks,
    ) -> None:
        self._log = log
        self._deciders = deciders
        self._guard = guard
        self.cache = cache
        self.locks = locks
        self._waiting: list[Asked] = []
        self._steps: Sequence[Step] = (
            self._admit,
            self._decide,
            self._hash,
        )
        self._context = Context()  # a round is part of no request

    def handle(self, command: Command, meta: Meta) -> "asyncio.Future[Outcome | None]":
        """Return what will be the outcome, or None for a command to go the long way.

        The future fails where the log does: the command may have been stored then.
        """
        loop = asyncio.get_running_loop()
        asked = Asked()
        asked.rounds = self
        asked.command = command
        asked.meta = meta
        asked.locked = False
        asked.future = future = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._go, context=self._context)
        self._waiting.append(asked)
        return future

    def _go(self) -> None:
        going, self._waiting = self._waiting, []
        for step in self._steps:
            left: list[Asked] = []
            for asked in going:
                try:
                    goes_on = step(asked)
                except Exception:  # noqa: BLE001 - the long way meets it again
                    goes_on = False
                if goes_on:
                    left.append(asked)
                else:
                    self._leave(asked)
            going = left
        if not going:
            return
        try:
            self._log.send([(asked.entry(), asked.told) for asked in going])
        except Exception:  # noqa: BLE001 - the long way meets it again
            for asked in going:
                self._leave(asked)

    def _leave(self, asked: Asked) -> None:
        if asked.locked:
            asked.locked = False
            self.locks.give_back(asked.stream_id)
        if not asked.future.done():
            asked.future.set_result(None)

    def _admit(self, asked: Asked) -> bool:
        command, meta = asked.command, asked.meta
        if (meta.headers and meta.on_behalf_of is not None) or asked.future.done():
            return False
        self._guard(command, meta)
        asked.decider = self._deciders[type(command)]
        asked.stream_id = asked.decider.stream(command, meta.org_id)
        asked.locked = self.locks.take(asked.stream_id)
        return asked.locked

    def _decide(self, asked: Asked) -> bool:
        command, meta, decider = asked.command, asked.meta, asked.decider
        loaded = self.cache.get(asked.stream_id)
        if loaded is None or loaded.org_id != meta.org_id:
            return False
        version, state = loaded.version, loaded.state
        expected = meta.expected_version
        if expected is not None and expected != version:
            return False
        events = decider.decide(command, state, meta)
        if events and decider.also(command, state, meta):
            return False
        asked.version = version
        asked.events = events
        evolve = decider.evolve
        for event in events:
            state = evolve(state, event)
        asked.after = Loaded(
            version=version + len(events),
            state=state,
            org_id=loaded.org_id,
        )
        return True

    def _hash(self, asked: Asked) -> bool:
        asked.body_hash = hash_of(asked.command)
        return True


def hash_of(command: Command) -> bytes:
    """Return the sha256 of a command's canonical bytes."""
    return sha256(_encode(command)).digest()
