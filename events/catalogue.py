"""Every event type by its tag, and the only way to and from stored bytes."""

from collections.abc import Mapping
from typing import Final, get_args

import msgspec

from events import conversation, reservations
from events.access import (
    addresses,
    organisations,
    readings,
    service_tokens,
    sql_logins,
    subjects,
    users,
)
from events.errors import Malformed
from events.experiments import experiments, simulations
from events.message import Event
from events.playgrounds import allocations, evaluations, playgrounds
from events.testing import (
    agents,
    metrics,
    personas,
    references,
    scenarios,
    set_runs,
    trials,
    unit_test_sets,
    unit_tests,
)


UNIONS: Final = (
    conversation.ConversationFact,
    reservations.ReservationFact,
    subjects.SubjectEvent,
    allocations.AllocationEvent,
    evaluations.EvaluationEvent,
    playgrounds.PlaygroundEvent,
    organisations.OrganisationEvent,
    addresses.AddressEvent,
    readings.ReadingEvent,
    users.UserEvent,
    experiments.ExperimentEvent,
    simulations.SimulationEvent,
    service_tokens.ServiceTokenEvent,
    sql_logins.SqlLoginEvent,
    agents.AgentEvent,
    metrics.MetricEvent,
    personas.PersonaEvent,
    references.ReferenceEvent,
    scenarios.ScenarioEvent,
    set_runs.SetRunEvent,
    trials.TrialEvent,
    unit_test_sets.UnitTestSetEvent,
    unit_tests.UnitTestEvent,
)


def tag(kind: type[msgspec.Struct]) -> str:
    """Return the tag that marks a type in stored and sent JSON."""
    return str(kind.__struct_config__.tag)


EVENTS: Final[Mapping[str, type[Event]]] = {
    tag(kind): kind for union in UNIONS for kind in (get_args(union) or (union,))
}

_encoder: Final = msgspec.json.Encoder()
_decoders: Final = {name: msgspec.json.Decoder(kind) for name, kind in EVENTS.items()}


def encode(event: Event) -> bytes:
    """Return an event's JSON, its tag first."""
    return _encoder.encode(event)


def decode(kind: str, data: bytes | str) -> Event:
    """Return the event of a type that stored JSON holds."""
    decoder = _decoders.get(kind)
    if decoder is None:
        message = f"There is no event type {kind!r}."
        raise Malformed(message)
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"Not a {kind}: {error}"
        raise Malformed(message) from error
