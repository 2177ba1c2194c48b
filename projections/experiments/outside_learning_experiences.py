"""The read table `outside_learning_experiences`: what modules learned elsewhere."""

from typing import Final

from events.experiments.outside import OutsideRowsRecorded
from projections.experiments.columns import bigint, double, integer, small, text
from projections.experiments.outside import outside_table, recording
from projections.projection import Projection


TABLE: Final = outside_table(
    "learning_experiences",
    (
        integer("step_number", "When experience occurred"),
        text("agent_id", "Agent that had experience"),
        text("module_type", "Type of learning module"),
        bigint("experience_id", "Identifier that the row has elsewhere", nullable=True),
        text("module_id", "Identifier for specific module", nullable=True),
        small("action_taken", "Action index taken", nullable=True),
        text("action_taken_mapped", "Human-readable action description", nullable=True),
        double("reward", "Reward received", nullable=True),
    ),
)

PROJECTION: Final = Projection(
    table=TABLE,
    events=(OutsideRowsRecorded,),
    project=recording("learning_experiences", TABLE),
)
