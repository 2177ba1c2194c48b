"""The vault port: seals the personal text of events with a key for each data subject.

An event is sealed where its type names `personal` fields and its `subject_id` is set.
A sealed field is a JSON string `sealed:1:<base64url of nonce and ciphertext>`, made
by AES-256-GCM with the event's id, the field's name and the key's id as additional
data. The log stores and hashes the sealed form, so proofs survive an erasure.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from events.message import Event


def is_personal(event: Event) -> bool:
    """Say whether an event holds text that has to be sealed."""
    return bool(event.personal) and getattr(event, "subject_id", None) is not None


class Vault(Protocol):
    """Seals on the way into the log and opens on the way out."""

    async def seal(
        self, org_id: str, events: Sequence[tuple[UUID, Event]]
    ) -> Sequence[tuple[Event, UUID | None]]:
        """Return each (event id, event) sealed, with its key's id if it was.

        Raises `Refused` where the subject was erased.
        """
        ...

    async def open(
        self, events: Sequence[tuple[UUID, UUID | None, Event]]
    ) -> Sequence[Event]:
        """Return each (event id, key id, event) opened, `ERASED` where it cannot be."""
        ...
