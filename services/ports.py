"""What the services need from outside, each as small as its users allow."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec


class Clock(Protocol):
    """The only source of now: aware, in UTC."""

    def __call__(self) -> datetime:
        """Return the present moment."""
        ...


class Ids(Protocol):
    """The only source of new identifiers: UUIDv7, ordered by creation."""

    def __call__(self) -> UUID:
        """Return a new identifier."""
        ...


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Work that an event asked for.

    `effect_key` makes it unique for all time: asking twice changes nothing. Jobs with
    one `key` run one after another in the order of their events; `not_before` delays.
    """

    effect_key: str
    kind: str
    key: str
    org_id: str
    position: int
    body: Mapping[str, object]
    not_before: datetime | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to work on a job until it expires; the log refuses an older fence."""

    job_id: UUID
    fence: int
    attempt: int
    expires_at: datetime
    job: Job


class Work(Protocol):
    """The durable state of every job: who may run it, how often it failed, when next.

    Promises: a job is leased to one worker at a time; a later lease has a higher
    fence; a job is open until a result with its latest fence is appended, or its
    attempts are used up; nothing is lost while the database lives.
    """

    async def claim(
        self, kinds: frozenset[str], *, owner: UUID, ttl: timedelta
    ) -> Lease | None:
        """Take the next runnable job, unless an earlier one of its key is open."""
        ...

    async def renew(self, lease: Lease, *, ttl: timedelta) -> Lease:
        """Extend a lease, or raise `Fenced` when it was taken over."""
        ...

    async def fail(self, lease: Lease, *, error: str, again_at: datetime) -> None:
        """Give a job back after an error, to be tried again or, at its limit, ended."""
        ...


class Delivery(Protocol):
    """A message that was received: a reference to a job, never the job itself."""

    kind: str
    job_id: UUID

    async def ack(self) -> None:
        """Say that the message needs no redelivery."""
        ...


class Transport(Protocol):
    """Wakes a worker that is free, at least once for each published reference.

    Promises: a published reference survives the death of any process; delivery is at
    least once and in no promised order; a consumer holds at most `slots` unacked.
    """

    async def publish(self, kind: str, job_ids: list[UUID]) -> None:
        """Return when every reference is kept, or raise `Unavailable`."""
        ...

    def deliveries(self, kind: str, *, slots: int) -> AsyncIterator[Delivery]:
        """Yield deliveries for ever, through reconnections."""
        ...
