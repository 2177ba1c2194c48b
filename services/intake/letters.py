"""Letters: messages that could not be handled, kept until somebody decides.

A letter has the message as it came, but for its token: in its place stands what the
token had proven, so a letter can be handled long after the token expired.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from events.errors import Failure, Refused
from services.identity import Identity
from services.intake.message import Message


State = Literal["waiting", "dead", "done", "dropped"]


class GivenUp(Refused):
    """The broker gave the message up."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was put aside, and why.

    `waiting`: it passed a rate and is handled again at `not_before`. `dead`: it waits
    for an operator. `done`: it was handled after all. `code`, `detail` and `path` are
    those of the problem. `size` is that of the body as it came; of a body that no limit
    allows only the beginning is kept. `deliveries` counts how often it was put aside.
    """

    letter_id: UUID
    state: State
    message: Message
    identity: Identity | None
    code: str
    detail: str
    path: str | None
    size: int
    deliveries: int
    received_at: datetime
    not_before: datetime | None = None
    ended_at: datetime | None = None


class Letters(Protocol):
    """Where letters are kept: durable, and with no part in the order of commands."""

    async def keep(
        self, message: Message, identity: Identity | None, failure: Failure
    ) -> UUID:
        """Put a message aside; the same message twice is one letter.

        One that passed a rate (`TooMany`) waits for as long as it says.
        """
        ...

    async def take_due(self, limit: int, *, hold: timedelta) -> Sequence[Letter]:
        """Take letters whose time has come; what is not closed is due after `hold`."""
        ...

    async def close(self, letter_id: UUID) -> None:
        """Say that a letter was handled."""
        ...

    async def forget(self, older: timedelta) -> int:
        """Delete letters that were put aside longer ago; return how many."""
        ...
