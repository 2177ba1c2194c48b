"""A feed of steps while nothing happens, and when it cannot go on."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import aiohttp
import pytest

from events.errors import Unavailable
from services.client.client import Client
from services.http.limits import Limits
from services.http.reading import Row
from services.http.step_feed import StepFeed, StepsAbsent
from services.http.waiting import Waiting
from services.identity import Identity
from tests.builders import new_id
from tests.services.experiments.examples import REQUEST, SIMULATION
from tests.services.http.world import World, create_persona, open_world
from tests.services.work.floor import Floor


PATH = "/v1/experiments/simulations/1/steps"


class OneRun:
    """The row of a run, and no steps."""

    def __init__(self, key: UUID) -> None:
        self._row = {"_id": str(key), "number": 1, "status": "running", "position": 0}

    async def read(
        self, _identity: Identity, sql: str, _args: Sequence[object], /
    ) -> Sequence[Row]:
        return [self._row] if "s.status" in sql else []


async def caught_up(_group: str, position: int, _seconds: float) -> int:
    return position


async def passed(world: World, last: str) -> str:
    """Return the first id of a feed of which nothing happens."""
    headers = {**world.bearer(), "Accept": "text/event-stream", "Last-Event-ID": last}
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession() as http,
        http.get(world.url + PATH, headers=headers) as response,
    ):
        text = b""
        while b"id: " not in text:
            text = await response.content.readuntil(b"\n\n")
    assert text.startswith(b": heartbeat\n")
    return text.rpartition(b"id: ")[2].strip().decode()


async def test_a_feed_of_which_nothing_happens_moves_on_with_the_log() -> None:
    limits = Limits(heartbeat_seconds=0.05)
    async with open_world(reader=OneRun(new_id()), limits=limits) as world:
        for _ in range(3):
            await world.send(create_persona())
        head = (await world.log.head()).position
        assert await passed(world, "0") == str(head)
        assert await passed(world, f"{head}-17") == str(head)


async def test_a_feed_moves_on_while_others_write_all_the_time() -> None:
    limits = Limits(heartbeat_seconds=0.2)
    async with open_world(reader=OneRun(new_id()), limits=limits) as world:

        async def write() -> None:
            while True:
                await world.send(create_persona())

        writing = asyncio.ensure_future(write())
        try:
            assert int(await passed(world, "0")) > 0
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


async def test_a_feed_that_cannot_go_on_says_why() -> None:
    async with open_world(reader=OneRun(new_id())) as world:
        world.log.broken = Unavailable("The log is away.")
        answer = await world.get(PATH, Accept="text/event-stream")
        assert answer.body.startswith(b"event: problem\n")
        async with Client(world.url, world.token, patience=0) as client:
            with pytest.raises(Unavailable):
                await anext(client.step_metrics(1))


@pytest.mark.parametrize("rate", [None, 20])
async def test_steps_that_are_not_in_the_tables_are_not_passed_over(
    rate: int | None,
) -> None:
    floor = Floor()
    await floor.ask(REQUEST)
    await floor.settle()
    feed = StepFeed(
        reader=OneRun(SIMULATION),
        log=floor.log,
        waiting=Waiting(log=floor.log, caught_up=caught_up, seconds=1),
        limits=Limits(),
    )
    identity = Identity(
        org_id="acme", region="local", actor="user:ada", roles=frozenset({"admin"})
    )
    watched = await feed.run(identity, 1)
    with pytest.raises(StepsAbsent, match="Steps 0 to "):
        await anext(feed.follow(identity, watched, None, rate=rate))
