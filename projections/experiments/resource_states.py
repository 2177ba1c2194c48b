"""The read table `resource_states`: what resource nodes hold, step by step."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.simulations import ChunkRecorded, RowsRecorded
from projections.experiments import outside_resource_states
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    STEP_IDS,
    amount,
    bigint,
    double,
    integer,
)
from projections.experiments.outside import beside
from projections.projection import Filling, Index, Projection, Reference, Table


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


_MADE: Final = Table(
    schema=SCHEMA,
    name="resource_states",
    version=2,
    note="States of resources at the end of steps, as far as rows were made",
    columns=(
        SIMULATION,
        integer("step_number", "Simulation step number"),
        integer("resource_id", "Unique resource identifier"),
        integer("held", "Current resource amount, in 1/10000", nullable=True),
        integer("x", "X coordinate, in 1/10000", nullable=True),
        integer("y", "Y coordinate, in 1/10000", nullable=True),
        ORGANISATION,
    ),
    key=("simulation_id", "step_number", "resource_id"),
    rows=OWN_ORGANISATION,
    view=f"""
        SELECT
            t.*,
            t.step_number::bigint * {STEP_IDS} + t.resource_id + 1 AS id,
            {amount("held", "amount")},
            {amount("x", "position_x")},
            {amount("y", "position_y")}
        FROM {{table}} AS t
    """,
    view_columns=(
        bigint("id", "Unique identifier for state record"),
        double("amount", "Current resource amount", nullable=True),
        double("position_x", "X coordinate", nullable=True),
        double("position_y", "Y coordinate", nullable=True),
    ),
    indexes=(Index(columns=("simulation_id", "resource_id")),),
    references=(
        Reference(
            column="simulation_id",
            table="experiments.simulations",
            target="simulation_id",
        ),
    ),
)


TABLE: Final = beside(
    _MADE, outside_resource_states.TABLE, {"id": "coalesce(o.id, o.place)"}
)


def arrange(
    rows: "npt.NDArray[np.void]", event: ChunkRecorded | RowsRecorded
) -> dict[str, Any]:
    """Return the columns of recorded rows."""
    return {
        "simulation_id": event.simulation,
        "step_number": rows["step"],
        "resource_id": rows["node"],
        "held": rows["amount"],
        "x": rows["x"],
        "y": rows["y"],
    }


PROJECTION: Final = Projection(
    table=TABLE,
    events=(ChunkRecorded, RowsRecorded),
    fill=Filling(source="nodes", arrange=arrange),
)
