"""The event log in memory: the same promises as the durable one, for one process.

A call seals first, then decides and appends without yielding, so that no other call
can come between. Events are held as the JSON that the durable log would store, hashed
and chained by the same rules: receipts of both can be checked by the same code.
"""

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from events import catalogue
from events.errors import Malformed, Missing
from events.log import Append, Head, Stream, Told, Verdict
from events.message import Event, Recorded
from events.packing import Packed
from infra.memory.draft import (
    ACCEPTED,
    NOWHERE,
    Draft,
    Outcome,
    Place,
    Sealed,
    answer,
    forgotten,
)
from infra.memory.rows import Row, stored
from infra.vault import Vault, is_personal
from services.ports import Clock, Fences, Ids


GENESIS: Final = bytes(32)


class MemoryBlobs:
    """`Blobs` that live and end with the process."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    async def put(self, content: bytes, *, media_type: str) -> str:  # noqa: ARG002 - the port's
        """Keep a body and return its sha256; keeping it twice changes nothing."""
        name = hashlib.sha256(content).hexdigest()
        self.contents.setdefault(name, content)
        return name

    async def put_packed(self, *bodies: Packed) -> None:
        """Keep bodies that were packed where they were made."""
        for body in bodies:
            self.contents.setdefault(body.sha256, body.opened())

    async def get(self, sha256: str) -> bytes:
        """Return a body, or raise `Missing`."""
        try:
            return self.contents[sha256]
        except KeyError:
            message = f"There is no blob {sha256!r}."
            raise Missing(message) from None


class MemoryEventLog:
    """An `EventLog` that lives and ends with the process."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        vault: Vault | None = None,
        fences: Fences | None = None,
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._vault = vault
        self._fences = fences
        self._rows: list[Row] = []
        self._chain = GENESIS
        self._places: dict[str, Place] = {}
        self._positions: dict[str, list[int]] = {}
        self._outcomes: dict[tuple[str, UUID], Outcome] = {}
        self._grown = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()

    def send(self, asked: Sequence[tuple[Append, Told]]) -> None:
        """Append each entry, and tell what became of it."""
        for entry, told in asked:
            task = asyncio.create_task(self._tell(entry, told))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def append(self, entry: Append) -> Verdict:
        """Append one command's events."""
        (verdict,) = await self._append([entry])
        return verdict

    async def append_bulk(self, entries: Sequence[Append]) -> Sequence[Verdict]:
        """Append many commands' events in order, all or none."""
        return await self._append(entries)

    async def read(self, after: int, limit: int = 1000) -> Sequence[Recorded[Event]]:
        """Return the events at positions `after + 1 ...`, at most `limit`, in order."""
        return await self._opened(self._rows[after : after + limit])

    async def read_stream(
        self,
        stream_id: str,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> Stream:
        """Return a stream's events with versions above `after`, in order."""
        place = self._places.get(stream_id, NOWHERE)
        end = None if limit is None else after + limit
        positions = self._positions.get(stream_id, [])[after:end]
        rows = [
            self._rows[position - 1]
            for position in positions
            if upto is None or position <= upto
        ]
        return Stream(
            stream_id=stream_id,
            version=place.version,
            org_id=place.org_id,
            events=await self._opened(rows),
        )

    async def head(self) -> Head:
        """Return the end of the log."""
        return Head(
            position=len(self._rows),
            recorded_at=self._rows[-1].recorded_at if self._rows else None,
            chain=self._chain,
        )

    async def wait(self, after: int, *, seconds: float) -> int:
        """Return the head's position once it is above `after`, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self._rows) <= after:
                    await self._grown.wait()
        return len(self._rows)

    async def position_at(self, moment: datetime) -> int:
        """Return the last position recorded at or before a moment, 0 for none."""
        return bisect_right(self._rows, moment, key=lambda row: row.recorded_at)

    async def outcomes(
        self, org_id: str, asked: Sequence[tuple[UUID, bytes]]
    ) -> Sequence[Verdict | None]:
        """Return what is recorded for each (command id, body hash), in order."""
        return [
            answer(self._outcomes.get((org_id, command_id)), body_hash)
            for command_id, body_hash in asked
        ]

    async def _tell(self, entry: Append, told: Told) -> None:
        try:
            answer = await self.append(entry)
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it
            told(error)
        else:
            told(answer)

    async def _append(self, entries: Sequence[Append]) -> list[Verdict]:
        sealed = [await self._seal(entry) for entry in entries]
        await asyncio.sleep(0)  # so that callers interleave, as on any real log
        draft = Draft(
            self._places,
            self._outcomes,
            head=len(self._rows),
            fences=self._fences,
        )
        verdicts = [
            draft.decide(entry, writes)
            for entry, writes in zip(entries, sealed, strict=True)
        ]
        if any(verdict.status not in ACCEPTED for verdict in verdicts):
            return [forgotten(verdict) for verdict in verdicts]
        self._commit(draft)
        return [self._final(*pair) for pair in zip(entries, verdicts, strict=True)]

    async def _seal(self, entry: Append) -> list[list[Sealed]]:
        streams = {write.stream_id for write in entry.writes}
        if len(streams) < len(entry.writes):
            raise ValueError("A command writes to each stream at most once.")
        key = (entry.meta.org_id, entry.meta.command_id)
        if key in self._outcomes:
            return []
        return [
            [await self._sealed(entry.meta.org_id, event) for event in write.events]
            for write in entry.writes
        ]

    async def _sealed(self, org_id: str, event: Event) -> Sealed:
        event_id = self._ids()
        key_id = None
        if self._vault is not None and is_personal(event):
            ((event, key_id),) = await self._vault.seal(org_id, [(event_id, event)])
        try:
            data = catalogue.encode(event)
        except UnicodeEncodeError as error:
            message = f"Not text: {error}"
            raise Malformed(message) from error
        kind = catalogue.tag(type(event))
        return Sealed(event_id=event_id, kind=kind, data=data, key_id=key_id)

    async def _opened(self, rows: Sequence[Row]) -> list[Recorded[Event]]:
        sealed = [row.fact.sealed for row in rows]
        events = [catalogue.decode(each.kind, each.data) for each in sealed]
        if self._vault is not None:
            locked = [n for n, each in enumerate(sealed) if each.key_id]
            opened = await self._vault.open(
                [(sealed[n].event_id, sealed[n].key_id, events[n]) for n in locked]
            )
            for n, event in zip(locked, opened, strict=True):
                events[n] = event
        return [row.recorded(event) for row, event in zip(rows, events, strict=True)]

    def _commit(self, draft: Draft) -> None:
        now = self._clock()
        if self._rows:
            now = max(now, self._rows[-1].recorded_at)
        rows = [
            stored(fact, position=position, recorded_at=now)
            for position, fact in enumerate(draft.facts, start=len(self._rows) + 1)
        ]
        if rows:
            hashes = b"".join(row.hash for row in rows)
            self._chain = hashlib.sha256(self._chain + hashes).digest()
        self._rows += rows
        for row in rows:
            self._positions.setdefault(row.fact.stream_id, []).append(row.position)
        self._places |= draft.places
        receipt = f"{len(self._rows)}-{self._chain.hex()}"
        for key, outcome in draft.outcomes.items():
            verdict = replace(
                outcome.verdict,
                position=outcome.verdict.position or len(self._rows),
                recorded_at=now,
                receipt=receipt,
            )
            self._outcomes[key] = replace(outcome, verdict=verdict)
        if rows:
            self._grown.set()
            self._grown = asyncio.Event()

    def _final(self, entry: Append, verdict: Verdict) -> Verdict:
        outcome = self._outcomes[entry.meta.org_id, entry.meta.command_id]
        return replace(outcome.verdict, status=verdict.status)
