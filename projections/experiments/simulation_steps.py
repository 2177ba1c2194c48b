"""The read table `simulation_steps`: the metrics of every step of every run."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.metrics import step_metrics
from events.experiments.simulations import ChunkRecorded
from projections.experiments import outside_simulation_steps
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    double,
    flag,
    integer,
)
from projections.experiments.outside import beside
from projections.projection import Filling, Projection, Reference, Table


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


_MADE: Final = Table(
    schema=SCHEMA,
    name="simulation_steps",
    version=2,
    note="Metrics of simulation steps; step 0 is where a run begins",
    columns=(
        SIMULATION,
        integer("step_number", "Simulation step number"),
        integer("total_agents", "Total number of alive agents", nullable=True),
        integer("system_agents", "Number of system agents", nullable=True),
        integer("independent_agents", "Number of independent agents", nullable=True),
        integer("control_agents", "Number of control agents", nullable=True),
        double("total_resources", "Total resources in environment", nullable=True),
        double("average_agent_resources", "Mean resources per agent", nullable=True),
        integer("births", "New agents this step", nullable=True),
        integer("deaths", "Agent deaths this step", nullable=True),
        integer("current_max_generation", "Highest generation number", nullable=True),
        double(
            "resource_efficiency",
            "What nodes hold, as a share of 30 each",
            nullable=True,
        ),
        double(
            "resource_distribution_entropy",
            "Measure of resource distribution evenness",
            nullable=True,
        ),
        double("average_agent_health", "Mean health across agents", nullable=True),
        integer("average_agent_age", "Mean age of agents, rounded", nullable=True),
        double("mean_agent_age", "Mean age of agents", nullable=True),
        double("average_reward", "Mean reward accumulated", nullable=True),
        integer(
            "combat_encounters", "Number of combat interactions so far", nullable=True
        ),
        integer(
            "successful_attacks", "Number of successful attacks so far", nullable=True
        ),
        double("resources_shared", "Amount of resources shared so far", nullable=True),
        double("genetic_diversity", "Measure of genome variety (0-1)", nullable=True),
        double(
            "dominant_genome_ratio",
            "Prevalence of most common genome (0-1)",
            nullable=True,
        ),
        double("resources_consumed", "Resources consumed this step", nullable=True),
        ORGANISATION,
    ),
    key=("simulation_id", "step_number"),
    rows=OWN_ORGANISATION,
    view="""
        SELECT
            t.*,
            false AS elsewhere
        FROM {table} AS t
    """,
    view_columns=(flag("elsewhere", "Whether the simulation runs elsewhere"),),
    references=(
        Reference(
            column="simulation_id",
            table="experiments.simulations",
            target="simulation_id",
        ),
    ),
)


TABLE: Final = beside(
    _MADE,
    outside_simulation_steps.TABLE,
    {
        "average_agent_age": "round(o.average_agent_age)::integer",
        "mean_agent_age": "o.average_agent_age",
        "elsewhere": "true",
    },
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
