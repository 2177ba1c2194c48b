"""Durable work in memory: the same promises as in PostgreSQL, for one process.

A call does what it does without yielding, so that no other comes between. What can be
offered is found by looking at every open job in order.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from events.errors import Fenced, Missing
from infra.postgres.work import AGAIN, job_id
from services.ports import Clock, Failed, Job, Lease, Reference
from services.reactions import Cancel, Close


EXPIRED: Final = "The lease expired."
NEVER: Final = datetime.max.replace(tzinfo=UTC)

State = Literal["ready", "leased", "done", "failed", "cancelled"]


@dataclass(kw_only=True)
class Entry:
    """A job and what became of it; entries are in the order of the log."""

    id: UUID
    job: Job
    state: State = "ready"
    due_at: datetime
    offers: int = 0
    published_at: datetime | None = None
    attempt: int = 0
    owner: UUID | None = None
    fence: int = 0
    expires_at: datetime | None = None
    error: str = ""
    ended_at: datetime | None = None
    reported: bool = False


@dataclass
class Running:
    """Which keys are open and leased, and how many of each group are leased."""

    opened: set[str] = field(default_factory=set)
    leased: set[str] = field(default_factory=set)
    groups: Counter[str] = field(default_factory=Counter)

    def admits(self, job: Job) -> bool:
        """Say whether a job may run beside what runs, and before what comes later."""
        if job.key in self.opened or job.key in self.leased:
            return False
        return (
            job.group_key is None
            or job.group_limit is None
            or self.groups[job.group_key] < job.group_limit
        )


class MemoryWork:
    """`Work` and `Offers` that live and end with the process."""

    def __init__(self, *, clock: Clock, again: timedelta = AGAIN) -> None:
        self._clock = clock
        self._again = again
        self._entries: dict[UUID, Entry] = {}
        self._changed = asyncio.Event()

    def paced(self, again: timedelta) -> "MemoryWork":
        """Return the same work, offering again after another time."""
        other = copy(self)
        other._again = again  # noqa: SLF001 - its own
        return other

    async def add(self, jobs: Iterable[Job]) -> int:
        """Add jobs in order, and return how many are new."""
        before = len(self._entries)
        for job in jobs:
            id_ = job_id(job.effect_key)
            due_at = max(self._clock(), job.not_before or self._clock())
            self._entries.setdefault(id_, Entry(id=id_, job=job, due_at=due_at))
        self._changed.set()
        return len(self._entries) - before

    async def end(
        self, closes: Iterable[Close], cancels: Iterable[tuple[Cancel, int]] = ()
    ) -> int:
        """End jobs; a cancel goes with the position of its event."""
        effects = {each.effect_key for each in closes}
        cancels = list(cancels)
        ended = 0
        for entry in self._open():
            if entry.job.effect_key in effects:
                self._end(entry, "done")
                ended += 1
            elif any(_dooms(cancel, at, entry.job) for cancel, at in cancels):
                self._end(entry, "cancelled")
                ended += 1
        return ended

    async def claim(self, job_id: UUID, *, owner: UUID, ttl: timedelta) -> Lease | None:
        """Take a job, or return None where it may not run now, or not any more."""
        entry = self._entries.get(job_id)
        now = self._clock()
        if entry is None or entry.state != "ready":
            return None
        if entry.job.not_before is not None and entry.job.not_before > now:
            return None
        if not self._running(before=entry).admits(entry.job):
            entry.due_at, entry.offers = now, 0
            return None
        entry.state, entry.owner, entry.offers = "leased", owner, 0
        entry.fence += 1
        entry.attempt += 1
        entry.expires_at = now + ttl
        return Lease(
            job_id=job_id,
            fence=entry.fence,
            attempt=entry.attempt,
            expires_at=entry.expires_at,
            job=entry.job,
        )

    async def renew(self, lease: Lease, *, ttl: timedelta) -> Lease:
        """Extend a lease, or raise `Fenced` when it was taken over."""
        entry = self._held(lease)
        if entry is None:
            raise Fenced
        entry.expires_at = self._clock() + ttl
        return msgspec.structs.replace(lease, expires_at=entry.expires_at)

    async def close(self, lease: Lease) -> None:
        """End a job whose result is recorded; one that was taken over stays open."""
        entry = self._held(lease)
        if entry is not None:
            self._end(entry, "done")

    async def fail(self, lease: Lease, *, error: str, again_at: datetime) -> None:
        """Give a job back after an error, to be tried again or, at its limit, end."""
        entry = self._held(lease)
        if entry is not None:
            self._fail(entry, error, again_at)

    async def hand_back(self, lease: Lease) -> None:
        """Give a job back that was not tried: the attempt does not count."""
        entry = self._held(lease)
        if entry is not None:
            entry.attempt -= 1
            self._reopen(entry, None)

    async def recall(self, kind: str, *, since: timedelta) -> int:
        """Have jobs offered again that were offered so long ago and not claimed."""
        now = self._clock()
        recalled = [
            entry
            for entry in self._open()
            if entry.state == "ready"
            and entry.job.kind == kind
            and entry.offers > 0
            and entry.due_at > now
            and entry.due_at - self._wait(entry.offers - 1) <= now - since
        ]
        for entry in recalled:
            entry.due_at = now
        if recalled:
            self._changed.set()
        return len(recalled)

    async def offer(self, limit: int) -> Sequence[Reference]:
        """Take up to `limit` jobs that may run and are to be published now."""
        self._changed.clear()
        now = self._clock()
        running = self._running()
        offered: list[Reference] = []
        for entry in self._open():
            job = entry.job
            if len(offered) == limit:
                break
            if entry.state == "ready" and running.admits(job) and entry.due_at <= now:
                entry.due_at = now + self._wait(entry.offers)
                entry.offers += 1
                entry.published_at = None
                offered.append(Reference(kind=job.kind, job_id=entry.id))
                if job.group_key is not None:
                    running.groups[job.group_key] += 1
            running.opened.add(job.key)
        return offered

    async def published(self, job_ids: Sequence[UUID], *, kept: bool) -> None:
        """Say that a transport keeps the references, or that it does not."""
        for id_ in job_ids:
            entry = self._entries[id_]
            if entry.state != "ready" or not entry.offers:
                continue
            if kept:
                entry.published_at = self._clock()
            else:
                entry.due_at = self._clock()

    async def sweep(self) -> int:
        """End leases that have expired; nothing waits in vain here."""
        now = self._clock()
        expired = [
            entry
            for entry in self._open()
            if entry.expires_at is not None
            and entry.state == "leased"
            and entry.expires_at <= now
        ]
        for entry in expired:
            self._fail(entry, EXPIRED, now)
        return len(expired)

    async def wait(self, *, seconds: float) -> None:
        """Return when something may be there to offer, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def failures(self, limit: int) -> Sequence[Failed]:
        """Return failed jobs whose failure was not told yet, the oldest first."""
        return [
            _failed(entry)
            for entry in self._entries.values()
            if entry.state == "failed" and not entry.reported
        ][:limit]

    async def reported(self, job_ids: Sequence[UUID]) -> None:
        """Say that the failure of jobs was told."""
        for id_ in job_ids:
            self._entries[id_].reported = True

    async def dead_letters(
        self, org_id: str | None = None, *, after: UUID | None = None, limit: int = 100
    ) -> Sequence[Failed]:
        """Return a page of failed jobs, of one organisation or of all, oldest first."""
        failed = [
            _failed(entry)
            for entry in self._entries.values()
            if entry.state == "failed" and org_id in {None, entry.job.org_id}
        ]
        failed.sort(key=lambda each: (each.failed_at, each.job_id))
        ids = [each.job_id for each in failed]
        start = 0 if after is None else ids.index(after) + 1
        return failed[start : start + limit]

    async def retry(self, job_id: UUID) -> None:
        """Open a failed job again with all its attempts, or raise `Missing`."""
        entry = self._entries.get(job_id)
        if entry is None or entry.state != "failed":
            message = f"There is no failed job {job_id}."
            raise Missing(message)
        entry.attempt = 0
        self._reopen(entry, None)

    def fenced(self, token: tuple[UUID, int]) -> bool:
        """Say whether what carries a (job id, fence) is to be refused."""
        id_, fence = token
        entry = self._entries.get(id_)
        return entry is None or entry.fence != fence or entry.state != "leased"

    def _wait(self, offers: int) -> timedelta:
        return self._again * (1 << min(offers, 8))

    def _open(self) -> list[Entry]:
        return [
            entry
            for entry in self._entries.values()
            if entry.state in {"ready", "leased"}
        ]

    def _running(self, before: Entry | None = None) -> Running:
        """Return what runs, and with `before` what is open ahead of a job."""
        running = Running()
        ahead = before is not None
        for entry in self._open():
            if entry is before:
                ahead = False
                continue
            if ahead:
                running.opened.add(entry.job.key)
            if entry.state == "leased":
                running.leased.add(entry.job.key)
                if entry.job.group_key is not None:
                    running.groups[entry.job.group_key] += 1
        return running

    def _held(self, lease: Lease) -> Entry | None:
        return None if self.fenced(lease.token) else self._entries[lease.job_id]

    def _fail(self, entry: Entry, error: str, again_at: datetime) -> None:
        entry.error = error
        if entry.attempt < entry.job.max_attempts:
            self._reopen(entry, again_at)
        else:
            self._end(entry, "failed")

    def _reopen(self, entry: Entry, again_at: datetime | None) -> None:
        entry.state = "ready"
        entry.job = msgspec.structs.replace(entry.job, not_before=again_at)
        entry.due_at = again_at or self._clock()
        entry.offers = 0
        entry.published_at = entry.ended_at = None
        entry.reported = False
        self._free(entry.job)

    def _end(self, entry: Entry, state: State) -> None:
        entry.state = state
        entry.ended_at = self._clock()
        self._free(entry.job)

    def _free(self, ended: Job) -> None:
        """Make due what may have waited for a job."""
        now = self._clock()
        for entry in self._open():
            job = entry.job
            if entry.state == "ready" and (
                job.key == ended.key
                or (job.group_key is not None and job.group_key == ended.group_key)
            ):
                entry.due_at = max(now, job.not_before or now)
        self._changed.set()


def _dooms(cancel: Cancel, position: int, job: Job) -> bool:
    named = (cancel.key is not None and cancel.key == job.key) or (
        cancel.group_key is not None and cancel.group_key == job.group_key
    )
    return named and job.position < position


def _failed(entry: Entry) -> Failed:
    return Failed(
        job_id=entry.id,
        fence=entry.fence,
        attempts=entry.attempt,
        error=entry.error,
        failed_at=entry.ended_at or NEVER,
        job=entry.job,
    )
