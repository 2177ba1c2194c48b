"""The client: once each, through lost answers and servers that are away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from events.errors import (
    Conflict,
    Failure,
    Forbidden,
    Malformed,
    Mismatch,
    Missing,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from events.ids import PersonaId
from events.message import Command, Meta
from events.testing.personas import PersonaCreated, PersonaVersionAdded
from infra.clock import new_id
from services.client.answers import failure
from services.client.client import Client, Request
from services.client.retrying import LONGEST_PAUSE, pauses
from services.http.limits import Limits
from services.http.problems import response
from services.http.reading import Row
from services.identity import Identity
from services.outcome import Outcome
from services.problems import PROBLEMS, document
from services.testing.personas import CreatePersona, DeletePersona
from tests.services.http.world import World, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world(limits=Limits(heartbeat_seconds=0.2)) as opened:
        yield opened


@asynccontextmanager
async def connected(
    world: World,
    url: str | None = None,
    *,
    patience: float = 10.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Client]:
    async with Client(
        url or world.url, world.token, patience=patience, sleep=sleep
    ) as client:
        yield client


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


def persona(
    *,
    persona_id: PersonaId | None = None,
    name: str = "Ada",
    background: str = "Has lost a book",
) -> CreatePersona:
    return CreatePersona(
        persona_id=persona_id or PersonaId(new_id()),
        name=name,
        role="customer",
        tags={},
        background=background,
        preferred_language="en",
        timezone="UTC",
    )


@asynccontextmanager
async def losing(world: World, answers: int) -> AsyncIterator[str]:
    """Give the address of a proxy that loses the first so many answers."""
    port = int(world.url.rpartition(":")[2])
    left = answers

    async def forward(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal left
        upstream, back = await asyncio.open_connection("127.0.0.1", port)

        async def carry(
            source: asyncio.StreamReader, drain: asyncio.StreamWriter
        ) -> None:
            while chunk := await source.read(65536):
                drain.write(chunk)

        up = asyncio.ensure_future(carry(reader, back))
        if left:
            left -= 1
            await upstream.read(1)
        else:
            await carry(upstream, writer)
        up.cancel()
        back.close()
        writer.close()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with server:
        host, chosen = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{chosen}"


async def test_a_command_is_sent_and_answered(world: World) -> None:
    command = persona()
    async with connected(world) as client:
        outcome = await client.send(
            command, correlation_id=new_id(), causation_id=new_id()
        )
        assert outcome.status == "ok"
        assert outcome.stream_id == f"testing.persona-{command.persona_id}"
        gone = DeletePersona(persona_id=command.persona_id)
        with pytest.raises(Conflict) as caught:
            await client.send(gone, expected_version=1)
        assert caught.value.actual == outcome.version
        await client.send(gone, expected_version=outcome.version)


async def test_a_lost_answer_changes_nothing(world: World) -> None:
    async with (
        losing(world, 2) as url,
        connected(world, url, sleep=at_once) as client,
    ):
        outcome = await client.send(persona())
    assert outcome.status == "duplicate"
    created = [each for each in await world.log.read(0) if each.version == 1]
    streams = {each.stream_id for each in created}
    assert outcome.stream_id in streams
    assert len([each for each in streams if each.startswith("testing.persona-")]) == 1


Handle = Callable[[Command, Meta], Coroutine[Any, Any, Outcome]]


def failing(handle: Handle, failures: list[Exception]) -> Handle:
    async def handle_later(command: Command, meta: Meta) -> Outcome:
        if failures:
            raise failures.pop(0)
        return await handle(command, meta)

    return handle_later


async def test_a_server_that_is_away_is_asked_again(world: World) -> None:
    failures = [Unavailable(), ZeroDivisionError(), TooMany(retry_after=1.0)]
    world.handler.handle = failing(world.handler.handle, failures)  # type: ignore[method-assign,assignment] # fails first
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with connected(world, sleep=sleep) as client:
        assert (await client.send(persona())).status == "ok"
    assert len(waited) == 3
    assert waited[2] == 1.0


async def test_patience_ends(world: World) -> None:
    async with connected(world, "http://127.0.0.1:9", patience=0.0) as client:
        with pytest.raises(Unavailable):
            await client.send(persona())
        with pytest.raises(Unavailable):
            await anext(client.events())


async def test_failures_are_those_of_the_server(world: World) -> None:
    command, command_id = persona(), new_id()
    async with connected(world) as client:
        await client.send(command, command_id=command_id)
        with pytest.raises(Mismatch):
            await client.send(persona(), command_id=command_id)
        with pytest.raises(Refused):
            await client.send(persona(persona_id=command.persona_id, name="Bea"))
        with pytest.raises(Malformed) as malformed:
            await client.send(persona(name=""))
        assert malformed.value.path == "$.name"
        with pytest.raises(Forbidden):
            await client.send(persona(), occurred_at=datetime(2020, 1, 1, tzinfo=UTC))
        with pytest.raises(Missing):
            await client.row("testing.nothing", 1)
        with pytest.raises(Missing):
            await client.blob("0" * 64)
    async with Client(world.url, "no token") as client:
        with pytest.raises(Unauthenticated):
            await client.send(command)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_every_problem_is_a_failure_of_its_status(kind: type[Failure]) -> None:
    raised = kind.__new__(kind)
    Failure.__init__(raised, "Because.")
    raised.__dict__.update(actual=3, retry_after=2.0, reached=1)
    answer = response(raised, instance="urn:uuid:1")
    body = bytes(answer.body)  # type: ignore[arg-type] # a document
    meant = failure(answer.status, body, retry_after=2.0)
    silent = type(raised) is Unavailable
    assert silent or str(meant) == document(raised).detail
    status = PROBLEMS[kind].status
    again = status in {429, 500, 503}
    assert isinstance(meant, Unavailable | TooMany) == again


def test_an_answer_that_is_no_document_means_away() -> None:
    for body in (b"", b"<html>", b"\xff", b"[]"):
        assert isinstance(failure(502, body), Unavailable)
        assert isinstance(failure(404, body), Missing)


async def test_many_are_sent_with_a_verdict_for_each(world: World) -> None:
    requests = [
        Request(command=persona(name=f"P{number}"), command_id=new_id())
        for number in range(1_001)
    ]
    requests[7] = Request(command=persona(name=""), command_id=new_id())
    async with connected(world) as client:
        found = await client.send_many(requests)
        again = await client.send_many(requests[:3])
    assert len(found) == 1_001
    assert isinstance(found[7], Malformed)
    assert all(isinstance(each, Outcome) for each in found[:7] + found[8:])
    assert [each.status for each in again if isinstance(each, Outcome)] == [
        "duplicate"
    ] * 3


class Numbers:
    """A table of numbers, whatever is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def read(
        self, _identity: Identity, _sql: str, args: Sequence[object], /
    ) -> Sequence[Row]:
        self.asked.append(tuple(args))
        *filters, limit = args
        first = int(str(filters[2])) if len(filters) == 3 else 0
        numbers = islice(range(first + 1, 8), int(str(limit)))
        return [{"_id": str(number), "name": f"P{number}"} for number in numbers]


