"""The job `list_address`: keep in mind where an address is written.

The address itself is in no job: it is read from the log, as long as it can be read.
"""

from collections.abc import Awaitable, Callable

from events.log import EventLog
from events.message import ERASED, Command, Meta
from events.playgrounds.playgrounds import TesterListed
from services.access.addresses import ListAddress
from services.access.users import email_key
from services.outcome import Outcome
from services.ports import Clock, Lease
from services.work.results import result_meta


Handle = Callable[[Command, Meta], Awaitable[Outcome]]
Key = Callable[[str], str]


class KeepAddress:
    """Says of addresses where they are written; again, it changes nothing."""

    def __init__(
        self, *, log: EventLog, handle: Handle, key: Key, clock: Clock
    ) -> None:
        self._log = log
        self._handle = handle
        self._key = key
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Say where the address is written that a job's event holds."""
        (recorded,) = await self._log.read(lease.job.position - 1, 1)
        event = recorded.event
        if not isinstance(event, TesterListed) or event.email == ERASED:
            return
        command = ListAddress(
            address_id=email_key(recorded.org_id, self._key(event.email)),
            subject_id=event.subject_id,
            listed_at=recorded.recorded_at,
        )
        meta = result_meta(lease, "list", occurred_at=self._clock())
        await self._handle(command, meta)
