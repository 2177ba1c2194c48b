"""The dispatcher: what follows from events happens once, and in their order."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from events.conversation import MessageAdded
from events.errors import Missing, Refused, Unavailable
from events.message import Command, Event, Meta, Recorded
from infra.clock import now
from infra.memory.event_log import MemoryEventLog
from infra.postgres.work import PostgresWork
from projections import parking
from projections.checkpoints import checkpoint
from projections.sql import Pool
from services.access.subjects import EraseSubject, decider
from services.ports import Job
from services.reactions import Cancel, Close, React, Reaction, effect_key, job
from services.work.dispatching import FEED, Dispatcher
from tests.builders import new_id, new_stream, told
from tests.infra.postgres_work import PostgresDesk, open_desk
from tests.postgres_ladder import Database
from tests.projections.small import projector
from tests.suites.work import PATIENCE, TTL


def stream_of(command: Command, org_id: str) -> str:
    assert isinstance(command, EraseSubject)
    return decider.stream(command, org_id)


class Book:
    """Handles commands by writing them down; raises what is planned for a reason."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, Meta]] = []
        self.planned: dict[str, list[Exception]] = {}

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.handled]

    async def handle(self, command: Command, meta: Meta) -> None:
        assert isinstance(command, EraseSubject)
        await asyncio.sleep(0)
        if planned := self.planned.get(command.reason):
            raise planned.pop(0)
        self.handled.append((command.reason, meta))


def obey(recorded: Recorded[MessageAdded]) -> Sequence[Reaction]:
    """React as a message says: a word for what follows, and a name."""
    word, _, name = recorded.event.text.partition(" ")
    match word:
        case "erase":
            subject_id: Any = recorded.event.conversation_id
            return [EraseSubject(subject_id=subject_id, reason=name)] * 2
        case "work":
            return [
                job(
                    recorded,
                    "trial",
                    body={"name": name},
                    group_key="run",
                    group_limit=9,
                )
            ]
        case "close":
            return [Close(effect_key=name)]
        case "cancel":
            return [Cancel(group_key=name)]
        case "defect":
            raise ZeroDivisionError(name)
    return []


class Scene:
    """A log in memory, and a dispatcher that follows it with a real checkpoint."""

    def __init__(self, desk: PostgresDesk, pool: Pool) -> None:
        self.log = MemoryEventLog(clock=now, ids=new_id)
        self.book = Book()
        self.desk = desk
        self.pool = pool
        self.work: PostgresWork = desk.work

    def dispatcher(self, react: React = obey) -> Dispatcher:
        reactions: Mapping[type[Event], Sequence[React]] = {MessageAdded: [react]}
        return Dispatcher(
            self.log,
            self.pool,
            reactions=reactions,
            handle=self.book.handle,
            stream_of=stream_of,
            jobs=self.work,
            owner=new_id(),
        )

    async def tell(self, *texts: str) -> int:
        """Append messages, and return the position of the last."""
        return (await self.log.append(told(new_stream(), *texts))).position

    async def dispatch(self) -> None:
        await self.dispatcher().catch_up((await self.log.head()).position)

    async def position(self) -> int:
        async with self.pool.acquire() as session:
            return await checkpoint(session, FEED.projection)

    async def rewind(self, position: int) -> None:
        """Let the checkpoint be what it was, as if the page had not been committed."""
        async with self.pool.acquire() as session:
            await session.execute("UPDATE es.checkpoints SET position = $1", position)

    async def jobs(self) -> list[tuple[str, str]]:
        async with self.pool.acquire() as session:
            rows = await session.fetch(
                "SELECT body->>'name', state FROM es.work ORDER BY place"
            )
        return [tuple(row) for row in rows]

    async def parked(self) -> list[tuple[int, str | None]]:
        async with self.pool.acquire() as session:
            found = await parking.parked(session, FEED.projection)
        return [(each.position, each.error) for each in found]


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    async with open_desk(database) as desk, projector(database) as pool:
        yield Scene(desk, pool)


async def test_commands_are_handled_and_jobs_are_added(scene: Scene) -> None:
    position = await scene.tell("erase one", "nothing", "work two", "work three")
    await scene.dispatch()

    assert scene.book.reasons == ["one", "one"]
    assert await scene.jobs() == [("two", "ready"), ("three", "ready")]
    assert await scene.position() == position
    assert len(await scene.work.offer(9)) == 1, "the second waits for the first"
    cause = (await scene.log.read(0))[0]
    metas = [meta for _, meta in scene.book.handled]
    assert {meta.causation_id for meta in metas} == {cause.event_id}
    assert {meta.correlation_id for meta in metas} == {cause.correlation_id}
    assert len({meta.command_id for meta in metas}) == 2


async def test_a_page_that_is_done_twice_changes_nothing(scene: Scene) -> None:
    await scene.tell("erase one", "work two")
    await scene.dispatch()
    await scene.rewind(0)
    await scene.dispatch()

    assert await scene.jobs() == [("two", "ready")]
    ids = [meta.command_id for _, meta in scene.book.handled]
    assert ids[:2] == ids[2:]


