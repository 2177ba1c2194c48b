"""Steps of populations, followed while they are made, and taken up again anywhere."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import aiohttp
import msgspec
import pytest

from events.errors import Missing
from events.ids import ExperimentId, SimulationId
from infra.carrying import carrying
from infra.wiring import caught_up
from infra.working import working
from projections.checkpoints import Watch
from services.engines.population.configuration import configuration
from services.experiments.designs import GivenDesign, simulation_id
from services.experiments.experiments import (
    CancelExperiment,
    CreateExperiment,
    StartExperiment,
)
from services.experiments.simulations import RequestSimulation
from services.experiments.watching import StepMetrics
from services.http.limits import Limits
from services.http.reading import Row
from services.http.step_feed import EVERY_STEP, METRICS, WINDOWS, StepFeed
from services.http.waiting import Waiting
from services.identity import Identity
from tests.builders import new_id
from tests.end_to_end.stack import OTHER_ORG, Stack


FEW = configuration(
    {"population": {"system": 4, "independent": 4, "control": 4, "maximum": 60}}
)
STEPS = 4_000


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a feed, as it came."""

    id: str
    kind: str
    data: bytes

    @property
    def steps(self) -> list[StepMetrics]:
        found = msgspec.json.decode(self.data, type=dict[str, list[StepMetrics]])
        return found["steps"]


@asynccontextmanager
async def at_work(stack: Stack) -> AsyncIterator[None]:
    """Make runs while inside."""
    async with (
        carrying(stack.settings) as carrier,
        working(
            stack.urls,
            stack.project,
            carrier=carrier,
            data_dir=stack.settings.data_dir,
        ),
    ):
        yield


async def requested(stack: Stack, steps: int = STEPS) -> int:
    """Ask for a run, and return its number once it is in the tables."""
    async with stack.client() as client:
        outcome = await client.send(
            RequestSimulation(
                simulation_id=SimulationId(new_id()),
                configuration=FEW,
                seed=7,
                steps=steps,
            )
        )
    await caught_up(stack.urls, outcome.position)
    return outcome.position


async def started(stack: Stack, steps: int = 1_500) -> ExperimentId:
    """Start an experiment of three runs, which is in the tables."""
    key = ExperimentId(new_id())
    design = GivenDesign(configuration=FEW, iterations=3, seed=7, steps=steps)
    create = CreateExperiment(experiment_id=key, name="Three", design=design)
    async with stack.client() as client:
        await client.send(create)
        outcome = await client.send(StartExperiment(experiment_id=key))
    await caught_up(stack.urls, outcome.position)
    return key


async def told(stack: Stack, path: str, last: str | None) -> list[Message]:
    """Return what comes after a message, to the end of the feed."""
    resumed = {} if last is None else {"Last_Event_ID": last}
    async with asyncio.timeout(60):
        status, body = await stack.request(
            "GET", path, None, Accept="text/event-stream", **resumed
        )
    assert status == (204 if last == "end" else 200), body
    return [message for part in body.split(b"\n\n") if (message := parsed(part))]


def parsed(part: bytes) -> Message | None:
    fields = dict(line.split(b": ", 1) for line in part.splitlines())
    if b"data" not in fields:
        return None
    return Message(
        id=fields[b"id"].decode(), kind=fields[b"event"].decode(), data=fields[b"data"]
    )


def places(steps: Sequence[StepMetrics]) -> list[tuple[int, int]]:
    """Return each run and step that was told, in order."""
    return sorted(
        (step.simulation_id, number)
        for step in steps
        for number in range(step.first_step, step.last_step + 1)
    )


def whole(*runs: int, steps: int = STEPS) -> list[tuple[int, int]]:
    return [(run, step) for run in sorted(runs) for step in range(steps + 1)]


