"""The read table `outside_resource_states`: states of resources, recorded elsewhere."""

from typing import Final

from events.experiments.outside import OutsideRowsRecorded
from projections.experiments.columns import bigint, double, integer
from projections.experiments.outside import outside_table, recording
from projections.projection import Projection


TABLE: Final = outside_table(
    "resource_states",
    (
        integer("step_number", "Simulation step number"),
        integer("resource_id", "Unique resource identifier"),
        bigint("id", "Identifier that the row has elsewhere", nullable=True),
        double("amount", "Current resource amount", nullable=True),
        double("position_x", "X coordinate", nullable=True),
        double("position_y", "Y coordinate", nullable=True),
    ),
    key=("step_number", "resource_id"),
)

PROJECTION: Final = Projection(
    table=TABLE,
    events=(OutsideRowsRecorded,),
    project=recording("resource_states", TABLE),
)
