"""The work that is measured: personas that get one version after another.

A command is JSON of about 300 bytes for a stream of its lane, at the version that the
lane has seen; it appends one event of about that size. Peers insert the same bytes.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

from events import catalogue
from events.conversation import MessageAdded
from events.ids import PersonaId
from events.log import ANY, Append, EventLog, Write
from events.message import Command, Event, Meta
from infra.clock import new_id, now
from services.decoding import command_decoder
from services.handling import Handler
from services.outcome import Outcome
from services.routing import COMMANDS
from services.testing.personas import CreatePersona


SPACE: Final = UUID("7c1f1d4e-5a55-4f0b-8f0e-3a6d0c6f2b10")
ORG: Final = "bench"
REGION: Final = "local"
ACTOR: Final = "service:bench"
ROLES: Final = frozenset({"user"})
BACKGROUND: Final = (
    "Travels for work twice a month, keeps every receipt, and asks for the price "
    "before anything else. Polite, quick to lose patience when told to wait"
)
BULK: Final = 1_000
SAID: Final = 25

decode: Final = command_decoder(COMMANDS.values())


def persona_id(name: str) -> PersonaId:
    """Return the id of the persona of a name."""
    return PersonaId(uuid5(SPACE, name))


def version_of(persona: UUID, number: int) -> bytes:
    """Return the JSON of the command that adds a persona's n-th addition."""
    return (
        f'{{"type":"testing.AddPersonaVersion","persona_id":"{persona}",'
        f'"background":"{BACKGROUND}, {number}.","preferred_language":"en-GB",'
        f'"timezone":"Europe/London"}}'
    ).encode()


def meta(expected_version: int | None = None, command_id: UUID | None = None) -> Meta:
    """Return the envelope of a new command."""
    command_id = command_id or new_id()
    return Meta(
        command_id=command_id,
        org_id=ORG,
        region=REGION,
        actor=ACTOR,
        correlation_id=command_id,
        occurred_at=now(),
        ip="127.0.0.1",
        roles=ROLES,
        expected_version=expected_version,
    )


async def create_personas(handler: Handler, names: Sequence[str]) -> None:
    """Create personas; each stream is at version 2 afterwards."""
    requests: list[tuple[Command, Meta]] = [
        (
            CreatePersona(
                persona_id=persona_id(name),
                name=f"Traveller {name}",
                role="customer",
                background=BACKGROUND,
            ),
            meta(),
        )
        for name in names
    ]
    for answer in await handler.handle_bulk(requests):
        if not isinstance(answer, Outcome):
            raise answer


def versions_of(persona: UUID) -> tuple[bytes, bytes]:
    """Return the JSON of two commands that change a persona back and forth.

    Whoever sends them has it ready: what is measured is not how it is written.
    """
    return version_of(persona, 0), version_of(persona, 1)


class Lane:
    """A persona that one lane works on, and what the lane has seen of it."""

    def __init__(self, persona: UUID) -> None:
        self.version = 2
        self._bodies = versions_of(persona)

    def next(self) -> tuple[bytes, Meta]:
        """Return the JSON of the next command and its envelope."""
        return self._bodies[self.version & 1], meta(self.version)


async def handle(handler: Handler, lane: Lane) -> None:
    """Decode and handle a lane's next command, as an edge does."""
    raw, envelope = lane.next()
    outcome = await handler.handle(decode(raw), envelope)
    lane.version = outcome.version


def example_event() -> Event:
    """Return an event as the commands append it."""
    return MessageAdded(
        conversation_id=persona_id("example"), seq=1, role="user", text=BACKGROUND
    )


def conversations(count: int) -> Iterator[Append]:
    """Yield appends that each write one conversation, until `count` events are out."""
    for number in range(count // SAID):
        conversation = persona_id(f"conversation {number}")
        yield Append(
            meta=meta(),
            body_hash=bytes(32),
            writes=(
                Write(
                    stream_id=f"testing.trial-{conversation}",
                    events=tuple(
                        MessageAdded(
                            conversation_id=conversation,
                            seq=seq,
                            role="user" if seq % 2 else "assistant",
                            text=f"{BACKGROUND}, {number}/{seq}.",
                        )
                        for seq in range(1, SAID + 1)
                    ),
                    expected=ANY,
                ),
            ),
        )


async def fill(log: EventLog, entries: Iterator[Append]) -> int:
    """Append entries in bulk and return the head of the log."""
    chunk: list[Append] = []
    for entry in entries:
        chunk.append(entry)
        if sum_of_events(chunk) >= BULK * 5:
            await log.append_bulk(chunk)
            chunk = []
    if chunk:
        await log.append_bulk(chunk)
    return (await log.head()).position


def sum_of_events(entries: Sequence[Append]) -> int:
    """Return how many events entries append."""
    return sum(len(write.events) for entry in entries for write in entry.writes)


def row_of(place: int, stream_id: str, version: int, event: Event) -> tuple[Any, ...]:
    """Return a row as a plain table with the columns of the log takes it."""
    moment, command_id = now(), new_id()
    return (
        place,
        stream_id,
        version,
        new_id(),
        5,
        ORG,
        REGION,
        command_id,
        command_id,
        None,
        ACTOR,
        "127.0.0.1",
        moment,
        moment,
        catalogue.encode(event).decode(),
        None,
        None,
        bytes(32),
    )


COLUMNS: Final = (
    "position",
    "stream_id",
    "version",
    "event_id",
    "slice",
    "org_id",
    "region",
    "command_id",
    "correlation_id",
    "causation_id",
    "actor",
    "ip",
    "occurred_at",
    "recorded_at",
    "data",
    "headers",
    "key_id",
    "hash",
)
PLAIN_TABLE: Final = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.events (
    LIKE es.events INCLUDING ALL,
    UNIQUE (stream_id, version)
);
CREATE SEQUENCE IF NOT EXISTS bench.positions;
"""
