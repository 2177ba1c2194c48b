"""A small group of read tables, and a log in memory, for tests of what feeds them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg
import msgspec

from events.ids import PersonaId
from events.message import Event, Recorded
from events.testing.personas import (
    PersonaCreated,
    PersonaDeleted,
    PersonaDetailsChanged,
    PersonaVersionAdded,
)
from projections.builds import ensure
from projections.projection import (
    Column,
    Group,
    Index,
    Projection,
    Reference,
    Rows,
    Table,
)
from projections.runner import GroupRunner
from projections.sql import Pool
from tests.postgres_ladder import Database
from tests.recorded import recorded


SPACE: Final = UUID("0d5f2a52-6a57-4b39-8a3c-2f2f6a0c8c11")
POISON: Final = "poison"
DEFECT: Final = "defect"
ERASED: Final = "gone"

PEOPLE: Final = Table(
    schema="testing",
    name="people",
    version=1,
    note="People, one row each",
    columns=(
        Column(name="_id", type="text", nullable=False, note="Identifier"),
        Column(name="org_id", type="text", nullable=False),
        Column(name="name", type="text", nullable=False),
        Column(name="role", type="text", check=f"role <> '{POISON}'"),
        Column(name="tags", type="jsonb", nullable=False),
        Column(name="words", type="text[]", nullable=False),
        Column(
            name="maker",
            type="text",
            visible="access.has_role('testing', 'admin')",
            note="Who",
        ),
    ),
    key=("_id",),
    rows="org_id = access.current_org()",
    indexes=(
        Index(columns=("org_id", "name")),
        Index(columns=("tags",), method="gin"),
        Index(columns=("name gin_trgm_ops",), method="gin", extension="pg_trgm"),
        Index(columns=("name",), method="gin", extension="no_such_extension"),
    ),
)
TALLIES: Final = Table(
    schema="testing",
    name="tallies",
    version=1,
    note="What happened how often to each organisation",
    columns=(
        Column(name="org_id", type="text", nullable=False),
        Column(name="created", type="bigint", nullable=False, default="0"),
        Column(name="changed", type="bigint", nullable=False, default="0"),
        Column(name="last", type="text"),
    ),
    key=("org_id",),
    rows="org_id = access.current_org()",
)
SAYINGS: Final = Table(
    schema="testing",
    name="sayings",
    version=1,
    note="What is known of a person, version by version",
    columns=(
        Column(name="person_id", type="text", nullable=False),
        Column(name="version", type="integer", nullable=False),
        Column(name="org_id", type="text", nullable=False),
        Column(name="text", type="text"),
        Column(name="said_at", type="timestamptz", nullable=False),
    ),
    key=("person_id", "version"),
    rows="org_id = access.current_org()",
    references=(Reference(column="person_id", table="testing.people"),),
    view="""
        SELECT s.*, p.name
        FROM {table} AS s
        LEFT JOIN testing.people AS p ON p._id = s.person_id
    """,
    view_columns=(Column(name="name", type="text", note="Name of the person"),),
)


def people(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    for each in batch:
        match each.event:
            case PersonaCreated(name=name) if name == DEFECT:
                raise ZeroDivisionError(name)
            case PersonaCreated() as event:
                rows.insert(
                    str(event.persona_id),
                    each.org_id,
                    event.name,
                    event.role,
                    msgspec.json.encode(event.tags).decode(),
                    event.name.split(),
                    each.actor_id,
                )
            case PersonaDetailsChanged() as event:
                rows.patch(
                    (str(event.persona_id),),
                    name=event.name,
                    role=event.role,
                    words=event.name.split(),
                )
            case PersonaDeleted() as event:
                rows.remove((str(event.persona_id),))


def tallies(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    for each in batch:
        match each.event:
            case PersonaCreated() as event:
                rows.add((each.org_id,), created=1)
                rows.patch((each.org_id,), last=event.name)
            case PersonaDetailsChanged() as event:
                rows.patch((each.org_id,), last=event.name)
                rows.add((each.org_id,), changed=1)


def sayings(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    for each in batch:
        match each.event:
            case PersonaVersionAdded() as event:
                rows.insert(
                    str(event.persona_id),
                    event.version,
                    each.org_id,
                    event.background,
                    each.recorded_at,
                )
            case PersonaDeleted() as event:
                rows.patch_where("person_id", str(event.persona_id), text=ERASED)


GROUP: Final = Group(
    name="testing",
    projections=(
        Projection(
            table=PEOPLE,
            events=(PersonaCreated, PersonaDetailsChanged, PersonaDeleted),
            project=people,
        ),
        Projection(
            table=TALLIES,
            events=(PersonaCreated, PersonaDetailsChanged),
            project=tallies,
        ),
        Projection(
            table=SAYINGS,
            events=(PersonaVersionAdded, PersonaDeleted),
            project=sayings,
        ),
    ),
)


def changed(
    group: Group, name: str, change: Callable[[Projection], Projection]
) -> Group:
    """Return a group in which one projection is another."""
    projections = tuple(
        change(each) if each.table.name == name else each for each in group.projections
    )
    return replace(group, projections=projections)


def with_table(**changes: Any) -> Callable[[Projection], Projection]:  # noqa: ANN401 - as `replace`
    """Return what makes a projection's table another one."""
    return lambda each: replace(each, table=replace(each.table, **changes))


