"""Three worlds that hold the same: two of one organisation, and one of another.

What happens in each is what the stories of the read tables tell, appended to the log,
under ids, people and addresses of the world's own. So whatever of another world is in
an answer can be told by what it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from events.access.organisations import OrganisationEvent
from events.access.users import UserErased
from events.experiments.columnar import MEDIA_TYPE, archived, encoded
from events.experiments.simulations import ChunkRecorded
from events.ids import SimulationId
from events.log import Append, Status, Write
from events.message import Event, Meta
from infra.clock import new_id, now
from infra.wiring import Core
from services.engines.population.columns import TABLES, array_of, records
from tests.end_to_end.stack import ORG, OTHER_ORG, REGION
from tests.projections.access import story as access
from tests.projections.playgrounds import story as playgrounds
from tests.projections.testing import story as testing
from tests.recorded import stream_of
from tests.services.experiments import examples as experiments
from tests.services.experiments import outside_examples
from tests.services.playgrounds.examples import PLAYGROUND, a_slot, session


SPACE: Final = UUID("6f1d5a3e-0000-7000-8000-000000000004")
UUIDS: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NAMES: Final = ("mila", "tess", "tom", "ted", "ines")
MAIL: Final = re.compile(r"^(\w+)@(\w+\.)?example(\.org)?$", re.IGNORECASE)


@dataclass(kw_only=True)
class World:
    """An organisation's people and what they did; `marks` are in no other world."""

    number: int
    org: str
    marks: set[bytes] = field(default_factory=set)
    made: dict[str, list[str]] = field(default_factory=dict)

    def actor(self, name: str) -> str:
        return f"user:{self.own(name)}"

    def email(self, name: str) -> str:
        return f"{name}.of.{self.number}@example.org"

    def own(self, name: str, part: str = "") -> UUID:
        """Return what a name or an id of the stories is here."""
        found = uuid5(SPACE, f"{self.number} {part} {name}")
        self.marks.add(str(found).encode())
        return found

    def playground(self, part: str) -> UUID:
        """Return the playground that is `closed`, `open`, or `listed`."""
        return self.own(str(PLAYGROUND), part)

    @property
    def evaluation(self) -> UUID:
        """Return the evaluation that Tess has begun."""
        return self.own(str(session(1)), "listed")


WORLDS: Final = (
    World(number=1, org=ORG),
    World(number=2, org=ORG),
    World(number=3, org=OTHER_ORG),
)


async def happen(core: Core, worlds: Sequence[World]) -> str:
    """Append what happens in every world to the log; return a body's address."""
    body = await core.blobs.put(chunk_body(), media_type=MEDIA_TYPE)
    for world in worlds:
        for event in events_of(world):
            await _append(core, world, event)
        await _populate(core, world, body)
    return body


def events_of(world: World) -> Iterator[Event]:
    """Yield what happens in a world, but for its populations."""
    left = (access.GONE, playgrounds.TESS_ERASED)
    people = [
        each
        for each in access.whole()
        if each not in left
        and not isinstance(each, UserErased)
        and not (isinstance(each, OrganisationEvent) and world is WORLDS[1])
    ]
    tested = testing.whole()
    evaluated = playgrounds.evaluated()
    for part, story in {
        "": [*people, *playgrounds.accounts(), *tested, *outside_examples.happened()],
        "closed": [*evaluated, *playgrounds.changes()],
        "open": evaluated,
        "listed": [
            *playgrounds.told(
                (playgrounds.CREATE, playgrounds.OWNER),
                (playgrounds.LISTED, playgrounds.OWNER),
                (a_slot(1), playgrounds.TESS),
            )
        ],
    }.items():
        for event in story:
            yield moved(event, world, part)


def moved(event: Event, world: World, part: str) -> Event:
    """Return an event of a story as it happens in a part of a world."""
    whole = _moved(msgspec.to_builtins(event), world, part)
    return msgspec.convert(whole, type(event))


def _moved(value: Any, world: World, part: str) -> Any:  # noqa: ANN401 - JSON
    match value:
        case dict():
            return {
                _moved(name, world, part): _moved(each, world, part)
                for name, each in value.items()
            }
        case list() | tuple():
            return [_moved(each, world, part) for each in value]
        case str() if value in PEOPLE:
            return str(world.own(PEOPLE[value]))
        case str() if UUIDS.fullmatch(value.encode()):
            return str(world.own(value, part))
        case str() if (found := MAIL.match(value)) is not None:
            return world.email(found[1].lower())
        case _:
            return value


PEOPLE: Final[Mapping[str, str]] = {
    **{name: name for name in NAMES},
    str(playgrounds.TESS_ID): "tess",
    str(playgrounds.TOM_ID): "tom",
    str(access.INES): "ines",
    access.RENAMED.username: access.RENAMED.username,
}


async def _append(core: Core, world: World, event: Event) -> int:
    stream_id = stream_of(event)
    category, _, identifier = stream_id.partition("-")
    ids = world.made.setdefault(category, [])
    if identifier not in ids:
        ids.append(identifier)
    command_id = new_id()
    meta = Meta(
        command_id=command_id,
        org_id=world.org,
        region=REGION,
        actor=world.actor("mila"),
        correlation_id=command_id,
        occurred_at=now(),
    )
    verdict = await core.log.append(
        Append(
            meta=meta,
            body_hash=sha256(command_id.bytes).digest(),
            writes=(Write(stream_id=stream_id, events=(event,)),),
        )
    )
    assert verdict.status is Status.OK, verdict
    return verdict.position


async def _populate(core: Core, world: World, body: str) -> None:
    """Run an experiment, of which one step is recorded."""
    for event in (experiments.CREATED, experiments.STARTED):
        await _append(core, world, moved(event, world, ""))
    asked = moved(experiments.requested(), world, "")
    position = await _append(core, world, asked)
    chunk = experiments.chunk(1, 1, body=body)
    found = replace(
        experiments.recorded(chunk),
        simulation_id=SimulationId(world.own(str(experiments.SIMULATION))),
        simulation=position,
        rows=dict.fromkeys(TABLES, 1),
    )
    assert isinstance(found, ChunkRecorded)
    await _append(core, world, found)


def chunk_body() -> bytes:
    """Return a recorded step, with a row in every table."""
    return archived(
        {name: encoded(array_of(records(kind, 1))) for name, kind in TABLES.items()}
    )
