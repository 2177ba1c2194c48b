"""The read table `outside_simulation_steps`: metrics of steps, recorded elsewhere."""

from typing import Final

from events.experiments.outside import OutsideRowsRecorded
from projections.experiments.columns import double, integer
from projections.experiments.outside import outside_table, recording
from projections.projection import Projection


TABLE: Final = outside_table(
    "simulation_steps",
    (
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
        double("resource_efficiency", "Resource utilization", nullable=True),
        double(
            "resource_distribution_entropy",
            "Measure of resource distribution evenness",
            nullable=True,
        ),
        double("average_agent_health", "Mean health across agents", nullable=True),
        double("average_agent_age", "Mean age of agents", nullable=True),
        double("average_reward", "Mean reward accumulated", nullable=True),
        integer("combat_encounters", "Number of combat interactions", nullable=True),
        integer("successful_attacks", "Number of successful attacks", nullable=True),
        double("resources_shared", "Amount of resources shared", nullable=True),
        double("genetic_diversity", "Measure of genome variety (0-1)", nullable=True),
        double(
            "dominant_genome_ratio",
            "Prevalence of most common genome (0-1)",
            nullable=True,
        ),
        double("resources_consumed", "Total resources consumed", nullable=True),
    ),
    key=("step_number",),
)

PROJECTION: Final = Projection(
    table=TABLE,
    events=(OutsideRowsRecorded,),
    project=recording("simulation_steps", TABLE),
)