class ListLog:
    """A log that only grows in memory."""

    def __init__(self, *events: Event) -> None:
        self.events: list[Recorded[Event]] = []
        self._grown = asyncio.Event()
        self.append(*events)

    def append(self, *events: Event, org_id: str = "library") -> None:
        after = len(self.events)
        self.events.extend(recorded(*events, after=after, org_id=org_id))
        self._grown.set()
        self._grown = asyncio.Event()

    @property
    def head(self) -> int:
        return len(self.events)

    async def read(self, after: int, limit: int = 1000) -> Sequence[Recorded[Event]]:
        return self.events[after : after + limit]

    async def wait(self, after: int, *, seconds: float) -> int:
        if self.head <= after:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._grown.wait(), seconds)
        return self.head


def person(number: int) -> PersonaId:
    return PersonaId(uuid5(SPACE, str(number)))


def created(number: int, name: str = "Ida", role: str = "guest") -> PersonaCreated:
    return PersonaCreated(
        persona_id=person(number), name=name, role=role, tags={"n": str(number)}
    )


def renamed(number: int, name: str, role: str = "guest") -> PersonaDetailsChanged:
    return PersonaDetailsChanged(
        persona_id=person(number), name=name, role=role, tags={}
    )


def versioned(number: int, version: int, text: str) -> PersonaVersionAdded:
    return PersonaVersionAdded(
        persona_id=person(number),
        version_id=uuid5(SPACE, f"{number}/{version}"),
        version=version,
        background=text,
        preferred_language="en",
        timezone="UTC",
    )


def deleted(number: int) -> PersonaDeleted:
    return PersonaDeleted(persona_id=person(number))


def lives(count: int) -> Iterator[Event]:
    """Yield the lives of people, interleaved."""
    for number in range(count):
        yield created(number, f"Ida {number}")
        yield versioned(number, 1, "young")
        if number >= 3:
            yield renamed(number - 3, f"Ida {number - 3} the Second")
            yield versioned(number - 3, 2, "old")
        if number >= 5 and number % 2:
            yield deleted(number - 5)


def owner(number: int = 1) -> UUID:
    return uuid5(SPACE, f"owner {number}")


@asynccontextmanager
async def projector(database: Database) -> AsyncIterator[Pool]:
    """Yield a pool of the projector."""
    async with asyncpg.create_pool(database.projector, min_size=1, max_size=8) as pool:
        yield pool


async def install(pool: Pool, group: Group = GROUP) -> None:
    async with pool.acquire() as session, session.transaction():
        await ensure(session, group)


async def feed(
    pool: Pool, log: ListLog, group: Group = GROUP, *, page: int = 7
) -> None:
    """Install a group and feed it everything that a log has."""
    await install(pool, group)
    runner = GroupRunner(group, log, pool, owner=owner(), page=page)
    await runner.catch_up(log.head)


@asynccontextmanager
async def running(runner: GroupRunner) -> AsyncIterator[None]:
    """Run a feeder meanwhile."""
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def rows_of(pool: Pool, table: str) -> list[dict[str, Any]]:
    """Return the rows of a read table as the projector sees them."""
    async with pool.acquire() as session:
        found = await session.fetch(f"SELECT * FROM testing.{table} ORDER BY 1, 2")  # noqa: S608 - our own names
    return [dict(row) for row in found]
