"""Facts about agents under test, which the seed's tables call services."""

from typing import Literal
from uuid import UUID

import msgspec

from events.ids import AgentId
from events.testing.common import Tags, TestingEvent


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent is reached; `recorded` is one that only recordings know.

    `settings` are the connection's own; secrets are named in `secret_ref`, never held.
    """

    kind: Literal["recorded", "http", "sse", "websocket", "openai", "python", "rules"]
    endpoint: str | None = None
    secret_ref: str | None = None
    settings: dict[str, str] = msgspec.field(default_factory=dict)


class AgentRegistered(TestingEvent, frozen=True, kw_only=True):
    """An agent under test is known; its first configuration follows."""

    agent_id: AgentId
    name: str
    description: str
    tags: Tags
    external_id: str | None = None


class AgentConfigured(TestingEvent, frozen=True, kw_only=True):
    """An agent has a new configuration, numbered from 1; older ones stay."""

    agent_id: AgentId
    version_id: UUID
    version: int
    connection: Connection


class VersionSetAssigned(TestingEvent, frozen=True, kw_only=True):
    """A version set of an agent, such as `release`, now names this version."""

    agent_id: AgentId
    name: str
    version: int


class AgentRetired(TestingEvent, frozen=True, kw_only=True):
    """An agent may no longer be tested."""

    agent_id: AgentId


AgentEvent = AgentRegistered | AgentConfigured | VersionSetAssigned | AgentRetired
