"""Events as a log would have recorded them, one second apart, streams as in use."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from events.message import Event, Recorded


ORG: Final = "library"
REGION: Final = "eu-1"
ACTOR: Final = "user:mila"
ACTOR_ID: Final = "mila"

_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
_NAMESPACE: Final = UUID("6f1d5a3e-0000-7000-8000-000000000000")
_STREAMS: Final = {
    "events.testing.personas": ("testing.persona", "persona_id"),
    "events.testing.scenarios": ("testing.scenario", "scenario_id"),
    "events.testing.metrics": ("testing.metric", "metric_id"),
    "events.testing.agents": ("testing.agent", "agent_id"),
    "events.testing.unit_tests": ("testing.unit_test", "unit_test_id"),
    "events.testing.unit_test_sets": ("testing.unit_test_set", "set_id"),
    "events.testing.set_runs": ("testing.set_run", "run_id"),
    "events.testing.trials": ("testing.trial", "trial_id"),
    "events.testing.references": ("testing.references", "target_id"),
    "events.conversation": ("testing.trial", "conversation_id"),
    "events.reservations": ("reservation", "reservation_id"),
    "events.access.addresses": ("access.address", "address_id"),
    "events.access.readings": ("access.reading", "reading_id"),
    "events.access.subjects": ("access.subject", "subject_id"),
    "events.playgrounds.playgrounds": ("playgrounds.playground", "playground_id"),
    "events.playgrounds.allocations": ("playgrounds.allocation", "playground_id"),
    "events.playgrounds.evaluations": ("playgrounds.evaluation", "session_id"),
    "events.access.service_tokens": ("access.service_token", "token_id"),
    "events.access.sql_logins": ("access.sql_login", "login_id"),
    "events.access.users": ("access.user", "user_id"),
    "events.experiments.experiments": ("experiments.experiment", "experiment_id"),
    "events.experiments.simulations": ("experiments.simulation", "simulation_id"),
    "events.experiments.outside": ("experiments.simulation", "simulation_id"),
    "events.access.organisations": ("access.organisation", "organisation_id"),
}


def at(position: int) -> datetime:
    """Return the moment at which `recorded` puts the event of a position."""
    return _EPOCH + timedelta(seconds=position)


def stream_of(event: Event) -> str:
    """Return the stream that an event belongs to."""
    category, identifier = _STREAMS[type(event).__module__]
    return f"{category}-{getattr(event, identifier)}"


def recorded(
    *events: Event,
    after: int = 0,
    org_id: str = ORG,
    actor: str = ACTOR,
    stream_id: str | None = None,
) -> list[Recorded[Event]]:
    """Return events as recorded from position `after + 1` on."""
    return list(_recorded(events, after, org_id, actor, stream_id))


def _recorded(
    events: tuple[Event, ...],
    after: int,
    org_id: str,
    actor: str,
    stream_id: str | None,
) -> Iterator[Recorded[Event]]:
    versions: Counter[str] = Counter()
    for position, event in enumerate(events, start=after + 1):
        stream = stream_id or stream_of(event)
        versions[stream] += 1
        command_id = uuid5(_NAMESPACE, f"command-{position}")
        yield Recorded(
            position=position,
            stream_id=stream,
            version=versions[stream],
            event_id=uuid5(_NAMESPACE, f"event-{position}"),
            org_id=org_id,
            region=REGION,
            command_id=command_id,
            correlation_id=command_id,
            causation_id=None,
            actor=actor,
            ip=None,
            occurred_at=at(position),
            recorded_at=at(position),
            headers=None,
            event=event,
        )
