"""The read table `outside_health_incidents`: changes of health, recorded elsewhere."""

from typing import Final

from events.experiments.outside import OutsideRowsRecorded
from projections.experiments.columns import bigint, double, integer, text
from projections.experiments.outside import outside_table, recording
from projections.projection import Projection


TABLE: Final = outside_table(
    "health_incidents",
    (
        integer("step_number", "When incident occurred"),
        text("agent_id", "Affected agent"),
        bigint("incident_id", "Identifier that the row has elsewhere", nullable=True),
        double("health_before", "Health before incident", nullable=True),
        double("health_after", "Health after incident", nullable=True),
        text("cause", "Cause of health change", nullable=True),
        text("details", "Additional incident details", nullable=True),
    ),
)

PROJECTION: Final = Projection(
    table=TABLE,
    events=(OutsideRowsRecorded,),
    project=recording("health_incidents", TABLE),
)
