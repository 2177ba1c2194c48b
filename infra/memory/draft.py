"""The rules of an append: what a commit would change, decided entry by entry."""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Final, cast
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.log import ANY, PRESENT, Append, Status, Verdict, Write
from events.message import Meta
from services.ports import Fences


ACCEPTED: Final = frozenset({Status.OK, Status.DUPLICATE})


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """An event as JSON that is ready to be stored, sealed where it has a key."""

    event_id: UUID
    kind: str
    data: bytes
    key_id: UUID | None


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in its stream, before it has one in the log."""

    stream_id: str
    version: int
    sealed: Sealed
    meta: Meta


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream stands: its version, its owner, and whether it may grow."""

    version: int = 0
    org_id: str | None = None
    closed: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an accepted command asked and got."""

    body_hash: bytes
    verdict: Verdict


NOWHERE: Final = Place()


class Draft:
    """What a commit would change, decided entry by entry and not yet done."""

    def __init__(
        self,
        places: Mapping[str, Place],
        outcomes: Mapping[tuple[str, UUID], Outcome],
        *,
        head: int,
        fences: Fences | None = None,
    ) -> None:
        self._head = head
        self._fences = fences
        self.facts: list[Fact] = []
        self.places: dict[str, Place] = {}
        self.outcomes: dict[tuple[str, UUID], Outcome] = {}
        self._all_places = ChainMap(
            self.places, cast("MutableMapping[str, Place]", places)
        )
        self._all_outcomes = ChainMap(
            self.outcomes, cast("MutableMapping[tuple[str, UUID], Outcome]", outcomes)
        )

    def decide(self, entry: Append, writes: Sequence[Sequence[Sealed]]) -> Verdict:
        """Answer one entry, as if the accepted ones before it were done."""
        key = (entry.meta.org_id, entry.meta.command_id)
        known = answer(self._all_outcomes.get(key), entry.body_hash)
        if known is not None:
            return known
        fence = entry.meta.fence
        if fence is not None and self._fences is not None and self._fences(fence):
            return Verdict(status=Status.FENCED)
        for write in entry.writes:
            obstacle = self._obstacle(write, entry.meta.org_id)
            if obstacle is not None:
                return obstacle
        for write, sealed in zip(entry.writes, writes, strict=True):
            self._accept(write, sealed, entry.meta)
        verdict = Verdict(
            status=Status.OK,
            position=self._head + len(self.facts) if any(writes) else 0,
            version=self._version(entry.writes[0]) if entry.writes else 0,
            events=sum(map(len, writes)),
        )
        self.outcomes[key] = Outcome(body_hash=entry.body_hash, verdict=verdict)
        return verdict

    def _version(self, write: Write) -> int:
        return self._all_places.get(write.stream_id, NOWHERE).version

    def _obstacle(self, write: Write, org_id: str) -> Verdict | None:
        place = self._all_places.get(write.stream_id, NOWHERE)
        status = None
        if place.org_id not in (None, org_id):
            status = Status.CONFLICT
        elif place.closed and write.events:
            status = Status.CLOSED
        elif not fits(write.expected, place.version):
            status = Status.CONFLICT
        if status is None:
            return None
        return Verdict(status=status, stream_id=write.stream_id, version=place.version)

    def _accept(self, write: Write, sealed: Sequence[Sealed], meta: Meta) -> None:
        if not sealed:
            return
        place = self._all_places.get(write.stream_id, NOWHERE)
        self.facts += [
            Fact(stream_id=write.stream_id, version=n, sealed=event, meta=meta)
            for n, event in enumerate(sealed, start=place.version + 1)
        ]
        self.places[write.stream_id] = Place(
            version=place.version + len(sealed),
            org_id=meta.org_id,
            closed=write.closes,
        )


def fits(expected: int, version: int) -> bool:
    """Say whether a stream's version is as expected."""
    if expected == ANY:
        return True
    if expected == PRESENT:
        return version > 0
    return version == expected


def answer(outcome: Outcome | None, body_hash: bytes) -> Verdict | None:
    """Return what a command gets that was perhaps accepted before."""
    if outcome is None:
        return None
    if outcome.body_hash != body_hash:
        return Verdict(status=Status.MISMATCH)
    return replace(outcome.verdict, status=Status.DUPLICATE)


def forgotten(verdict: Verdict) -> Verdict:
    """Return the answer to an entry of a bulk append that did not happen."""
    return Verdict(status=Status.OK) if verdict.status is Status.OK else verdict
