"""The read table `outside_agent_states`: states of agents, recorded elsewhere."""

from typing import Final

from events.experiments.outside import OutsideRowsRecorded
from projections.experiments.columns import double, flag, integer, text
from projections.experiments.outside import outside_table, recording
from projections.projection import Projection


TABLE: Final = outside_table(
    "agent_states",
    (
        integer("step_number", "Simulation step number"),
        text("agent_id", "Agent, as it is called there"),
        double("position_x", "X coordinate", nullable=True),
        double("position_y", "Y coordinate", nullable=True),
        double("position_z", "Z coordinate", nullable=True),
        double("resource_level", "Current resource amount", nullable=True),
        double("current_health", "Current health points", nullable=True),
        flag("is_defending", "Whether agent is in defensive stance", nullable=True),
        double("total_reward", "Accumulated reward", nullable=True),
        integer("age", "Agent's current age in steps", nullable=True),
    ),
    key=("step_number", "agent_id"),
)

PROJECTION: Final = Projection(
    table=TABLE, events=(OutsideRowsRecorded,), project=recording("agent_states", TABLE)
)
