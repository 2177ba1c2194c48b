"""Simulations that run elsewhere, from their own program into the tables, and live."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
)
from events.ids import ExperimentId
from services.client.recorder import RecordedSimulation, Recorder
from services.experiments.experiments import DescribeOutsideExperiment
from tests.builders import new_id
from tests.end_to_end.stack import Stack


ROOT: Final = Path(__file__).parents[2]


async def test_the_documented_script_records_every_row(stack: Stack) -> None:
    text = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        env={
            "PATH": os.environ.get("PATH", ""),  # noqa: TID251 - of a program that is not ours
            "REHEARSAL_URL": stack.url,
            "TOKEN": stack.token(),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()

    opened, *batches, ended = [recorded.event for recorded in await stack.events()]
    assert isinstance(opened, OutsideSimulationOpened)
    assert isinstance(ended, OutsideSimulationEnded)
    assert (opened.name, ended.status) == ("walk 7", "completed")
    counts: dict[str, int] = {}
    for batch in batches:
        assert isinstance(batch, OutsideRowsRecorded)
        assert batch.before == counts
        for name, count in batch.rows.items():
            counts[name] = counts.get(name, 0) + count
    assert counts == {"agents": 50, "agent_states": 5_000, "simulation_steps": 100}

    await stack.caught_up()
    (run,) = await stack.sql(
        "SELECT simulation_id, engine, status, step FROM experiments.simulations"
    )
    assert (run["engine"], run["status"]) == ("recorded: drunkards 1", "completed")
    for name, count in counts.items():
        (row,) = await stack.sql(f"SELECT count(*) FROM experiments.{name}")  # noqa: S608 - ours
        assert row["count"] == count
    async with stack.client() as client:
        steps = client.step_metrics(run["simulation_id"], every_step=True)
        told = [(step.last_step, step.metrics["total_agents"]) async for step in steps]
        windows = client.step_metrics(run["simulation_id"], rate=1)
        ranges = [(step.first_step, step.last_step) async for step in windows]
    assert told == [(step, 50) for step in range(100)]
    assert [step for first, last in ranges for step in range(first, last + 1)] == [
        *range(100)
    ]


async def every_tenth(run: RecordedSimulation) -> None:
    """Record the metrics of five steps."""
    for step in range(0, 50, 10):
        await run.log("simulation_steps", step_number=step, total_agents=step + 1)
    await run.flush()


async def test_an_experiment_elsewhere_is_told_live_to_its_end(stack: Stack) -> None:
    experiment = DescribeOutsideExperiment(
        experiment_id=ExperimentId(new_id()), name="Walks", hypothesis="They return."
    )
    async with stack.client() as client, asyncio.timeout(120):
        async with Recorder(
            client, model="drunkards 1", experiment=experiment, rows=2
        ) as recorder:
            one, other = recorder.simulation("one"), recorder.simulation("other")
            await one.flush()
            feed = client.step_metrics(
                experiment.experiment_id, every_step=True, min_position=one.position
            )
            first = asyncio.ensure_future(anext(feed))
            await every_tenth(one)
            seen = [await first, *[await anext(feed) for _ in range(4)]]
            await every_tenth(other)
        seen += [step async for step in feed]
        again = client.step_metrics(experiment.experiment_id, every_step=True)
        assert seen == [step async for step in again]
    assert [(step.number, step.last_step) for step in seen] == [
        (number, step) for number in (1, 2) for step in range(0, 50, 10)
    ]
    assert [step.metrics["total_agents"] for step in seen] == [1, 11, 21, 31, 41] * 2
    assert {step.metrics["births"] for step in seen} == {None}
