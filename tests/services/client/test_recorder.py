"""The recorder: every row once, in batches, through lost answers and a server away."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from events.errors import Forbidden, Malformed, Unavailable
from events.experiments.experiments import OutsideExperimentDescribed
from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
    unpacked,
)
from events.ids import ExperimentId
from events.message import Command
from infra.clock import new_id
from services.client.client import Client
from services.client.recorder import BufferFull, RecordedSimulation, Recorder, Table
from services.experiments.common import Ended
from services.experiments.experiments import DescribeOutsideExperiment
from services.experiments.outside import RecordOutsideRows
from services.outcome import Outcome
from tests.services.client.test_client import connected, losing
from tests.services.http.world import World, open_world


LONG = 3_600.0


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


@asynccontextmanager
async def recording(
    client: "Client | Gate",
    *,
    rows: int = 1_000,
    seconds: float = LONG,
    capacity: int = 100_000,
    in_memory: bool = False,
    experiment: DescribeOutsideExperiment | None = None,
) -> AsyncIterator[RecordedSimulation]:
    """Record one simulation."""
    async with (
        Recorder(
            client,
            model="drunkards 1",
            experiment=experiment,
            rows=rows,
            seconds=seconds,
            capacity=capacity,
            in_memory=in_memory,
        ) as recorder,
        recorder.simulation("walk") as run,
    ):
        yield run


async def recorded(world: World) -> list[Any]:
    """Return what happened."""
    return [each.event for each in await world.log.read(0, 10_000)]


async def batches(world: World) -> list[OutsideRowsRecorded]:
    found = await recorded(world)
    return [each for each in found if isinstance(each, OutsideRowsRecorded)]


async def column(world: World, table: str, name: str) -> list[Any]:
    """Return the values of a column over all batches."""
    return [
        value
        for batch in await batches(world)
        for value in unpacked(batch.body).get(table, {}).get(name, ())
    ]


async def walk(run: RecordedSimulation, upto: int, *, begin: int = 0) -> None:
    for step in range(begin, upto):
        await run.log("agent_states", step_number=step, agent_id="a", position_x=step)


class Gate:
    """A client whose server can be away, and which may be told to refuse."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.failure: Exception | None = None
        self.sent: list[Command] = []
        self.tried = asyncio.Event()

    async def send(self, command: Command, *, command_id: UUID) -> Outcome:
        self.sent.append(command)
        self.tried.set()
        if self.failure is not None:
            raise self.failure
        return await self._client.send(command, command_id=command_id)


async def test_a_simulation_is_opened_recorded_and_ended(world: World) -> None:
    async with connected(world) as client, recording(client) as run:
        run.results_summary = {"left": 3}
        await run.log("agents", agent_id="a", birth_time=0, agent_type="drunkard")
        await run.log("agents", agent_id="b", birth_time=0)
        await run.log("simulation_steps", step_number=0, total_agents=2)
    opened, *rows, ended = await recorded(world)
    assert isinstance(opened, OutsideSimulationOpened)
    assert (opened.name, opened.model, opened.origin) == (
        "walk",
        "drunkards 1",
        "recorded",
    )
    assert isinstance(ended, OutsideSimulationEnded)
    assert (ended.status, ended.results_summary) == ("completed", {"left": 3})
    counts = {"agents": 2, "simulation_steps": 1}
    assert sum(each.rows["agents"] for each in rows if "agents" in each.rows) == 2
    assert rows[-1].before | rows[-1].rows == counts
    assert await column(world, "agents", "agent_id") == ["a", "b"]


async def test_a_batch_goes_when_a_table_has_so_many_rows(world: World) -> None:
    async with connected(world) as client, recording(client, rows=100) as run:
        await walk(run, 350)
        await run.flush()
        assert run.waiting == 0
    assert max(each.rows["agent_states"] for each in await batches(world)) == 100
    assert await column(world, "agent_states", "step_number") == list(range(350))


