"""The read table `agent_states`: where agents are and how they fare, step by step."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.simulations import ChunkRecorded, RowsRecorded
from projections.experiments import outside_agent_states
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    agent_id,
    amount,
    bigint,
    double,
    flag,
    integer,
    text,
)
from projections.experiments.outside import beside
from projections.projection import Filling, Index, Projection, Reference, Table


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


_MADE: Final = Table(
    schema=SCHEMA,
    name="agent_states",
    version=2,
    note="States of agents at the end of steps, as far as rows were captured or made",
    columns=(
        SIMULATION,
        integer("step_number", "Simulation step number"),
        integer("agent", "Number of the agent"),
        integer("x", "X coordinate, in 1/10000", nullable=True),
        integer("y", "Y coordinate, in 1/10000", nullable=True),
        bigint("resources", "Current resource amount, in 1/10000", nullable=True),
        integer("health", "Current health points, in 1/10000", nullable=True),
        flag("is_defending", "Whether agent is in defensive stance", nullable=True),
        bigint("reward", "Accumulated reward, in 1/10000", nullable=True),
        integer("age", "Agent's current age in steps", nullable=True),
        ORGANISATION,
    ),
    key=("simulation_id", "step_number", "agent"),
    rows=OWN_ORGANISATION,
    view=f"""
        SELECT
            t.*,
            'agent_' || t.agent || '-' || t.step_number AS id,
            {agent_id("agent")},
            {amount("x", "position_x")},
            {amount("y", "position_y")},
            0::double precision AS position_z,
            {amount("resources", "resource_level")},
            {amount("health", "current_health")},
            {amount("reward", "total_reward")}
        FROM {{table}} AS t
    """,
    view_columns=(
        text("id", "Unique identifier (agent_id-step_number)"),
        text("agent_id", "Reference to Agents table"),
        double("position_x", "X coordinate", nullable=True),
        double("position_y", "Y coordinate", nullable=True),
        double("position_z", "Z coordinate, 0 on a plane", nullable=True),
        double("resource_level", "Current resource amount", nullable=True),
        double("current_health", "Current health points", nullable=True),
        double("total_reward", "Accumulated reward", nullable=True),
    ),
    indexes=(Index(columns=("simulation_id", "agent")),),
    references=(
        Reference(
            column="simulation_id",
            table="experiments.simulations",
            target="simulation_id",
        ),
    ),
)


TABLE: Final = beside(
    _MADE, outside_agent_states.TABLE, {"id": "o.agent_id || '-' || o.step_number"}
)


def arrange(
    rows: "npt.NDArray[np.void]", event: ChunkRecorded | RowsRecorded
) -> dict[str, Any]:
    """Return the columns of recorded rows."""
    return {
        "simulation_id": event.simulation,
        "step_number": rows["step"],
        "agent": rows["agent"],
        "x": rows["x"],
        "y": rows["y"],
        "resources": rows["resources"],
        "health": rows["health"],
        "is_defending": rows["defending"],
        "reward": rows["reward"],
        "age": rows["age"],
    }


PROJECTION: Final = Projection(
    table=TABLE,
    events=(ChunkRecorded, RowsRecorded),
    fill=Filling(source="states", arrange=arrange),
)
