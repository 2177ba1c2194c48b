"""What the audit log is made of: columns, what a fact is about, what it may tell.

Personal text is not told, whoever asks: a fact says only that there was some. So an
erasure changes nothing here.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, get_args
from uuid import UUID

import msgspec

from events import conversation, reservations
from events.access import addresses
from events.access.readings import PersonalTextRead
from events.access.service_tokens import ServiceTokenRevoked
from events.access.sql_logins import SqlLoginTaken
from events.access.subjects import SubjectErased
from events.access.users import (
    EmailVerified,
    IdentityLinked,
    IdentityUnlinked,
    RoleGranted,
    RoleRevoked,
    UserDeactivated,
    UserErased,
    UserReactivated,
    UserRegistered,
)
from events.catalogue import tag
from events.experiments.experiments import (
    ExperimentCancelled,
    ExperimentPaused,
    ExperimentResumed,
)
from events.experiments.simulations import SimulationPaused, SimulationResumed
from events.message import SEALED, Event, Recorded
from events.playgrounds.allocations import (
    CapReached,
    LedgerClosed,
    SlotConsumed,
    SlotImported,
    SlotReleased,
    SlotReserved,
    SlotReturned,
)
from events.playgrounds.evaluations import (
    EvaluationExcluded,
    EvaluationWithdrawn,
    ModelShown,
    TextAnswered,
)
from events.playgrounds.playgrounds import (
    AccessOpened,
    AccessRestricted,
    ModelAdded,
    ModelChanged,
    ModelRemoved,
    PlaygroundActivated,
    PlaygroundArchived,
    PlaygroundDeactivated,
    PlaygroundDeleted,
    QuestionAdded,
    QuestionChanged,
    QuestionRemoved,
    TesterListed,
    TesterUnlisted,
)
from events.testing import references
from events.testing.agents import AgentRetired, VersionSetAssigned
from events.testing.metrics import MetricDeleted
from events.testing.personas import PersonaDeleted
from events.testing.scenarios import ScenarioDeleted
from events.testing.set_runs import SetRunCancelled
from events.testing.unit_test_sets import UnitTestSetDeleted
from events.testing.unit_tests import UnitTestDeleted
from projections.projection import Column, Value


SCHEMA: Final = "audit"
ADMINISTRATOR: Final = "access.has_role('access', 'admin')"
OWN_ACTS: Final = (
    "org_id = access.current_org()"
    " AND (actor = access.current_actor() OR on_behalf_of = access.current_actor()"
    f" OR {ADMINISTRATOR})"
)
SYSTEM: Final = "system:"
TRIAL: Final = "testing.trial-"

READ: Final = "read"
SECRET: Final = "[secret]"  # noqa: S105 - what stands in the place of one
SECRETS: Final = (
    *("password", "secret", "token"),
    *("email_key", "username_key", "identity_key"),
)
LONGEST: Final = 1_000  # characters of a text that are told

PARTS: Final[Mapping[type[Event], tuple[str, ...]]] = {
    PersonalTextRead: ("reading_id",),
    ModelAdded: ("model_key",),
    ModelChanged: ("model_key",),
    ModelRemoved: ("model_key",),
    QuestionAdded: ("question_id",),
    QuestionChanged: ("question_id",),
    QuestionRemoved: ("question_id",),
    TesterListed: ("number",),
    TesterUnlisted: ("number",),
    SlotReserved: ("session_id",),
    SlotConsumed: ("session_id",),
    SlotReleased: ("session_id",),
    SlotReturned: ("session_id",),
    SlotImported: ("session_id",),
    CapReached: ("model_key",),
    TextAnswered: ("question_id",),
    RoleGranted: ("area", "role"),
    RoleRevoked: ("area", "role"),
    IdentityLinked: ("provider",),
    IdentityUnlinked: ("provider",),
    VersionSetAssigned: ("name",),
}
"""The fields by which a fact is about a part of its resource."""

ENDS: Final[frozenset[type[Event]]] = frozenset(
    {
        UserErased,
        RoleRevoked,
        IdentityUnlinked,
        SqlLoginTaken,
        PlaygroundDeleted,
        ModelRemoved,
        QuestionRemoved,
        TesterUnlisted,
        MetricDeleted,
        PersonaDeleted,
        ScenarioDeleted,
        UnitTestDeleted,
        UnitTestSetDeleted,
    }
)
"""The facts after which nothing holds that was stated about the part before."""

STATES: Final[Mapping[type[Event], Mapping[str, bool]]] = {
    UserRegistered: {"active": True},
    UserDeactivated: {"active": False},
    UserReactivated: {"active": True},
    EmailVerified: {"email_verified": True},
    RoleGranted: {"granted": True},
    IdentityLinked: {"linked": True},
    SubjectErased: {"erased": True},
    ServiceTokenRevoked: {"revoked": True},
    PlaygroundActivated: {"is_active": True},
    PlaygroundDeactivated: {"is_active": False},
    PlaygroundArchived: {"archived": True},
    AccessOpened: {"restricted": False},
    AccessRestricted: {"restricted": True},
    LedgerClosed: {"is_open": False},
    ModelShown: {"shown": True},
    EvaluationWithdrawn: {"withdrawn": True},
    EvaluationExcluded: {"excluded": True},
    AgentRetired: {"retired": True},
    SetRunCancelled: {"cancelled": True},
    ExperimentPaused: {"paused": True},
    ExperimentResumed: {"paused": False},
    ExperimentCancelled: {"cancelled": True},
    SimulationPaused: {"paused": True},
    SimulationResumed: {"paused": False},
}
"""What facts say by having happened at all."""

BOOKKEEPING: Final = frozenset(
    {
        *get_args(reservations.ReservationFact),
        *get_args(references.ReferenceEvent),
        *get_args(addresses.AddressEvent),
    }
)
CONVERSATION: Final = frozenset(get_args(conversation.ConversationFact))

_encoder: Final = msgspec.json.Encoder()


def uuid(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a column of identifiers."""
    return Column(name=name, type="uuid", nullable=nullable, note=note)