async def test_jobs_end_by_the_log(scene: Scene) -> None:
    await scene.tell("work one", "work two")
    first = (await scene.log.read(0))[0]
    await scene.tell(f"close {effect_key(first, 'trial')}")
    await scene.dispatch()
    assert await scene.jobs() == [("one", "done"), ("two", "ready")]
    await scene.tell("cancel run", "work three")
    await scene.dispatch()
    assert await scene.jobs() == [
        ("one", "done"),
        ("two", "cancelled"),
        ("three", "ready"),
    ]


async def test_a_job_carries_its_event_and_trace(scene: Scene) -> None:
    await scene.tell("work one")
    (cause,) = await scene.log.read(0)
    await scene.dispatch()
    (offered,) = await scene.work.offer(9)
    lease = await scene.work.claim(offered.job_id, owner=new_id(), ttl=TTL)
    assert lease is not None
    expected: Job = job(
        cause, "trial", body={"name": "one"}, group_key="run", group_limit=9
    )
    assert lease.job == expected


async def test_commands_to_one_stream_keep_the_order_of_the_log(scene: Scene) -> None:
    names = [f"n{n}" for n in range(20)]
    await scene.tell(*[f"erase {name}" for name in names])
    scene.book.planned["n3"] = [Unavailable()]
    await scene.dispatch()
    assert scene.book.reasons == [name for name in names for _ in range(2)]


async def test_what_is_interrupted_is_tried_until_it_happens(scene: Scene) -> None:
    await scene.tell("erase one")
    scene.book.planned["one"] = [Unavailable(), OSError(), TimeoutError()]
    await scene.dispatch()
    assert scene.book.reasons == ["one", "one"]
    assert await scene.parked() == []


async def test_a_refusal_is_an_answer(scene: Scene) -> None:
    await scene.tell("erase one", "work two")
    scene.book.planned["one"] = [Refused("no")]
    with capture_logs() as lines:
        await scene.dispatch()
    assert "reaction_refused" in {line["event"] for line in lines}
    assert await scene.jobs() == [("two", "ready")]
    assert await scene.parked() == []


async def test_an_event_that_cannot_be_reacted_to_is_parked_and_retried(
    scene: Scene,
) -> None:
    position = await scene.tell("defect x", "work after")
    await scene.dispatch()
    assert await scene.parked() == [(position - 1, "ZeroDivisionError: x")]
    assert await scene.jobs() == [("after", "ready")]

    with pytest.raises(Exception, match="ZeroDivisionError: x"):
        await scene.dispatcher().retry(position - 1)
    assert await scene.parked() == [(position - 1, "ZeroDivisionError: x")]

    def mended(recorded: Recorded[MessageAdded]) -> Sequence[Reaction]:
        return [job(recorded, "trial", body={"name": "mended"})]

    await scene.dispatcher(mended).retry(position - 1)
    assert await scene.parked() == []
    assert await scene.jobs() == [("after", "ready"), ("mended", "ready")]
    with pytest.raises(Missing):
        await scene.dispatcher().retry(position - 1)


async def test_a_command_that_fails_again_and_again_is_parked(scene: Scene) -> None:
    position = await scene.tell("erase one", "work two")
    scene.book.planned["one"] = [KeyError("x")] * 8
    with capture_logs() as lines:
        await scene.dispatch()
    assert await scene.parked() == [(position - 1, "KeyError: 'x'")]
    assert await scene.jobs() == [("two", "ready")]
    assert "event_parked" in {line["event"] for line in lines}

    scene.book.planned.clear()
    await scene.dispatcher().retry(position - 1)
    assert scene.book.reasons == ["one", "one"]
    assert await scene.parked() == []


async def test_one_dispatcher_works_and_another_takes_over(scene: Scene) -> None:
    stop, never = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(scene.dispatcher().run(stop))
    await scene.tell("work one")
    async with asyncio.timeout(PATIENCE):
        while not await scene.jobs():  # noqa: ASYNC110 - nothing rings
            await asyncio.sleep(0.01)
        await scene.dispatch()
        stop.set()
        await first
        second = asyncio.create_task(scene.dispatcher().run(never))
        await scene.tell("work two")
        while len(await scene.jobs()) < 2:  # noqa: ASYNC110 - nothing rings
            await asyncio.sleep(0.01)
        never.set()
        await second
    assert await scene.jobs() == [("one", "ready"), ("two", "ready")]


async def test_a_dispatcher_that_was_overtaken_commits_nothing(scene: Scene) -> None:
    await scene.tell("erase one", "work two")
    overtaken = asyncio.Event()

    class Slow(Book):
        async def handle(self, command: Command, meta: Meta) -> None:
            await super().handle(command, meta)
            if not overtaken.is_set():
                overtaken.set()
                async with scene.pool.acquire() as session:
                    await session.execute("UPDATE es.checkpoints SET fence = fence + 1")

    scene.book = Slow()
    await scene.dispatch()
    assert await scene.jobs() == []
    assert await scene.position() == 0
    await scene.dispatch()
    assert await scene.jobs() == [("two", "ready")]