async def test_every_step_is_told_as_it_is_in_the_table(stack: Stack) -> None:
    number = await requested(stack)
    async with stack.client() as client, at_work(stack):
        async with asyncio.timeout(120):
            seen = [each async for each in client.step_metrics(number, every_step=True)]
        rows = [
            row
            async for row in client.rows(
                "experiments.simulation_steps",
                {"simulation_id": number},
                sort="simulation_id",
                fields=["step_number", *METRICS],
            )
        ]
    assert [{"step_number": each.last_step, **each.metrics} for each in seen] == rows
    assert places(seen) == whole(number)


async def test_windows_stand_for_every_step(stack: Stack) -> None:
    number = await requested(stack)
    async with stack.client() as client, at_work(stack), asyncio.timeout(120):
        live = [each async for each in client.step_metrics(number)]
        later = [each async for each in client.step_metrics(number)]
        steps = [each async for each in client.step_metrics(number, every_step=True)]
    assert places(live) == places(later) == whole(number)
    assert 100 < len(later) <= 200
    for window in later:
        own = [each.metrics for each in steps[window.first_step : window.last_step + 1]]
        assert window.metrics == own[-1]
        assert window.least is not None
        assert window.greatest is not None
        assert window.mean is not None
        for name in METRICS:
            values = [value for each in own if (value := each[name]) is not None]
            assert window.least[name] == min(values)
            assert window.greatest[name] == max(values)
            assert window.mean[name] == pytest.approx(sum(values) / len(values))


@pytest.mark.parametrize("query", ["?every_step=true", "?rate=20"])
async def test_who_comes_back_anywhere_misses_no_step_and_sees_none_twice(
    stack: Stack, query: str
) -> None:
    number = await requested(stack)
    path = f"/v1/experiments/simulations/{number}/steps"
    async with at_work(stack):
        *first, end = await told(stack, path + query, None)
    assert (end.id, end.kind, end.data) == ("end", "end", b'{"status":"completed"}')
    assert await told(stack, path, "end") == []
    until: list[StepMetrics] = []
    for message in first:
        until += message.steps
        for form in ("?every_step=true", "?rate=1"):
            *rest, last = await told(stack, path + form, message.id)
            assert last == end
            after = [each for later in rest for each in later.steps]
            assert places([*until, *after]) == whole(number)


async def test_an_experiment_tells_its_runs_together_over_broken_connections(
    stack: Stack,
) -> None:
    key = await started(stack)
    path = f"/v1/experiments/experiments/{key}/steps"
    found: list[Message] = []
    connections = 0
    async with at_work(stack), aiohttp.ClientSession() as http, asyncio.timeout(120):
        while not found or found[-1].kind != "end":
            connections += 1
            last = {"Last-Event-ID": found[-1].id} if found else {}
            headers = {
                "Authorization": f"Bearer {stack.token()}",
                "Accept": "text/event-stream",
                **last,
            }
            # A window may hold all that there is, so the first ones tell a step each.
            query = "?every_step=true" if connections % 3 else ""
            async with http.get(stack.url + path + query, headers=headers) as response:
                part = b""
                while (message := parsed(part)) is None:
                    part = (await response.content.readuntil(b"\n\n")).strip()
            found.append(message)
    assert connections > 3
    steps = [each for message in found[:-1] for each in message.steps]
    runs = {each.number: each.simulation_id for each in steps}
    rows = await stack.sql(
        "SELECT number, simulation_id, _id FROM experiments.simulations"  # noqa: S608 - an id of ours
        f" WHERE experiment_id = '{key}' ORDER BY number"
    )
    assert runs == {row["number"]: row["simulation_id"] for row in rows}
    assert [row["_id"] for row in rows] == [
        str(simulation_id(key, number)) for number in (1, 2, 3)
    ]
    assert places(steps) == whole(*runs.values(), steps=1_500)


