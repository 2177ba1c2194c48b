"""The job `expire_slot`: release a reserved place whose time is over."""

from collections.abc import Awaitable, Callable

import msgspec

from events.message import Command, Meta
from services.outcome import Outcome
from services.playgrounds.asking import ExpireSlot
from services.playgrounds.reactions import ExpireBody
from services.ports import Clock, Lease
from services.work.results import result_meta


Handle = Callable[[Command, Meta], Awaitable[Outcome]]


class ReleaseExpired:
    """Releases places; one that was used meanwhile stays used."""

    def __init__(self, *, handle: Handle, clock: Clock) -> None:
        self._handle = handle
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Release a place, if it is still reserved."""
        body = msgspec.convert(lease.job.body, ExpireBody)
        command = ExpireSlot(
            playground_id=body.playground_id, session_id=body.session_id
        )
        meta = result_meta(lease, "expire", occurred_at=self._clock())
        await self._handle(command, meta)
