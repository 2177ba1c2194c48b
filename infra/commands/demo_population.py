"""The demo's experiment: its numbers while its runs are made, and the proof of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from msgspec.structs import replace

from events.experiments.common import Capture
from events.ids import ExperimentId
from infra.clock import new_id
from infra.commands.experiments import print_experiment, print_proof
from infra.commands.shared import Who, progress, screen
from infra.commands.watching import Board
from infra.operations.experimenting import Experiments, Proof, prove
from infra.populations import ProcessPopulations, open_populations
from infra.settings import Settings
from infra.wiring import Core
from services.client.client import Client
from services.engines.population.chunks import Begin
from services.engines.population.configuration import configuration, tree
from services.experiments.designs import GivenCapture, GivenDesign
from services.experiments.experiments import CreateExperiment, StartExperiment
from services.work.simulating import Runs


FARM: Final = configuration(
    {"population": {"system": 10, "independent": 10, "control": 10, "maximum": 300}}
)
DESIGN: Final = GivenDesign(
    configuration=FARM,
    grid={"combat.base_attack_strength": [2, 15]},
    iterations=4,
    seed=7,
    steps=6_000,
    capture=GivenCapture(every=1, last=60),
)
START: Final = Begin(configuration=tree(FARM), seed=DESIGN.seed, capture=Capture())


class Populated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the experiment: steps that were made, and that were told live."""

    experiment_id: ExperimentId
    position: int
    status: str
    simulations: int
    steps: int
    told: int
    agents: int
    proof: Proof

    @property
    def ok(self) -> bool:
        """Say whether every run was made, told, and the same when made again."""
        told = self.told == self.steps
        return self.status == "completed" and told and self.proof.ok


@asynccontextmanager
async def compiling(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """Compile the engine while inside, where no process has done so before.

    Workers find the machine code in the data directory.
    """
    async with open_populations(settings.data_dir, size=1) as populations:
        task = asyncio.create_task(_compiled(populations))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _compiled(populations: ProcessPopulations) -> None:
    async with populations.opened(START) as population:
        made = await population.run(1)
    taken_up = replace(START, checkpoint=made.checkpoint.opened())
    async with populations.opened(taken_up) as population:
        await population.run(2)


async def populated(
    client: Client,
    parts: Core,
    settings: Settings,
    who: Who,
    compiled: asyncio.Task[None],
) -> Populated:
    """Make an experiment over HTTP, show it live, and prove one of its runs."""
    screen.rule("Making populations, with live numbers", align="left")
    with progress() as bar:
        bar.add_task("compiling the engine, once", total=None)
        await compiled
    key = ExperimentId(new_id())
    create = CreateExperiment(
        experiment_id=key,
        name="Fiercer blows",
        description="Thirty agents of three types, four seeds, blows of two strengths.",
        hypothesis="Where blows are fiercer, fewer survive.",
        design=DESIGN,
    )
    await client.send(create)
    outcome = await client.send(StartExperiment(experiment_id=key))
    with Board(create.name) as board:
        async for step in client.step_metrics(key, min_position=outcome.position):
            board.take(step)
    known = Experiments(parts.log, who.org)
    found = await known.experiment(key)
    print_experiment(found)
    seen = board.report(found.status)
    async with open_populations(settings.data_dir, size=1) as populations:
        runs = Runs(log=parts.log, blobs=parts.blobs, populations=populations)
        first = [found.runs[0].simulation_id]
        proof = await prove(runs, first, who.org, tell=lambda _done, _of: None)
    print_proof(proof)
    return Populated(
        experiment_id=key,
        position=found.position,
        status=found.status,
        simulations=found.simulations,
        steps=sum(run.step + 1 for run in found.runs),
        told=seen.steps,
        agents=sum(run.born for run in seen.runs),
        proof=proof,
    )
