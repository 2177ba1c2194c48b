"""Facts about personas: the simulated people who talk to an agent under test."""

from uuid import UUID

from events.ids import PersonaId
from events.testing.common import Tags, TestingEvent


class PersonaCreated(TestingEvent, frozen=True, kw_only=True):
    """A persona exists; its first version follows."""

    persona_id: PersonaId
    name: str
    role: str
    tags: Tags
    external_id: str | None = None


class PersonaDetailsChanged(TestingEvent, frozen=True, kw_only=True):
    """A persona's details are now these."""

    persona_id: PersonaId
    name: str
    role: str
    tags: Tags


class PersonaVersionAdded(TestingEvent, frozen=True, kw_only=True):
    """A persona has a new version, numbered from 1; older ones stay as they are."""

    persona_id: PersonaId
    version_id: UUID
    version: int
    background: str
    preferred_language: str
    timezone: str


class PersonaDeleted(TestingEvent, frozen=True, kw_only=True):
    """A persona may no longer be used."""

    persona_id: PersonaId


PersonaEvent = (
    PersonaCreated | PersonaDetailsChanged | PersonaVersionAdded | PersonaDeleted
)
