"""From a command to its events: guard, load, fold, decide, append; nowhere else.

This is the long way, which every command can go; most need only the short one, where
many go together (`services.rounds`).

A command's decider may ask the same of other streams (`also`); all streams are loaded,
all decide, and everything is appended at the versions that were read, or nothing is.
A refusal is final only on fresh state and only if the command id was not accepted
before, so a retried command gets its recorded outcome back. Where the client named no
version, a conflict is decided again until the deadline. For whom a service asks is an
active user of the organisation.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import Any, Final
from uuid import UUID

import msgspec

from events.errors import (
    Conflict,
    Failure,
    Forbidden,
    Mismatch,
    Missing,
)
from events.log import Append, EventLog, Status, Verdict, Write, stream_pages
from events.message import ON_BEHALF_OF, Command, Meta, actor_id
from services.decider import AnyDecider
from services.locks import StreamLocks
from services.outcome import Outcome, answer
from services.rounds import Rounds, hash_of
from services.state import Loaded, StateCache, absent, fold


BULK_COMMANDS: Final = 1_000
BULK_LOADS: Final = 8
PEOPLE: Final = "access.user"

Request = tuple[Command, Meta]
Known = Callable[[str], Loaded | None]

# Looking a status up in its class costs as much as a call.
_OK: Final = Status.OK
_DUPLICATE: Final = Status.DUPLICATE


class NobodyToAskFor(Forbidden):
    """No user of this organisation, who is active, can be asked for by this id."""


class Decision:
    """What a command does to its streams, the one that it is for first."""

    __slots__ = ("remembered", "states", "writes")

    def __init__(self, *, states: dict[str, Loaded], writes: dict[str, Write]) -> None:
        self.states = states
        self.writes = writes
        self.remembered = False

    def entry(self, meta: Meta, body_hash: bytes) -> Append:
        """Return what the log appends, each write at the version that was read."""
        return Append(
            meta=meta, body_hash=body_hash, writes=tuple(self.writes.values())
        )


class Handler:
    """Handles commands against one log."""

    def __init__(
        self,
        *,
        log: EventLog,
        deciders: Mapping[type[Command], AnyDecider],
        guard: Callable[[Command, Meta], None],
        cached_streams: int = 20_000,
        deadline: float = 5.0,
    ) -> None:
        self._log = log
        self._deciders = deciders
        self._people = next(
            (each for each in deciders.values() if each.category == PEOPLE), None
        )
        self._guard = guard
        self._cache = StateCache(cached_streams)
        self._locks = StreamLocks()
        self._rounds = Rounds(
            log=log,
            deciders=deciders,
            guard=guard,
            cache=self._cache,
            locks=self._locks,
        )
        self._deadline = deadline

    async def handle(self, command: Command, meta: Meta) -> Outcome:
        """Return the command's outcome, or raise the failure that stopped it."""
        try:
            outcome = await self._rounds.handle(command, meta)
        except Failure as failure:
            first = self._deciders[type(command)].stream(command, meta.org_id)
            return await self._recalled(meta, hash_of(command), first, failure)
        return outcome or await self._handle_surely(command, meta)

    async def handle_bulk(self, requests: Sequence[Request]) -> list[Outcome | Failure]:
        """Handle commands in order, each seeing the ones before; a verdict for each.

        Every 1,000 commands are one commit. All must be of one organisation.
        """
        answers: list[Outcome | Failure] = []
        for start in range(0, len(requests), BULK_COMMANDS):
            answers += await self._handle_chunk(requests[start : start + BULK_COMMANDS])
        return answers

    async def recorded(self, requests: Sequence[Request]) -> list[Outcome | None]:
        """Return the outcomes of commands that were accepted, None for others.

        All must be of one organisation.
        """
        if not requests:
            return []
        verdicts = await self._log.outcomes(
            requests[0][1].org_id,
            [(meta.command_id, hash_of(command)) for command, meta in requests],
        )
        return [
            self._answer(request, verdict)
            if verdict is not None and verdict.status is Status.DUPLICATE
            else None
            for request, verdict in zip(requests, verdicts, strict=True)
        ]

    async def state(
        self, decider: AnyDecider, key: UUID, *, org_id: str, upto: int | None = None
    ) -> tuple[int, Any]:
        """Return a stream's version and state, now or as of a position.

        Raises `Missing` where the organisation has no such stream.
        """
        stream_id = f"{decider.category}-{key}"
        loaded = await self._after(decider, stream_id, absent(decider), upto=upto)
        if not loaded.version or loaded.org_id != org_id:
            raise Missing
        return loaded.version, loaded.state

    async def _handle_surely(self, command: Command, meta: Meta) -> Outcome:
        self._guard(command, meta)
        body_hash = hash_of(command)
        first = self._deciders[type(command)].stream(command, meta.org_id)
        give_up_at = monotonic() + self._deadline
        contended: Collection[str] = (first,)
        while True:
            taken = await self._locks.acquire(contended)
            try:
                await self._check_behalf(meta, {})
                decision = await self._decide_surely(command, meta, first)
                verdict = await self._log.append(decision.entry(meta, body_hash))
                self._learn(decision, verdict)
            except Failure as failure:
                return await self._recalled(meta, body_hash, first, failure)
            finally:
                self._locks.release(taken)
            if verdict.status is not Status.CONFLICT:
                return answer(meta, first, verdict)
            stuck = meta.expected_version is not None and verdict.stream_id == first
            if stuck or monotonic() > give_up_at:
                return answer(meta, first, verdict)
            contended = {*contended, *decision.writes}

    async def _recalled(
        self, meta: Meta, body_hash: bytes, first: str, failure: Failure
    ) -> Outcome:
        """Return the outcome of a command that was accepted before, or raise."""
        (recorded,) = await self._log.outcomes(
            meta.org_id, [(meta.command_id, body_hash)]
        )
        if recorded is None:
            raise failure
        return answer(meta, first, recorded, cause=failure)

    async def _check_behalf(self, meta: Meta, known: dict[str, Loaded]) -> None:
        """Raise `NobodyToAskFor` where a service names nobody whom it can ask for."""
        if meta.on_behalf_of is None:
            return
        if self._people is None:
            raise NobodyToAskFor(path=ON_BEHALF_OF)
        stream_id = f"{PEOPLE}-{actor_id(meta.on_behalf_of)}"
        loaded = known.get(stream_id)
        if loaded is None:
            loaded = known[stream_id] = await self._load(self._people, stream_id)
        if loaded.org_id != meta.org_id or not loaded.state.active:
            raise NobodyToAskFor(path=ON_BEHALF_OF)

    async def _decide_surely(
        self, command: Command, meta: Meta, first: str
    ) -> Decision:
        """Decide, and before a refusal that rests on memory decide on fresh state."""
        decision = Decision(states={}, writes={})
        try:
            await self._decide(decision, command, meta, first, self._cache.get)
        except Failure:
            if not decision.remembered:
                raise
            decision = Decision(states={}, writes={})
            await self._decide(decision, command, meta, first, _nothing)
        return decision

    async def _decide(
        self,
        decision: Decision,
        command: Command,
        meta: Meta,
        first: str,
        known: Known,
    ) -> None:
        asked = [command]
        for request in asked:
            decider = self._deciders[type(request)]
            stream_id = (
                first if request is command else decider.stream(request, meta.org_id)
            )
            loaded = decision.states.get(stream_id)
            if loaded is None:
                loaded = known(stream_id)
                if loaded is None:
                    loaded = await self._load_for(request, decider, meta.org_id)
                else:
                    decision.remembered = True
                _check_owner(loaded, meta)
                if request is command:
                    _check_version(loaded, meta)
                decision.writes[stream_id] = Write(
                    stream_id=stream_id, events=(), expected=loaded.version
                )
            events = decider.decide(request, loaded.state, meta)
            decision.states[stream_id] = Loaded(
                version=loaded.version + len(events),
                state=fold(decider, loaded.state, events),
                org_id=meta.org_id if events else loaded.org_id,
            )
            write = decision.writes[stream_id]
            decision.writes[stream_id] = msgspec.structs.replace(
                write, events=(*write.events, *events)
            )
            if events:
                asked += decider.also(request, loaded.state, meta)

    async def _load_for(
        self, command: Command, decider: AnyDecider, org_id: str
    ) -> Loaded:
        """Load what a command is for; where nothing is, what once was shared there."""
        loaded = await self._load(decider, decider.stream(command, org_id))
        shared = decider.shared(command)
        if shared is None or loaded.version:
            return loaded
        once = await self._after(decider, shared, absent(decider))
        if once.org_id != org_id:
            return loaded
        loaded = msgspec.structs.replace(loaded, state=once.state)
        self._cache.put(decider.stream(command, org_id), loaded)
        return loaded

    async def _load(self, decider: AnyDecider, stream_id: str) -> Loaded:
        """Load a stream's state: what is remembered, and the events after it."""
        old = self._cache.old(stream_id) or absent(decider)
        loaded = await self._after(decider, stream_id, old)
        self._cache.put(stream_id, loaded)
        return loaded

    async def _after(
        self,
        decider: AnyDecider,
        stream_id: str,
        loaded: Loaded,
        *,
        upto: int | None = None,
    ) -> Loaded:
        """Return a stream's state after the events that what was loaded lacks."""
        async for page in stream_pages(
            self._log, stream_id, after=loaded.version, upto=upto
        ):
            events = [recorded.event for recorded in page.events]
            loaded = Loaded(
                version=loaded.version + len(events),
                state=fold(decider, loaded.state, events),
                org_id=page.org_id,
            )
        return loaded

    def _learn(self, decision: Decision, verdict: Verdict) -> None:
        if verdict.status is _OK:
            for stream_id, loaded in decision.states.items():
                self._cache.put(stream_id, loaded)
        else:
            for stream_id in decision.states:
                self._cache.doubt(stream_id)

    async def _handle_chunk(
        self, requests: Sequence[Request]
    ) -> list[Outcome | Failure]:
        hashes = [hash_of(command) for command, _ in requests]
        give_up_at = monotonic() + self._deadline
        while True:
            answers, entries, places = await self._decide_chunk(requests, hashes)
            verdicts = await self._log.append_bulk(entries)
            lost: Failure | None = None
            for place, entry, verdict in zip(places, entries, verdicts, strict=True):
                for write in entry.writes:
                    self._cache.doubt(write.stream_id)
                try:
                    answers[place] = self._answer(requests[place], verdict)
                except Failure as failure:
                    lost = failure
            if lost is None and not await self._done_meanwhile(
                requests, hashes, answers
            ):
                return repeat_answers(requests, answers)
            if monotonic() > give_up_at:
                raise lost or Conflict

    async def _done_meanwhile(
        self,
        requests: Sequence[Request],
        hashes: Sequence[bytes],
        answers: Sequence[Outcome | Failure | None],
    ) -> bool:
        """Say whether a command that failed was accepted since from elsewhere."""
        failed = [
            (requests[place][1].command_id, hashes[place])
            for place, given in enumerate(answers)
            if isinstance(given, Failure)
        ]
        if not failed:
            return False
        found = await self._log.outcomes(requests[0][1].org_id, failed)
        return any(
            verdict is not None and verdict.status is Status.DUPLICATE
            for verdict in found
        )

    async def _decide_chunk(
        self, requests: Sequence[Request], hashes: Sequence[bytes]
    ) -> tuple[list[Outcome | Failure | None], list[Append], list[int]]:
        """Decide in order over one overlay; return answers, entries, their places."""
        known = await self._log.outcomes(
            requests[0][1].org_id,
            [
                (meta.command_id, body_hash)
                for (_, meta), body_hash in zip(requests, hashes, strict=True)
            ],
        )
        new = [
            request
            for request, verdict in zip(requests, known, strict=True)
            if verdict is None
        ]
        overlay = await self._load_first_streams(new)
        answers: list[Outcome | Failure | None] = [None] * len(requests)
        entries: list[Append] = []
        places: list[int] = []
        seen: dict[UUID, int] = {}
        for place, (command, meta) in enumerate(requests):
            verdict = known[place]
            try:
                if verdict is not None:
                    answers[place] = self._answer((command, meta), verdict)
                    continue
                earlier = seen.setdefault(meta.command_id, place)
                if hashes[earlier] != hashes[place]:
                    raise Mismatch
                self._guard(command, meta)
                await self._check_behalf(meta, overlay)
                if earlier != place:
                    continue
                decision = Decision(states={}, writes={})
                first = self._deciders[type(command)].stream(command, meta.org_id)
                await self._decide(decision, command, meta, first, overlay.get)
            except Failure as failure:
                answers[place] = failure
                continue
            overlay.update(decision.states)
            places.append(place)
            entries.append(decision.entry(meta, hashes[place]))
        return answers, entries, places

    def _answer(self, request: Request, verdict: Verdict) -> Outcome:
        command, meta = request
        first = self._deciders[type(command)].stream(command, meta.org_id)
        return answer(meta, first, verdict)

    async def _load_first_streams(
        self, requests: Sequence[Request]
    ) -> dict[str, Loaded]:
        """Load, a few at a time, the streams that commands are for."""
        wanted: dict[str, Request] = {}
        for request in requests:
            command, meta = request
            stream_id = self._deciders[type(command)].stream(command, meta.org_id)
            wanted.setdefault(stream_id, request)
        slots = asyncio.Semaphore(BULK_LOADS)

        async def load(command: Command, meta: Meta) -> Loaded:
            async with slots:
                decider = self._deciders[type(command)]
                return await self._load_for(command, decider, meta.org_id)

        loaded = await asyncio.gather(*(load(*each) for each in wanted.values()))
        return dict(zip(wanted, loaded, strict=True))


def repeat_answers(
    requests: Sequence[Request], answers: Sequence[Outcome | Failure | None]
) -> list[Outcome | Failure]:
    """Return every answer; one that is missing repeats that of its command id."""
    first: dict[UUID, Outcome | Failure] = {}
    complete: list[Outcome | Failure] = []
    for (_, meta), given in zip(requests, answers, strict=True):
        if given is None:
            earlier = first[meta.command_id]
            if isinstance(earlier, Outcome):
                earlier = msgspec.structs.replace(earlier, status="duplicate")
            complete.append(earlier)
        else:
            first.setdefault(meta.command_id, given)
            complete.append(given)
    return complete


def _nothing(_stream_id: str) -> None:
    return None


def _check_owner(loaded: Loaded, meta: Meta) -> None:
    if loaded.org_id is not None and loaded.org_id != meta.org_id:
        raise Missing


def _check_version(loaded: Loaded, meta: Meta) -> None:
    expected = meta.expected_version
    if expected is not None and expected != loaded.version:
        raise Conflict(actual=loaded.version)
