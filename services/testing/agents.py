"""An agent under test: numbered configurations, and named sets that point to one.

The set `release` points to the first configuration until it is assigned another.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, assert_never, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.errors import Missing, Refused
from events.ids import AgentId
from events.message import Command
from events.message import Meta as Envelope
from events.testing import agents as facts
from events.testing.agents import (
    AgentConfigured,
    AgentEvent,
    AgentRegistered,
    AgentRetired,
    VersionSetAssigned,
)
from services.decider import Decider
from services.testing.common import (
    Description,
    ExternalId,
    GivenTags,
    Label,
    ListedLabel,
    Name,
    Pin,
    TestingCommand,
    VersionNumber,
    as_fact,
    check_newest,
    check_pins,
    created_once,
    still_there,
    tags_of,
    version_id,
)
from services.testing.references import CloseReferences, OpenReferences


CREATION: Final = 3  # facts
RELEASE: Final = "release"
POLICY: Final = "policy"
POLICY_BLOB: Final = "policy_sha256"
SCHEMES: Final = {
    "http": ("http", "https"),
    "sse": ("http", "https"),
    "openai": ("http", "https"),
    "websocket": ("ws", "wss"),
}


class Connection(
    facts.Connection, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """How an agent is reached; `recorded` is one that only recordings know.

    `endpoint` is an address (`http`, `sse`, `openai`, `websocket`) or an entry point
    `module:name` (`python`). `secret_ref` names a secret; a secret is never given. An
    agent by `rules` has its policy in the setting `policy`, or among the blobs under
    `policy_sha256`, and may say its `language`.
    """

    endpoint: Annotated[str, Meta(max_length=2_048)] | None = None
    secret_ref: Label | None = None
    settings: Annotated[
        dict[ListedLabel, Annotated[str, Meta(max_length=4_096)]], Meta(max_length=50)
    ] = msgspec.field(default_factory=dict)


class RegisterAgent(TestingCommand, frozen=True, kw_only=True):
    """Register an agent under test with its first configuration.

    Its version set `release` points to that configuration. Tags come as a map, or as a
    list of keys.
    """

    agent_id: AgentId
    name: Name
    connection: Connection
    description: Description = ""
    tags: GivenTags = msgspec.field(default_factory=dict)
    external_id: ExternalId | None = None


class ConfigureAgent(TestingCommand, frozen=True, kw_only=True):
    """Add a configuration to an agent, unless the newest one is the same.

    With `expected_latest_version` it is refused where another version came first.
    """

    agent_id: AgentId
    connection: Connection
    expected_latest_version: VersionNumber | None = None


class AssignVersionSet(TestingCommand, frozen=True, kw_only=True):
    """Let a version set of an agent point to a configuration."""

    agent_id: AgentId
    name: Label
    version: VersionNumber


class RetireAgent(TestingCommand, frozen=True, kw_only=True):
    """Retire an agent that no unit test uses."""

    agent_id: AgentId


class ConfirmAgentVersions(TestingCommand, frozen=True, kw_only=True):
    """Refuse unless these configurations of an agent exist, and if `live`, can run."""

    agent_id: AgentId
    pins: tuple[Pin, ...]
    live: bool = False


class ConfirmVersionSet(TestingCommand, frozen=True, kw_only=True):
    """Refuse unless an agent has this version set."""

    agent_id: AgentId
    name: str
    path: str


AgentCommand = RegisterAgent | ConfigureAgent | AssignVersionSet | RetireAgent
AnyAgentCommand = AgentCommand | ConfirmAgentVersions | ConfirmVersionSet


class NoSuchVersionSet(Missing):
    """The agent has no such version set."""


class Unreachable(Refused):
    """This kind of connection needs another endpoint."""


class CannotRun(Refused):
    """An agent of this kind cannot be run here."""


class Agent(msgspec.Struct, frozen=True):
    """An agent as its rules see it; `creation` holds its first three facts.

    `obstacles` says of each configuration, from version 1, why it cannot be run here,
    None where it can.
    """

    creation: tuple[AgentEvent, ...] = ()
    newest: AgentConfigured | None = None
    obstacles: tuple[str | None, ...] = ()
    version_sets: Mapping[str, int] = msgspec.field(default_factory=dict)
    retired: bool = False


def evolve(state: Agent, event: AgentEvent) -> Agent:
    """Return the state after an event."""
    if len(state.creation) < CREATION:
        state = replace(state, creation=(*state.creation, event))
    match event:
        case AgentRegistered():
            return state
        case AgentConfigured(connection=connection):
            obstacles = (*state.obstacles, obstacle(connection))
            return replace(state, newest=event, obstacles=obstacles)
        case VersionSetAssigned(name=name, version=version):
            return replace(state, version_sets={**state.version_sets, name: version})
        case AgentRetired():
            return replace(state, retired=True)
        case _:
            assert_never(event)


def decide(command: AnyAgentCommand, state: Agent, _meta: Envelope) -> list[AgentEvent]:
    """Return what happens: a retired agent can only be retired again."""
    if isinstance(command, RegisterAgent):
        return register(command, state)
    if isinstance(command, RetireAgent) and state.retired:
        return []
    newest = still_there(state.newest, deleted=state.retired, path="$.agent_id")
    match command:
        case ConfigureAgent():
            return configure(command, newest)
        case AssignVersionSet():
            return assign(command, state, newest)
        case RetireAgent():
            return [AgentRetired(agent_id=command.agent_id)]
        case ConfirmAgentVersions():
            check_pins(command.pins, newest.version)
            if command.live:
                check_runnable(command.pins, state)
        case ConfirmVersionSet():
            check_version_set(command, state)
        case _:
            assert_never(command)
    return []


def register(command: RegisterAgent, state: Agent) -> list[AgentEvent]:
    """Register an agent, its first configuration and its release."""
    key = command.agent_id
    creation: list[AgentEvent] = [
        AgentRegistered(
            agent_id=key,
            name=command.name,
            description=command.description,
            tags=tags_of(command.tags),
            external_id=command.external_id,
        ),
        AgentConfigured(
            agent_id=key,
            version_id=version_id(key, 1),
            version=1,
            connection=connection_of(command.connection),
        ),
        VersionSetAssigned(agent_id=key, name=RELEASE, version=1),
    ]
    return created_once(
        creation, state.creation, deleted=state.retired, path="$.agent_id"
    )


def configure(command: ConfigureAgent, newest: AgentConfigured) -> list[AgentEvent]:
    """Add a configuration that differs from the newest."""
    connection = connection_of(command.connection)
    if connection == newest.connection:
        return []
    check_newest(command.expected_latest_version, newest.version)
    number = newest.version + 1
    return [
        AgentConfigured(
            agent_id=command.agent_id,
            version_id=version_id(command.agent_id, number),
            version=number,
            connection=connection,
        )
    ]


def assign(
    command: AssignVersionSet, state: Agent, newest: AgentConfigured
) -> list[AgentEvent]:
    """Point a version set to a configuration that exists."""
    check_pins([Pin(version=command.version, path="$.version")], newest.version)
    if state.version_sets.get(command.name) == command.version:
        return []
    return [
        VersionSetAssigned(
            agent_id=command.agent_id, name=command.name, version=command.version
        )
    ]


def check_runnable(pins: Sequence[Pin], state: Agent) -> None:
    """Raise `CannotRun` for the first pinned configuration that cannot be run."""
    for pin in pins:
        reason = state.obstacles[pin.version - 1]
        if reason is not None:
            raise CannotRun(reason, path=pin.path)


def obstacle(connection: facts.Connection) -> str | None:
    """Return why an agent that is reached so cannot be run here, None where it can."""
    match connection.kind:
        case "rules":
            if {POLICY, POLICY_BLOB} & connection.settings.keys():
                return None
            return f"A rules agent needs {POLICY} or {POLICY_BLOB} in its settings."
        case "recorded":
            return "A recorded agent is known by its recordings only; it cannot run."
        case kind:
            return f"Agents of kind {kind} cannot be run yet, only those of kind rules."


def check_version_set(command: ConfirmVersionSet, state: Agent) -> None:
    """Raise `NoSuchVersionSet` unless the agent has it."""
    if command.name not in state.version_sets:
        message = f"The agent has no version set {command.name!r}."
        raise NoSuchVersionSet(message, path=command.path)


def connection_of(given: Connection) -> facts.Connection:
    """Return a connection as events hold it, if its endpoint can be what it says."""
    wanted = endpoint_error(given.kind, given.endpoint)
    if wanted is not None:
        raise Unreachable(wanted, path="$.connection.endpoint")
    return as_fact(given, facts.Connection)


def endpoint_error(kind: str, endpoint: str | None) -> str | None:
    """Return what is wrong with an endpoint for a kind of connection."""
    if kind in ("recorded", "rules"):
        return None if endpoint is None else f"A {kind} agent has no endpoint."
    if kind == "python":
        module, _, name = (endpoint or "").partition(":")
        dotted = [*module.split("."), *name.split(".")]
        good = all(part.isidentifier() for part in dotted)
        return None if good else "A python agent's endpoint is `module:name`."
    try:
        address = urlsplit(endpoint or "")
        host = address.hostname
    except ValueError:
        return "The endpoint is not an address."
    if address.scheme not in SCHEMES[kind] or not host:
        return f"The endpoint is not a {' or '.join(SCHEMES[kind])} address."
    if "@" in address.netloc:
        return "The endpoint holds a secret; name it in `secret_ref`."
    return None


def also(command: AnyAgentCommand, _state: Agent, _meta: Envelope) -> Sequence[Command]:
    """Ask that an agent may be referred to until it is retired."""
    key, path = command.agent_id, "$.agent_id"
    match command:
        case RegisterAgent():
            return [OpenReferences(target_id=key, kind="agent", path=path)]
        case RetireAgent():
            return [CloseReferences(target_id=key, path=path)]
        case _:
            return []


decider: Final = Decider[AnyAgentCommand, Agent, AgentEvent](
    category="testing.agent",
    commands=get_args(AnyAgentCommand),
    events=get_args(AgentEvent),
    initial=Agent(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.agent_id,
    also=also,
    internal=(ConfirmAgentVersions, ConfirmVersionSet),
)
