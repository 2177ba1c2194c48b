"""The read table `outside_agent_actions`: actions of agents, recorded elsewhere."""

from typing import Final

from events.experiments.outside import OutsideRowsRecorded
from projections.experiments.columns import bigint, double, integer, text
from projections.experiments.outside import outside_table, recording
from projections.projection import Projection


TABLE: Final = outside_table(
    "agent_actions",
    (
        integer("step_number", "When action occurred"),
        text("agent_id", "Agent that took action"),
        text("action_type", "Type of action taken"),
        bigint("action_id", "Identifier that the row has elsewhere", nullable=True),
        text("action_target_id", "Target of action (if any)", nullable=True),
        text("state_before_id", "Reference to state before action", nullable=True),
        text("state_after_id", "Reference to state after action", nullable=True),
        double("resources_before", "Resources before action", nullable=True),
        double("resources_after", "Resources after action", nullable=True),
        double("reward", "Reward received for action", nullable=True),
        text("details", "Additional action details", nullable=True),
    ),
)

PROJECTION: Final = Projection(
    table=TABLE,
    events=(OutsideRowsRecorded,),
    project=recording("agent_actions", TABLE),
)
