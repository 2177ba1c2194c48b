"""An experiment over RabbitMQ: 250 runs of 2,000 steps that begin with 30 agents.

The roles are processes, those of `rehearsal up --broker rabbitmq --workers 2` behind
its API. The clock starts with the command that starts the experiment and stops when the
read tables show its end, and so every step, agent and incident of every run. An
experiment of two short runs is made before, which compiles what is not compiled yet.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any, Final

import psutil

from events.ids import ExperimentId
from infra.clock import new_id
from infra.embedded.ladder import own_programs
from infra.kernels import VARIABLE, kernel_directory
from services.engines.population.configuration import configuration
from services.experiments.designs import GivenDesign
from services.experiments.experiments import CreateExperiment, StartExperiment
from tests.bench.measuring import Bar, Figure
from tests.bench.others import FOLDER
from tests.bench.server import Bench, FailedError, Place
from tests.bench.trials import STALLED, ask, serving
from tests.rabbit_ladder import temporary_broker


ROW: Final = "experiment"
AGENTS: Final = 30
STEPS: Final = 2_000
SERVING: Final = ("dispatch", "project", "intake", "relay", "work", "work")
LOOK: Final = 0.1  # seconds

ENDED: Final = """
SELECT status = 'completed'
  FROM experiments.experiments
 WHERE experiment_id = $1
"""
EVENTS: Final = "SELECT count(*) FROM es.events"
SHOWN: Final = """
SELECT (SELECT count(*) FROM experiments.simulation_steps) AS steps,
       (SELECT count(*) FROM experiments.agents) AS agents,
       (SELECT count(*) FROM experiments.agent_deaths) AS deaths,
       (SELECT count(*) FROM experiments.health_incidents) AS incidents,
       (SELECT sum(total_agents) FROM experiments.simulation_steps
         WHERE step_number > 0) AS agent_steps
"""


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    what = f"{bench.simulations:,} runs of {STEPS:,} steps over RabbitMQ, two workers"
    rung = own_programs()
    if rung is None or rung.programs is None:
        note = "not measured: rabbitmq-server is not on this machine"
        return [Figure(row=ROW, what=what, unit="s", note=note)]
    programs = await asyncio.to_thread(rung.programs)
    kernels = {VARIABLE: str(kernel_directory(FOLDER / "kernels"))}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        place = await enter(bench.database(ROW))
        broker = await enter(temporary_broker(programs))
        pids = {}
        for number, role in enumerate(SERVING):
            log = bench.folder / f"{role}-{number}.log"
            pids[log.stem] = await enter(serving(place, role, broker.url, log, kernels))
        await seconds_of(place, simulations=2, steps=20)
        before = dict(processor_seconds(pids))
        took = await seconds_of(place, simulations=bench.simulations, steps=STEPS)
        spent = {
            name: seconds - before[name] for name, seconds in processor_seconds(pids)
        }
        async with place.superuser() as connection:
            shown = await connection.fetchrow(SHOWN)
            events = await connection.fetchval(EVENTS)
    return [
        Figure(
            row=ROW,
            what=what,
            unit="s",
            value=took,
            bar=Bar(most=60.0 * bench.simulations / 250),
            note=f"{events:,} events; processors' seconds: "
            + ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items()),
        ),
        Figure(
            row=ROW,
            what="agent-steps of that experiment",
            unit="/s",
            value=shown["agent_steps"] / took,
            note=", ".join(
                f"{shown[name]:,} {name}"
                for name in ("steps", "agents", "deaths", "incidents")
            ),
        ),
    ]


async def seconds_of(place: Place, *, simulations: int, steps: int) -> float:
    """Return how long an experiment takes, from its start to its end in the tables."""
    key = ExperimentId(new_id())
    third = AGENTS // 3
    begin = {"system": third, "independent": third, "control": third}
    design = GivenDesign(
        configuration=configuration({"population": begin}),
        iterations=simulations,
        steps=steps,
    )
    await ask(place, [CreateExperiment(experiment_id=key, name=ROW, design=design)])
    async with place.superuser() as connection:
        began = moved = perf_counter()
        await ask(place, [StartExperiment(experiment_id=key)])
        known = 0
        while not await connection.fetchval(ENDED, str(key)):
            await asyncio.sleep(LOOK)
            events = await connection.fetchval(EVENTS)
            if events > known:
                known, moved = events, perf_counter()
            if perf_counter() - moved > STALLED:
                message = f"there are {events} events, and no more"
                raise FailedError(message)
        return perf_counter() - began


def processor_seconds(pids: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    """Yield what processes took of processors so far, each with its children."""
    for name, pid in pids.items():
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        yield name, sum(_spent(each) for each in family)


def _spent(process: psutil.Process) -> float:
    taken: Any = process.cpu_times()
    return float(
        taken.user + taken.system + taken.children_user + taken.children_system
    )
