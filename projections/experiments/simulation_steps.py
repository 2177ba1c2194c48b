"""The read table `simulation_steps`: the metrics of every step of every run."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.metrics import step_metrics
from events.experiments.simulations import ChunkRecorded
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    double,
    integer,
)
from projections.projection import Filling, Projection, Reference, Table


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


TABLE: Final = Table(
    schema=SCHEMA,
    name="simulation_steps",
    version=1,
    note="Metrics of simulation steps; step 0 is where a run begins",
    columns=(
        SIMULATION,
        integer("step_number", "Simulation step number"),
        integer("total_agents", "Total number of alive agents"),
        integer("system_agents", "Number of system agents"),
        integer("independent_agents", "Number of independent agents"),
        integer("control_agents", "Number of control agents"),
        double("total_resources", "Total resources in environment"),
        double("average_agent_resources", "Mean resources per agent"),
        integer("births", "New agents this step"),
        integer("deaths", "Agent deaths this step"),
        integer("current_max_generation", "Highest generation number"),
        double("resource_efficiency", "What nodes hold, as a share of 30 each"),
        double(
            "resource_distribution_entropy", "Measure of resource distribution evenness"
        ),
        double("average_agent_health", "Mean health across agents"),
        integer("average_agent_age", "Mean age of agents, rounded"),
        double("mean_agent_age", "Mean age of agents"),
        double("average_reward", "Mean reward accumulated"),
        integer("combat_encounters", "Number of combat interactions so far"),
        integer("successful_attacks", "Number of successful attacks so far"),
        double("resources_shared", "Amount of resources shared so far"),
        double("genetic_diversity", "Measure of genome variety (0-1)"),
        double("dominant_genome_ratio", "Prevalence of most common genome (0-1)"),
        double("resources_consumed", "Resources consumed this step"),
        ORGANISATION,
    ),
    key=("simulation_id", "step_number"),
    rows=OWN_ORGANISATION,
    references=(
        Reference(
            column="simulation_id",
            table="experiments.simulations",
            target="simulation_id",
        ),
    ),
)


def arrange(rows: "npt.NDArray[np.void]", event: ChunkRecorded) -> dict[str, Any]:
    """Return the columns of recorded rows."""
    metrics = step_metrics(rows, nodes=event.resource_nodes, ruleset=event.ruleset)
    age = metrics["average_agent_age"]
    return {
        "simulation_id": event.simulation,
        **metrics,
        "average_agent_age": age.round(),
        "mean_agent_age": age,
    }


PROJECTION: Final = Projection(
    table=TABLE, events=(ChunkRecorded,), fill=Filling(source="steps", arrange=arrange)
)
