"""Erasures: keys destroyed as the log asks, and a ledger of them outside the database.

The follower reads `access.SubjectErased`, destroys the subject's keys, writes a line
to the ledger and only then moves its checkpoint. Every step may happen again without
effect, so a crash between two of them loses nothing and doubles nothing. The
checkpoint is written after each erasure and every `stride` positions.

Beside the ledger `<name>.ndjson`, `<name>.checkpoint` holds the position that was
followed, and the id of the event there. Where the log has another event at that
position it was restored from a backup: the follower begins anew. It also applies the
whole ledger when it starts, since a restored key store holds destroyed keys again.

A line of the ledger is a JSON object, its last field `chain` the sha256 (hex) over the
chain of the line before (64 zeros before the first) and the line without that field.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol, Self
from uuid import UUID

import msgspec
import structlog

from events.access.subjects import SubjectErased
from events.errors import Unavailable
from events.log import EventLog
from events.message import Event, Recorded
from infra.sealing import sync_directory
from infra.settings import SetupError


GENESIS: Final = "0" * 64
LINGER: Final = 0.2  # seconds, so that a log which grows is read page by page

_log: Final = structlog.get_logger()


class Shredder(Protocol):
    """The part of a vault that destroys keys."""

    async def erase(self, org_id: str, subject_id: UUID) -> Sequence[UUID]:
        """Destroy a subject's keys for ever and return their ids."""
        ...


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the ledger: whose keys were destroyed, and which event asked for it."""

    org_id: str
    subject_id: UUID
    key_ids: tuple[UUID, ...]
    position: int
    at: datetime


class Entry(Erasure, frozen=True, kw_only=True):
    """A line of the ledger as it is kept."""

    chain: str


class BrokenLedgerError(SetupError):
    """The erasure ledger was changed; restore it from a copy."""


class ErasureLedger:
    """An append-only file of erasures, one line for each subject.

    One process at a time may hold it open for writing.
    """

    def __init__(self, path: Path, descriptor: int, entries: list[Entry]) -> None:
        self.path = path
        self._descriptor = descriptor
        self._chain = entries[-1].chain if entries else GENESIS
        self._entries = entries
        self._subjects = {(entry.org_id, entry.subject_id) for entry in entries}

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open the ledger, made if it is missing; raise `SetupError` if it cannot be.

        A last line that a crash left unfinished is taken off.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            message = f"The erasure ledger {path} cannot be opened: {error.strerror}."
            raise SetupError(message) from error
        try:
            _lock(descriptor, path)
            sync_directory(path.parent)
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            entries = read_entries(content[:whole], path)
            os.ftruncate(descriptor, whole)
            yield cls(path, descriptor, entries)
        finally:
            os.close(descriptor)

    @property
    def erasures(self) -> Sequence[Erasure]:
        """Return every erasure, oldest first."""
        return tuple(self._entries)

    def add(self, erasure: Erasure) -> bool:
        """Write an erasure to disk, unless its subject is there; return if written."""
        person = erasure.org_id, erasure.subject_id
        if person in self._subjects:
            return False
        entry = _entry(erasure, self._chain)
        line = msgspec.json.encode(entry) + b"\n"
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            _write(self._descriptor, line)
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise
        self._chain = entry.chain
        self._entries.append(entry)
        self._subjects.add(person)
        return True


def read_ledger(path: Path) -> Sequence[Erasure]:
    """Return every erasure of a ledger, or `BrokenLedgerError` naming the line."""
    content = path.read_bytes()
    return read_entries(content[: content.rfind(b"\n") + 1], path)


def read_entries(content: bytes, path: Path) -> list[Entry]:
    """Return the entries of whole lines, each proved by its chain."""
    chain = GENESIS
    entries = []
    for number, line in enumerate(content.splitlines(), start=1):
        message = f"Line {number} of {path} was changed; restore it from a copy."
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except msgspec.MsgspecError as error:
            raise BrokenLedgerError(message) from error
        if msgspec.json.encode(_entry(entry, chain)) != line:
            raise BrokenLedgerError(message)
        chain = entry.chain
        entries.append(entry)
    return entries


async def reapply(
    erasures: Sequence[Erasure],
    vault: Shredder,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Destroy every key of a ledger again, as after a restore; return how many people.

    Doing it twice changes nothing.
    """
    for done, erasure in enumerate(erasures, start=1):
        await vault.erase(erasure.org_id, erasure.subject_id)
        if progress is not None:
            progress(done, len(erasures))
    return len(erasures)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The last event that was followed."""

    position: int
    event_id: UUID


class ErasureFollower:
    """Destroys keys as the log asks."""

    def __init__(
        self,
        log: EventLog,
        vault: Shredder,
        ledger: ErasureLedger,
        *,
        page: int = 1_000,
        stride: int = 10_000,
        patience: float = 30.0,
        retry_after: float = 1.0,
    ) -> None:
        self._log = log
        self._vault = vault
        self._ledger = ledger
        self._page = page
        self._stride = stride
        self._patience = patience
        self._retry_after = retry_after
        self._path = ledger.path.with_suffix(".checkpoint")
        self._position = 0
        self._kept = 0

    @property
    def position(self) -> int:
        """Return the position up to which every erasure has happened."""
        return self._position

    async def start(self) -> None:
        """Apply the ledger again, and find the place in the log to go on from."""
        await reapply(self._ledger.erasures, self._vault)
        self._position = self._kept = await self._resume()

    async def run(self) -> None:
        """Follow the log until cancelled, through absences of log and key store."""
        started = False
        while True:
            try:
                if not started:
                    await self.start()
                    started = True
                await self.catch_up()
                await self._log.wait(self._position, seconds=self._patience)
                await asyncio.sleep(LINGER)
            except Unavailable as error:
                _log.error("erasures_delayed", position=self._position, why=str(error))
                await asyncio.sleep(self._retry_after)

    async def catch_up(self) -> int:
        """Follow the log to its end, and return the position there."""
        while events := await self._log.read(self._position, self._page):
            erasing = False
            for recorded in events:
                if isinstance(recorded.event, SubjectErased):
                    await self._erase(recorded, recorded.event.subject_id)
                    erasing = True
            self._position = events[-1].position
            if erasing or self._position - self._kept >= self._stride:
                checkpoint = Checkpoint(
                    position=self._position, event_id=events[-1].event_id
                )
                await asyncio.to_thread(self._keep, checkpoint)
                self._kept = self._position
        return self._position

    async def _erase(self, recorded: Recorded[Event], subject_id: UUID) -> None:
        key_ids = await self._vault.erase(recorded.org_id, subject_id)
        erasure = Erasure(
            org_id=recorded.org_id,
            subject_id=subject_id,
            key_ids=tuple(key_ids),
            position=recorded.position,
            at=recorded.recorded_at,
        )
        if await asyncio.to_thread(self._ledger.add, erasure):
            _log.info(
                "subject_erased",
                org_id=erasure.org_id,
                subject_id=str(subject_id),
                position=erasure.position,
                keys=len(key_ids),
            )

    async def _resume(self) -> int:
        try:
            content = await asyncio.to_thread(self._path.read_bytes)
            checkpoint = msgspec.json.decode(content, type=Checkpoint)
        except (FileNotFoundError, msgspec.MsgspecError):
            return 0
        if checkpoint.position < 1:
            return 0
        found = await self._log.read(checkpoint.position - 1, 1)
        if found and found[0].event_id == checkpoint.event_id:
            return checkpoint.position
        _log.warning("log_restored", followed_to=checkpoint.position)
        return 0

    def _keep(self, checkpoint: Checkpoint) -> None:
        draft = self._path.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write(descriptor, msgspec.json.encode(checkpoint))
        finally:
            os.close(descriptor)
        draft.replace(self._path)
        sync_directory(self._path.parent)


def _entry(erasure: Erasure, previous: str) -> Entry:
    fields = {name: getattr(erasure, name) for name in Erasure.__struct_fields__}
    line = msgspec.json.encode(Erasure(**fields))
    chain = sha256(previous.encode() + line).hexdigest()
    return Entry(**fields, chain=chain)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"Another process writes the erasure ledger {path}; stop it first."
        raise SetupError(message) from error