async def test_rows_are_read_page_after_page() -> None:
    table = Numbers()
    async with open_world(reader=table) as world, connected(world) as client:
        found = [
            row
            async for row in client.rows(
                "testing.simulation_personas",
                {"name.like": "P*", "is_deleted": False},
                fields=["_id", "name"],
                page=3,
            )
        ]
    assert [row["_id"] for row in found] == [str(number) for number in range(1, 8)]
    assert [args[:2] for args in table.asked] == [(False, "P%")] * 3


async def test_an_entity_is_read_as_it_was(world: World) -> None:
    command = persona()
    async with connected(world) as client:
        made = await client.send(command)
        await client.send(DeletePersona(persona_id=command.persona_id))
        table = "testing.simulation_personas"
        before = await client.row(table, command.persona_id, as_of=made.position)
        at = made.recorded_at
        then = await client.row(table, command.persona_id, as_of=at)
    assert before["version"] == made.version
    assert then["state"] == before["state"]


async def test_blobs_are_kept_and_read(world: World) -> None:
    async with connected(world) as client:
        sha256 = await client.put_blob(b"\x00text", media_type="text/plain")
        assert await client.blob(sha256) == b"\x00text"


async def test_the_feed_goes_on_where_it_broke(world: World) -> None:
    async with connected(world, sleep=at_once) as client:
        for _ in range(3):
            await client.send(persona(background="x" * 30_000))
        seen: list[int] = []
        async with aclosing(client.events(1)) as events:
            async for recorded in events:
                seen.append(recorded.position)
                if len(seen) == 4:
                    world.log.broken = Unavailable()
                    await client.send(persona())
                    asyncio.get_running_loop().call_later(0.2, mend, world)
                if recorded.position == (await world.log.head()).position:
                    break
    assert seen == list(range(2, seen[-1] + 1))


def mend(world: World) -> None:
    world.log.broken = None


async def test_the_feed_gives_events_of_a_type(world: World) -> None:
    async with connected(world) as client:
        await client.send(persona(name="Bea"))
        async with aclosing(
            client.events(types=[PersonaCreated, PersonaVersionAdded])
        ) as events:
            first, second = await anext(events), await anext(events)
    assert isinstance(first.event, PersonaCreated)
    assert first.event.name == "Bea"
    assert isinstance(second.event, PersonaVersionAdded)
    assert first == (await world.log.read(first.position - 1, 1))[0]


async def test_a_feed_that_is_forbidden_ends(world: World) -> None:
    async with Client(world.url, world.token(roles=["user"])) as client:
        with pytest.raises(Forbidden):
            await anext(client.events())


def test_pauses_grow_and_never_too_far() -> None:
    taken = list(islice(pauses(), 40))
    assert all(0 <= pause <= LONGEST_PAUSE for pause in taken)
    assert max(taken[:2]) <= 0.1
    assert max(taken) > 0.1
