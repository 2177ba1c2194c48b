"""Experiments and simulations that tests speak of."""

from uuid import UUID

from events.experiments.experiments import (
    ExperimentCreated,
    ExperimentStarted,
    Value,
)
from events.experiments.simulations import ChunkRecorded, SimulationRequested, Totals
from events.ids import ExperimentId, SimulationId
from services.engines.population.configuration import configuration
from services.experiments.designs import GivenDesign, design_of
from services.experiments.experiments import CreateExperiment
from services.experiments.simulations import RecordChunk, RequestSimulation
from tests.given import given


EXPERIMENT = ExperimentId(UUID("01932c5e-7b00-7101-8000-000000000001"))
SIMULATION = SimulationId(UUID("01932c5e-7b00-7102-8000-000000000002"))
BRANCH = SimulationId(UUID("01932c5e-7b00-7103-8000-000000000003"))
THOUGHTFUL = SimulationId(UUID("01932c5e-7b00-71f0-8000-0000000000f0"))
NOBODY = UUID("01932c5e-7b00-71ff-8000-0000000000ff")
SMALL = configuration(  # recorded in chunks of 333 steps
    {"population": {"system": 4, "independent": 4, "control": 4, "maximum": 450}}
)
STRENGTH = "combat.base_attack_strength"
DESIGN = GivenDesign(
    configuration=SMALL, grid={STRENGTH: [2, 40]}, iterations=2, seed=7, steps=40
)
CREATED = ExperimentCreated(
    experiment_id=EXPERIMENT,
    name="Fiercer blows",
    description="",
    hypothesis="Fewer survive.",
    design=design_of(DESIGN),
    simulations=4,
)
STARTED = ExperimentStarted(
    experiment_id=EXPERIMENT, design=CREATED.design, simulations=4
)
CREATE = CreateExperiment(
    experiment_id=EXPERIMENT,
    name="Fiercer blows",
    hypothesis="Fewer survive.",
    design=DESIGN,
)
REQUEST = RequestSimulation(
    simulation_id=SIMULATION, configuration=SMALL, seed=7, steps=1_000
)
THINKING: dict[str, Value] = {
    "learning.mode": "dqn",
    "learning.epsilon": 0.5,
    "learning.network.hidden": 6,
    "learning.network.memory": 200,
    "learning.network.batch": 8,
}


def requested() -> SimulationRequested:
    """Return the fact that `REQUEST` comes to."""
    (event,) = given().when(REQUEST).events
    assert isinstance(event, SimulationRequested)
    return event


def chunk(
    number: int, last: int, *, body: str = "b", extinct: bool = False
) -> RecordChunk:
    """Return the request to record a chunk of 333 steps, or fewer."""
    return RecordChunk(
        simulation_id=SIMULATION,
        simulation=41,
        engine="population/1",
        numerics="whole numbers",
        number=number,
        first_step=0 if number == 1 else (number - 1) * 333 + 1,
        last_step=last,
        body=body,
        rows={"steps": 333},
        state_hash=f"hash {number}",
        checkpoint=f"checkpoint {number}",
        extinct=extinct,
        totals=Totals(births=3, deaths=5, peak_agents=10 + number, agent_steps=2_000),
        latest={
            "total_agents": 9.0,
            "current_max_generation": 2.0,
            "total_resources": 12.5,
            "average_reward": 1.5,
            "genetic_diversity": 0.5,
        },
    )


def recorded(command: RecordChunk) -> ChunkRecorded:
    """Return the fact that a chunk comes to."""
    return ChunkRecorded(
        simulation_id=command.simulation_id,
        simulation=command.simulation,
        number=command.number,
        first_step=command.first_step,
        last_step=command.last_step,
        ruleset="farm-1",
        resource_nodes=20,
        starvation_threshold=15,
        body=command.body,
        rows=command.rows,
        state_hash=command.state_hash,
        checkpoint=command.checkpoint,
        extinct=command.extinct,
        totals=command.totals,
        latest=command.latest,
    )
