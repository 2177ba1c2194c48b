"""The feed: every event of the organisation in order, in pages and live."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest

from events.errors import Unavailable
from infra.clock import new_id
from services.http.limits import Limits
from tests.services.http.world import World, create_persona, is_problem, open_world


Message = dict[str, str]


async def make(world: World, count: int, org: str = "acme") -> None:
    for _ in range(count):
        answer = await world.send(create_persona(), headers=world.bearer(org=org))
        assert answer.status == 200


async def positions(world: World, org: str = "acme") -> list[int]:
    return [each.position for each in await world.log.read(0) if each.org_id == org]


@asynccontextmanager
async def feed(world: World, query: str = "", **headers: str) -> AsyncIterator[Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with world.http.get(
        f"{world.url}/v1/events{query}",
        headers={**world.bearer(), "Accept": "text/event-stream", **named},
    ) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        yield messages(response)


async def messages(response: aiohttp.ClientResponse) -> AsyncIterator[Message]:
    message: Message = {}
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if line != b"\n":
            message[name] = value
        else:
            yield message
            message = {}


async def take(source: AsyncIterator[Message], count: int) -> list[Message]:
    return [await asyncio.wait_for(anext(source), 5) for _ in range(count)]


async def test_pages_hold_every_event_once_in_order(world: World) -> None:
    await make(world, 4)
    await make(world, 3, org="umbrella")
    await make(world, 2)
    found: list[int] = []
    path: str | None = "/v1/events?limit=5"
    while path is not None:
        answer = await world.get(path)
        page = answer.json
        assert {event["org_id"] for event in page["events"]} <= {"acme"}
        found += [event["position"] for event in page["events"]]
        link = answer.headers.get("Link")
        path = None if link is None else link[1:].partition(">")[0]
        assert page["more"] == (path is not None)
    assert found == await positions(world)


async def test_a_page_goes_on_where_the_last_one_ended(world: World) -> None:
    await make(world, 2)
    first = (await world.get("/v1/events?limit=1000")).json
    assert not first["more"]
    await make(world, 1)
    then = (await world.get(f"/v1/events?after={first['after']}")).json
    both = [event["position"] for event in first["events"] + then["events"]]
    assert both == await positions(world)


async def test_a_page_scans_a_bounded_part_of_the_log() -> None:
    async with open_world(limits=Limits(scanned_events=4, page_events=4)) as world:
        await make(world, 3, org="umbrella")
        await make(world, 1)
        page = (await world.get("/v1/events?limit=4")).json
        assert page["events"] == []
        assert page["more"]
        assert page["after"] == 4


async def test_events_of_a_type_are_picked(world: World) -> None:
    await make(world, 3)
    for query in ("type=testing.PersonaCreated", "type=testing.PersonaCreated,x"):
        answer = await world.get(f"/v1/events?{query}")
        if query.endswith("x"):
            assert is_problem(answer, 400, "query.type")
        else:
            types = [each["event"]["type"] for each in answer.json["events"]]
            assert types == ["testing.PersonaCreated"] * 3


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "limit=0", "limit=1001", "before=1", "type="]
)
async def test_a_bad_query_is_a_problem(query: str, world: World) -> None:
    assert is_problem(await world.get(f"/v1/events?{query}"), 400)


async def test_the_log_is_for_administrators_and_for_a_scope(world: World) -> None:
    for path in ("/v1/events", "/v1/streams/testing.persona-1"):
        user = world.bearer(roles=["user"])
        assert is_problem(await world.request("GET", path, headers=user), 403)
        service = world.bearer(roles=[], scopes=["events"])
        answer = await world.request("GET", path, headers=service)
        assert answer.status in {200, 404}


async def test_a_live_feed_starts_anywhere_and_follows(world: World) -> None:
    await make(world, 2)
    wanted = await positions(world)
    async with feed(world, f"?after={wanted[0]}") as source:
        old = await take(source, len(wanted) - 1)
        await make(world, 1, org="umbrella")
        await make(world, 1)
        new = await take(source, len(await positions(world)) - len(wanted))
    told = [int(message["id"]) for message in old + new]
    assert told == (await positions(world))[1:]
    event = msgspec.json.decode(new[0]["data"])
    assert event["event"]["type"] == new[0]["event"]
    assert event["position"] == int(new[0]["id"])


async def test_a_feed_goes_on_after_the_last_id(world: World) -> None:
    await make(world, 3)
    wanted = await positions(world)
    async with feed(world, "?after=0", Last_Event_ID=str(wanted[3])) as source:
        told = await take(source, len(wanted) - 4)
    assert [int(message["id"]) for message in told] == wanted[4:]
    answer = await world.get(
        "/v1/events", Accept="text/event-stream", Last_Event_ID="x"
    )
    assert is_problem(answer, 400, "headers.Last-Event-ID")


async def test_a_quiet_feed_tells_how_far_it_is() -> None:
    async with open_world(limits=Limits(heartbeat_seconds=0.05)) as world:
        await make(world, 1, org="umbrella")
        head = await world.log.head()
        async with feed(world) as source:
            (beat, again) = await take(source, 2)
        assert beat == {"": "heartbeat", "id": str(head.position)}
        assert again == {"": "heartbeat"}


async def test_a_feed_tells_how_far_it_is_while_others_write_all_the_time() -> None:
    async with open_world(limits=Limits(heartbeat_seconds=0.2)) as world:

        async def write() -> None:
            while True:
                await make(world, 1, org="other")

        writing = asyncio.ensure_future(write())
        try:
            async with feed(world) as source, asyncio.timeout(30):
                beat = await anext(source)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
    assert (beat[""], int(beat["id"]) > 0) == ("heartbeat", True)


async def test_an_actor_has_few_feeds() -> None:
    async with open_world(limits=Limits(feeds_per_actor=1)) as world:
        await make(world, 1)
        async with feed(world) as source:
            await take(source, 1)
            answer = await world.get("/v1/events", Accept="text/event-stream")
            assert is_problem(answer, 429)
            assert int(answer.headers["Retry-After"]) >= 1


async def test_a_feed_is_as_good_as_its_token() -> None:
    async with open_world(limits=Limits(heartbeat_seconds=0.05)) as world:
        await make(world, 1)
        token = world.token(lifetime=timedelta(seconds=2))
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        async with (
            asyncio.timeout(10),
            world.http.get(f"{world.url}/v1/events", headers=headers) as source,
        ):
            assert source.status == 200
            assert b"PersonaCreated" in await source.read()
        again = await world.request("GET", "/v1/events", headers=headers)
        assert is_problem(again, 401)


async def test_a_client_that_takes_nothing_is_dropped() -> None:
    limits = Limits(drop_seconds=0.1, heartbeat_seconds=0.1)
    async with open_world(limits=limits) as world:
        name = "x" * 200
        background = "y" * 30_000
        for _ in range(300):
            await world.send(create_persona(name=name, background=background))
        port = int(world.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        request = (
            "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
            f"Authorization: {world.bearer()['Authorization']}\r\n\r\n"
        )
        writer.write(request.encode())
        await reader.readline()
        await asyncio.wait_for(closed(world), 10)
        writer.close()


async def closed(world: World) -> None:
    """Return when no feed is open, which the log of the process tells."""
    while world.metrics.feeds:  # noqa: ASYNC110 - a gauge wakes no one
        await asyncio.sleep(0.01)


async def test_a_feed_ends_when_the_log_is_away(world: World) -> None:
    await make(world, 1)
    async with feed(world) as source:
        await take(source, len(await positions(world)))
        world.log.broken = Unavailable("db.internal is away")
        await make(world, 1)
        assert await rest(source) == []
    world.log.broken = None


async def test_shutting_down_ends_the_feeds() -> None:
    async with aiohttp.ClientSession() as http, AsyncExitStack() as stack:
        async with open_world() as world:
            await make(world, 1)
            source = await stack.enter_async_context(feed(replace(world, http=http)))
            await take(source, len(await positions(world)))
            ended = asyncio.ensure_future(rest(source))
        assert await asyncio.wait_for(ended, 5) == []


async def rest(source: AsyncIterator[Message]) -> list[Message]:
    return [message async for message in source]


async def test_a_stream_is_read_in_pages(world: World) -> None:
    persona_id = new_id()
    await world.send(create_persona(persona_id))
    path = f"/v1/streams/testing.persona-{persona_id}"
    answer = await world.get(path)
    whole = answer.json
    assert [event["version"] for event in whole["events"]] == [1, 2]
    assert answer.headers["ETag"] == f'"{whole["version"]}"'
    first = await world.get(f"{path}?limit=1")
    assert first.json["events"] == whole["events"][:1]
    rest = await world.get(first.headers["Link"][1:].partition(">")[0])
    assert rest.json["events"] == whole["events"][1:]
    assert "Link" not in rest.headers


async def test_a_stream_of_another_organisation_is_missing(world: World) -> None:
    persona_id = new_id()
    await world.send(create_persona(persona_id), headers=world.bearer(org="umbrella"))
    for name in (f"testing.persona-{persona_id}", "nothing", "%00", "a%2Fb"):
        answer = await world.get(f"/v1/streams/{name}")
        assert answer.status in {400, 404}
        assert answer.headers["Content-Type"] == "application/problem+json"
