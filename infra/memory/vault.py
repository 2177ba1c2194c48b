"""A vault that lives as long as its process; it keeps every promise of the port."""

import os
from collections.abc import Sequence
from uuid import UUID

from events.message import Event
from infra.sealing import KEY_BYTES, DataKey, ErasedSubject, erased, subject
from infra.vault import is_personal
from services.ports import Ids


class MemoryVault:
    """Seals and opens with keys that it never writes down."""

    def __init__(self, *, ids: Ids) -> None:
        self._ids = ids
        self._key_ids: dict[tuple[str, UUID], UUID] = {}
        self._keys: dict[UUID, DataKey | None] = {}

    async def seal(
        self, org_id: str, events: Sequence[tuple[UUID, Event]]
    ) -> Sequence[tuple[Event, UUID | None]]:
        """Return each (event id, event) sealed, with its key's id if it was."""
        return [self._seal(org_id, event_id, event) for event_id, event in events]

    async def open(
        self, events: Sequence[tuple[UUID, UUID | None, Event]]
    ) -> Sequence[Event]:
        """Return each (event id, key id, event) opened, `ERASED` where it cannot be."""
        return [self._open(*sealed) for sealed in events]

    async def erase(self, org_id: str, subject_id: UUID) -> Sequence[UUID]:
        """Destroy a subject's key for ever and return its id."""
        key_id = self._key_ids.setdefault((org_id, subject_id), self._ids())
        self._keys[key_id] = None
        return [key_id]

    def _seal(
        self, org_id: str, event_id: UUID, event: Event
    ) -> tuple[Event, UUID | None]:
        if not is_personal(event):
            return event, None
        key = self._key(org_id, subject(event))
        return key.seal(event_id, event), key.key_id

    def _key(self, org_id: str, subject_id: UUID) -> DataKey:
        key_id = self._key_ids.setdefault((org_id, subject_id), self._ids())
        key = self._keys.setdefault(key_id, DataKey(key_id, os.urandom(KEY_BYTES)))
        if key is None:
            raise ErasedSubject
        return key

    def _open(self, event_id: UUID, key_id: UUID | None, event: Event) -> Event:
        if key_id is None:
            return event
        key = self._keys.get(key_id)
        return key.open(event_id, event) if key else erased(event)