async def test_a_batch_goes_after_so_long(world: World) -> None:
    async with connected(world) as client, recording(client, seconds=0.01) as run:
        await walk(run, 3)
        async with asyncio.timeout(30):
            while run.waiting:  # noqa: ASYNC110 - what is tested is that it ends
                await asyncio.sleep(0.01)
        assert await column(world, "agent_states", "step_number") == [0, 1, 2]


async def test_a_batch_is_never_larger_than_a_command_may_be(world: World) -> None:
    details = "x" * 4_096
    async with connected(world) as client, recording(client) as run:
        for step in range(1_000):
            await run.log(
                "agent_actions",
                step_number=step,
                agent_id="a",
                action_type="move",
                details=details,
            )
    assert await column(world, "agent_actions", "step_number") == list(range(1_000))


async def test_lost_answers_record_nothing_twice(world: World) -> None:
    async with (
        losing(world, 3) as url,
        connected(world, url) as client,
        recording(client, rows=50) as run,
    ):
        await walk(run, 200)
    assert await column(world, "agent_states", "step_number") == list(range(200))


async def test_nothing_is_lost_while_the_server_is_away(world: World) -> None:
    async with connected(world) as client:
        gate = Gate(client)
        async with recording(gate, rows=10, capacity=60) as run:
            await walk(run, 10)
            await run.flush()
            gate.failure = Unavailable("The server is away.")
            gate.tried.clear()
            with pytest.raises(BufferFull, match="60 rows wait"):
                await walk(run, 100, begin=10)
            assert gate.tried.is_set()
            assert run.waiting == 60
            with pytest.raises(Unavailable):
                await run.flush()
            gate.failure = None
    assert await column(world, "agent_states", "step_number") == list(range(70))
    assert [each.batch for each in await batches(world)] == list(range(1, 8))


async def test_the_end_can_be_recorded_later(world: World) -> None:
    async with connected(world) as client:
        gate = Gate(client)
        gate.failure = Unavailable("The server is away.")
        run = Recorder(gate, model="drunkards 1").simulation("walk")
        run.add("agents", agent_id="a", birth_time=0)
        with pytest.raises(Unavailable):
            await run.end()
        with pytest.raises(Ended):
            run.add("agents", agent_id="b", birth_time=0)
        gate.failure = None
        await run.end()
        await run.end()
    assert [type(each) for each in await recorded(world)] == [
        OutsideSimulationOpened,
        OutsideRowsRecorded,
        OutsideSimulationEnded,
    ]


async def test_what_is_refused_is_raised_where_rows_are_logged(world: World) -> None:
    async with connected(world) as client:
        gate = Gate(client)
        gate.failure = Forbidden("This actor may not do this.")
        with pytest.raises(Forbidden):
            async with recording(gate, rows=5) as run:
                await walk(run, 1_000)
        assert await recorded(world) == []
        assert run.waiting < 1_000


@pytest.mark.parametrize(
    ("table", "columns", "path"),
    [
        ("walkers", {}, "$"),
        ("agents", {"agent_id": "a"}, "$.agents.birth_time"),
        ("agents", {"agent_id": "a", "birth_time": -1}, "$.agents.birth_time"),
        ("agents", {"agent_id": "a", "birth_time": 10**30}, "$.agents.birth_time"),
        ("agents", {"agent_id": "a", "birth_time": 0, "legs": 2}, "$.agents.legs"),
        ("agents", {"agent_id": "a\0", "birth_time": 0}, "$.agents.agent_id"),
        ("agents", {"agent_id": "\ud800", "birth_time": 0}, "$.agents"),
        (
            "agents",
            {"agent_id": "a", "birth_time": 0, "position_x": float("nan")},
            "$.agents.position_x",
        ),
        (
            "agents",
            {"agent_id": "a", "birth_time": 0, "position_x": np.float64("inf")},
            "$.agents.position_x",
        ),
        (
            "agents",
            {"agent_id": "a", "birth_time": 0, "genome_id": object()},
            "$.agents",
        ),
    ],
)
async def test_a_row_that_cannot_be_is_named_and_harms_no_other(
    world: World, table: Table, columns: Mapping[str, object], path: str
) -> None:
    async with connected(world) as client, recording(client) as run:
        await run.log("agents", agent_id="before", birth_time=0)
        with pytest.raises(Malformed) as caught:
            await run.log(table, **columns)
        assert caught.value.path == path
        await run.log("agents", agent_id="after", birth_time=0)
    assert await column(world, "agents", "agent_id") == ["before", "after"]


