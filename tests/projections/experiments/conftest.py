from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from infra.postgres.pool import open_pool
from projections.builds import ensure
from projections.catalogue import EXPERIMENTS
from services.experiments.designs import GivenCapture
from services.experiments.experiments import StartExperiment
from services.experiments.simulations import BranchSimulation
from tests.postgres_ladder import Database
from tests.projections.experiments.world import Shown
from tests.projections.test_seed_queries import let_read
from tests.services.experiments.examples import (
    BRANCH,
    CREATE,
    EXPERIMENT,
    REQUEST,
    SIMULATION,
    STRENGTH,
    THINKING,
    THOUGHTFUL,
)
from tests.services.work.floor import Floor


@pytest.fixture
async def shown(database: Database) -> AsyncIterator[Shown]:
    """An experiment of four runs, two captured runs, and a branch of one that kills."""
    floor = Floor()
    fierce = replace(
        REQUEST,
        steps=400,
        capture=GivenCapture(every=1, last=120),
        parameters={STRENGTH: 60, "combat.damage_reward": 0.2},
    )
    branch = BranchSimulation(simulation_id=BRANCH, parent_id=SIMULATION, at_step=300)
    thoughtful = replace(
        REQUEST,
        simulation_id=THOUGHTFUL,
        steps=60,
        capture=GivenCapture(every=1),
        parameters=THINKING,
    )
    start = StartExperiment(experiment_id=EXPERIMENT)
    await floor.ask(CREATE, start, fierce, thoughtful)
    await floor.settle()
    await floor.ask(branch)
    await floor.settle()
    pool = await open_pool(
        database.projector, min_size=1, max_size=5, application_name="tests"
    )
    async with pool:
        async with pool.acquire() as connection, connection.transaction():
            await ensure(connection, EXPERIMENTS)
        await let_read(database, "acme", "viewer")
        made = Shown(floor=floor, database=database, pool=pool)
        await made.feed()
        yield made
