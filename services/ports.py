"""What the services need from outside, each as small as its users allow."""

from collections.abc import AsyncGenerator, Mapping, Sequence
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
    Of the jobs with one `group_key` at most `group_limit` run at a time. `headers`
    holds the W3C trace context, `event_id` and `correlation_id` what results refer to.
    """

    effect_key: str
    kind: str
    key: str
    org_id: str
    region: str
    position: int
    event_id: UUID
    correlation_id: UUID
    body: Mapping[str, object]
    not_before: datetime | None = None
    group_key: str | None = None
    group_limit: int | None = None
    max_attempts: int = 5
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to work on a job until it expires; the log refuses an older fence."""

    job_id: UUID
    fence: int
    attempt: int
    expires_at: datetime
    job: Job

    @property
    def token(self) -> tuple[UUID, int]:
        """Return what `Meta.fence` of the job's results has to be."""
        return self.job_id, self.fence


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a transport carries of a job: enough to claim it, never the job itself."""

    kind: str
    job_id: UUID


class Work(Protocol):
    """The durable state of every job: who may run it, how often it failed, when next.

    Promises: a job is leased to one worker at a time; a later lease has a higher
    fence; jobs of one key run one after another in the order of their positions, and
    of a group never more than its limit; a job is open until it is closed, cancelled
    or its attempts are used up; nothing is lost while the database lives.
    """

    async def claim(self, job_id: UUID, *, owner: UUID, ttl: timedelta) -> Lease | None:
        """Take a job, or return None where it may not run now, or not any more.

        It may not while an earlier one of its key is open, its group is at its limit,
        its time has not come, or somebody holds it. It is offered again once it may.
        """
        ...

    async def renew(self, lease: Lease, *, ttl: timedelta) -> Lease:
        """Extend a lease, or raise `Fenced` when it was taken over."""
        ...

    async def close(self, lease: Lease) -> None:
        """End a job whose result is recorded; one that was taken over stays open."""
        ...

    async def fail(self, lease: Lease, *, error: str, again_at: datetime) -> None:
        """Give a job back after an error, to be tried again or, at its limit, failed.

        A lease that was taken over changes nothing.
        """
        ...

    async def hand_back(self, lease: Lease) -> None:
        """Give a job back that was not tried: the attempt does not count."""
        ...

    async def recall(self, kind: str, *, since: timedelta) -> int:
        """Have jobs offered again at once that were offered before and not claimed.

        Who is free and has received nothing for so long asks for it, since whatever
        carries references may have lost some. Returns how many jobs that are.
        """
        ...


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose attempts are used up: a dead letter, until an operator retries it."""

    job_id: UUID
    fence: int
    attempts: int
    error: str
    failed_at: datetime
    job: Job


class Offers(Protocol):
    """The side of `Work` that makes jobs known to those who could run them."""

    async def offer(self, limit: int) -> Sequence[Reference]:
        """Take up to `limit` jobs that may run and are to be published now.

        What is offered and not claimed is offered again, after ever longer times.
        """
        ...

    async def published(self, job_ids: Sequence[UUID], *, kept: bool) -> None:
        """Say that a transport keeps the references, or that it does not.

        In the second case they are offered again at once.
        """
        ...

    async def sweep(self) -> int:
        """End leases that have expired and free what waits in vain; return how many."""
        ...

    async def wait(self, *, seconds: float) -> None:
        """Return when something may be there to offer, or after `seconds`."""
        ...

    async def failures(self, limit: int) -> Sequence[Failed]:
        """Return failed jobs whose failure was not told yet, the oldest first."""
        ...

    async def reported(self, job_ids: Sequence[UUID]) -> None:
        """Say that the failure of jobs was told."""
        ...


class Fences(Protocol):
    """Tells which results come from a lease that was taken over."""

    def __call__(self, token: tuple[UUID, int]) -> bool:
        """Say whether a (job id, fence) is refused: not the job's lease any more."""
        ...


class Delivery(Protocol):
    """A message that was received: a reference to a job, never the job itself."""

    @property
    def kind(self) -> str:
        """Return the job's kind."""
        ...

    @property
    def job_id(self) -> UUID:
        """Return the job's id."""
        ...

    async def ack(self) -> None:
        """Say that the message needs no redelivery; best effort, never an error."""
        ...


class Transport(Protocol):
    """Wakes a worker that is free, at least once for each published reference.

    Promises: a published reference survives the death of any process; delivery is at
    least once and in no promised order; a consumer holds at most `slots` unacked.
    What is received and not acked comes again once its consumer has ended, died or
    lost its connection. A message that is no reference is put aside and stops nobody.
    """

    async def publish(self, kind: str, job_ids: Sequence[UUID]) -> None:
        """Return when every reference is kept, or raise `Unavailable`."""
        ...

    def deliveries(self, kind: str, *, slots: int) -> AsyncGenerator[Delivery, None]:
        """Yield deliveries for ever, through reconnections; closing gives back."""
        ...