def text(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a text column."""
    return Column(name=name, type="text", nullable=nullable, note=note)


def position(note: str) -> Column:
    """Return the column of a place in the log."""
    return Column(name="position", type="bigint", nullable=False, note=note)


ACTOR: Final = text("actor", "Who asked, as kind:id")
ON_BEHALF_OF: Final = text(
    "on_behalf_of", "User for whom a service asked, as user:ID", nullable=True
)
ACTION: Final = Column(
    name="action",
    type="varchar(255)",
    nullable=False,
    note="Type of the fact; read, where personal text of others was read",
)
RESOURCE_TYPE: Final = Column(
    name="resource_type",
    type="varchar(100)",
    nullable=False,
    note="What it was done to: playground, persona, user, ...",
)
RESOURCE_ID: Final = uuid("resource_id", "Which one it was done to", nullable=True)
CREATED_AT: Final = Column(
    name="created_at",
    type="timestamptz",
    nullable=False,
    note="When it was recorded",
)


def is_of_the_system(recorded: Recorded[Event]) -> bool:
    """Say whether neither a person nor a service asked for a fact."""
    return recorded.actor.startswith(SYSTEM)


def is_told(recorded: Recorded[Event]) -> bool:
    """Say whether a fact is one of an act, and no bookkeeping or line of a trial."""
    kind = type(recorded.event)
    if kind in BOOKKEEPING or is_of_the_system(recorded):
        return False
    return kind not in CONVERSATION or not recorded.stream_id.startswith(TRIAL)


def ends(event: Event) -> bool:
    """Say whether nothing holds any more that was stated about the part before."""
    return type(event) in ENDS


def resource_of(recorded: Recorded[Event]) -> tuple[str, UUID | None]:
    """Return what a fact is about: a kind, such as `playground`, and an id."""
    event = recorded.event
    if isinstance(event, SubjectErased):
        return "subject", event.subject_id
    read = event.stream_id if isinstance(event, PersonalTextRead) else None
    category, _, identifier = (read or recorded.stream_id).partition("-")
    kind = category.rpartition(".")[2]
    try:
        return kind, UUID(identifier)
    except ValueError:
        return kind, None


def action_of(event: Event) -> str:
    """Return what was done: `read`, or the type of the fact that something changed."""
    return READ if isinstance(event, PersonalTextRead) else tag(type(event))


def part_of(event: Event) -> str | None:
    """Return the part of the resource that a fact is about, as `field=value`."""
    names = PARTS.get(type(event))
    if names is None:
        return None
    return " ".join(f"{name}={getattr(event, name)}" for name in names)


def stated(event: Event, resource_id: UUID | None) -> str:
    """Return, as JSON, what a fact states, but for what names its resource and part."""
    whole: dict[str, Value] = msgspec.to_builtins(event)
    told: dict[str, Value] = {}
    part = PARTS.get(type(event), ())
    for name in event.__struct_fields__:
        value = whole[name]
        if value == str(resource_id) or name in part:
            continue
        if name in event.personal and value is not None:
            told[name] = SEALED
        else:
            told[name] = _told(name, value)
    told.update(STATES.get(type(event), {}))
    return _encoder.encode(told).decode()


def address(ip: str | None) -> str | None:
    """Return a network address that `inet` holds, or None."""
    try:
        return None if ip is None else str(ip_address(ip.partition("%")[0]))
    except ValueError:
        return None


def _told(name: str, value: Value) -> Value:
    """Return a value as it may be told, whole unless it is long."""
    if value is not None and any(each in name.lower() for each in SECRETS):
        return SECRET
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    if isinstance(value, dict):
        return {each: _told(each, held) for each, held in value.items()}
    if isinstance(value, list):
        return [_told("", each) for each in value]
    return value