async def test_a_cancelled_experiment_ends_its_feed_after_its_last_chunk(
    stack: Stack,
) -> None:
    key = await started(stack, steps=900_000)
    async with stack.client() as client, at_work(stack), asyncio.timeout(120):
        feed = client.step_metrics(key, rate=20)
        steps = [await anext(feed)]
        await client.send(CancelExperiment(experiment_id=key, reason="Enough."))
        steps += [each async for each in feed]
    path = f"/v1/experiments/experiments/{key}/steps"
    await stack.caught_up()
    assert (await told(stack, path, None))[-1].data == b'{"status":"cancelled"}'
    recorded = await stack.sql(
        "SELECT simulation_id, step_number FROM experiments.simulation_steps"  # noqa: S608 - an id of ours
        " JOIN experiments.simulations USING (simulation_id)"
        f" WHERE experiment_id = '{key}' ORDER BY 1, 2"
    )
    expected = [(row["simulation_id"], row["step_number"]) for row in recorded]
    assert places(steps) == expected


class Counted:
    """A reader that counts what is asked of it."""

    def __init__(self, stack: Stack) -> None:
        self._reader = stack.reader
        self.asked: list[str] = []

    async def read(
        self, identity: Identity, sql: str, args: Sequence[object]
    ) -> Sequence[Row]:
        self.asked.append(sql)
        return await self._reader.read(identity, sql, args)


async def test_a_slow_reader_is_told_wider_windows_and_nothing_is_kept_for_it(
    stack: Stack,
) -> None:
    number = await requested(stack)
    log, limits, reader = stack.api.log, Limits(), Counted(stack)
    waiting = Waiting(log=log, caught_up=Watch(stack.api.pool).wait_for, seconds=5)
    feed = StepFeed(reader=reader, log=log, waiting=waiting, limits=limits)
    identity = stack.identity()
    watched = await feed.run(identity, number)
    async with at_work(stack), aclosing(feed.follow(identity, watched, None)) as slow:
        _, first = await anext(slow)
        async with stack.client() as client, asyncio.timeout(120):
            steps = [each async for each in client.step_metrics(number)]
        assert reader.asked.count(WINDOWS) == 1
        rest = [found async for _, found in slow]
    assert reader.asked.count(WINDOWS) <= 2
    assert len(rest) <= 2
    assert first is not None
    assert places(steps) == whole(number)

    async with aclosing(feed.follow(identity, watched, None, rate=None)) as slow:
        await anext(slow)
        assert reader.asked.count(EVERY_STEP) == 1


async def test_only_who_may_see_the_rows_may_follow_them(stack: Stack) -> None:
    number, key = await requested(stack, steps=10), await started(stack, steps=10)
    async with stack.client(org=OTHER_ORG) as stranger, stack.client() as client:
        for hidden in (number, key):
            with pytest.raises(Missing):
                await anext(stranger.step_metrics(hidden))
        for nobody in (10**15, new_id()):
            with pytest.raises(Missing):
                await anext(client.step_metrics(nobody))


async def test_what_is_wrong_is_named(stack: Stack) -> None:
    number = await requested(stack, steps=10)
    path = f"/v1/experiments/simulations/{number}/steps"
    for asked, where in (
        (f"{path}?rate=0", "query.rate"),
        (f"{path}?rate=21", "query.rate"),
        (f"{path}?rate=nan", "query.rate"),
        (f"{path}?rate=5&every_step=true", "query.rate"),
        (f"{path}?every_step=1", "query.every_step"),
        (f"{path}?often=1", "query"),
        (f"{path}?min_position={10**30}", "query.min_position"),
        (path.replace(str(number), "9" * 30), "path.id"),
        (path.replace("simulations", "experiments"), "path.id"),
    ):
        status, body = await stack.request("GET", asked, Accept="text/event-stream")
        assert (status, msgspec.json.decode(body)["path"]) == (400, where)
    for last in ("x", "-1", "1-", "1-2-3", "9" * 30, "9" * 18, "1-" + "9" * 30, "end"):
        status, body = await stack.request(
            "GET", path, Accept="text/event-stream", Last_Event_ID=last
        )
        found = msgspec.json.decode(body)["path"]
        assert (status, found) == (400, "headers.Last-Event-ID")
    assert (await stack.request("GET", path, Accept="application/json"))[0] == 406