async def test_numbers_of_numpy_are_numbers(world: World) -> None:
    async with connected(world) as client, recording(client) as run:
        await run.log(
            "agent_states",
            step_number=np.int64(3),
            agent_id="a",
            position_x=np.float32(1.5),
            is_defending=np.bool_(True),  # noqa: FBT003 - a value
        )
    assert await column(world, "agent_states", "step_number") == [3]
    assert await column(world, "agent_states", "is_defending") == [True]


async def test_in_memory_nothing_is_sent_before_it_is_asked_for(world: World) -> None:
    async with connected(world) as client:
        async with recording(client, in_memory=True, capacity=2_500) as run:
            for step in range(2_500):
                run.add("agent_states", step_number=step, agent_id="a")
            with pytest.raises(BufferFull):
                run.add("agent_states", step_number=0, agent_id="a")
            await asyncio.sleep(0)
            assert await recorded(world) == []
            await run.flush()
            assert len(await batches(world)) == 3
            run.add("agent_states", step_number=2_500, agent_id="a")
        assert await column(world, "agent_states", "step_number") == list(range(2_501))


async def test_a_simulation_has_one_context(world: World) -> None:
    async with (
        connected(world) as client,
        Recorder(client, model="drunkards 1", seconds=LONG) as recorder,
    ):
        one, other = recorder.simulation("one"), recorder.simulation("other")
        assert recorder.simulation("one") is one
        await one.log("agents", agent_id="a", birth_time=0)
        await other.log("agents", agent_id="a", birth_time=0)
    found = await recorded(world)
    opened = [each for each in found if isinstance(each, OutsideSimulationOpened)]
    assert {(each.name, each.number) for each in opened} == {("one", 1), ("other", 2)}
    ended = [each for each in found if isinstance(each, OutsideSimulationEnded)]
    assert {each.simulation_id for each in ended} == {
        one.simulation_id,
        other.simulation_id,
    }


async def fail(client: Client, experiment: DescribeOutsideExperiment) -> None:
    """Fail in the middle of a simulation."""
    async with recording(client, experiment=experiment) as run:
        await walk(run, 3)
        raise ZeroDivisionError("3 legs\0 \ud800")


async def test_a_model_that_fails_is_recorded_as_failed(world: World) -> None:
    experiment = DescribeOutsideExperiment(
        experiment_id=ExperimentId(new_id()), name="Drunkards"
    )
    async with connected(world) as client:
        with pytest.raises(ZeroDivisionError):
            await fail(client, experiment)
    found = await recorded(world)
    (ended,) = [each for each in found if isinstance(each, OutsideSimulationEnded)]
    assert (ended.status, ended.reason) == ("failed", "ZeroDivisionError: 3 legs ?")
    described = [e for e in found if isinstance(e, OutsideExperimentDescribed)]
    assert [each.status for each in described] == ["running", "failed"]
    assert await column(world, "agent_states", "step_number") == [0, 1, 2]


async def test_what_cannot_be_said_of_an_end_can_be_said_again(world: World) -> None:
    async with connected(world) as client:
        run = Recorder(client, model="drunkards 1").simulation("walk")
        run.results_summary = {"text": "\0"}
        with pytest.raises(Malformed):
            await run.end()
        run.results_summary = {}
        await run.end()
        with pytest.raises(Malformed):
            Recorder(client, model=" ").simulation("walk")
        with pytest.raises(Malformed):
            Recorder(client, model="m", rows=1_001)
    assert not any(isinstance(e, RecordOutsideRows) for e in await recorded(world))
