"""Facts about scenarios: what a persona wants of an agent under test."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from events.ids import ScenarioId
from events.testing.common import Tags, TestingEvent


class InitialMessage(msgspec.Struct, frozen=True, kw_only=True):
    """How the conversation opens: the user speaks, something happens, or nothing.

    `starts_at` is the moment at which the conversation pretends to begin.
    """

    kind: Literal["user_message", "external_event", "skip"]
    text: str | None = None
    starts_at: datetime | None = None


class ScenarioCreated(TestingEvent, frozen=True, kw_only=True):
    """A scenario exists; its first version follows."""

    scenario_id: ScenarioId
    name: str
    tags: Tags
    external_id: str | None = None


class ScenarioDetailsChanged(TestingEvent, frozen=True, kw_only=True):
    """A scenario's details are now these."""

    scenario_id: ScenarioId
    name: str
    tags: Tags


class ScenarioVersionAdded(TestingEvent, frozen=True, kw_only=True):
    """A scenario has a new version, numbered from 1; older ones stay as they are."""

    scenario_id: ScenarioId
    version_id: UUID
    version: int
    objective: str
    instructions: str
    initial_message: InitialMessage


class ScenarioDeleted(TestingEvent, frozen=True, kw_only=True):
    """A scenario may no longer be used."""

    scenario_id: ScenarioId


ScenarioEvent = (
    ScenarioCreated | ScenarioDetailsChanged | ScenarioVersionAdded | ScenarioDeleted
)
