"""The read table `reproduction_failures`: who could not reproduce, and why."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.simulations import ChunkRecorded
from events.experiments.vocabulary import OUTCOMES, SCALE
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    agent_id,
    double,
    integer,
    small,
    text,
    word,
)
from projections.projection import Filling, Index, Projection, Reference, Table


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


TABLE: Final = Table(
    schema=SCHEMA,
    name="reproduction_failures",
    version=1,
    note="Reproductions that were tried and refused, with the reasons",
    columns=(
        SIMULATION,
        integer("step_number", "When it was tried"),
        integer("agent", "Number of the agent"),
        small("outcome", "Why it was refused, as a number"),
        double("resources", "Resources that the agent had"),
        double("health", "Health points that the agent had"),
        ORGANISATION,
    ),
    key=("simulation_id", "step_number", "agent"),
    rows=OWN_ORGANISATION,
    view=f"""
        SELECT
            t.*,
            {agent_id("agent")},
            {word("outcome", OUTCOMES, "failure_reason")}
        FROM {{table}} AS t
    """,
    view_columns=(
        text("agent_id", "Agent that tried"),
        text("failure_reason", "Why it was refused"),
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


def arrange(rows: "npt.NDArray[np.void]", event: ChunkRecorded) -> dict[str, Any]:
    """Return the columns of recorded rows."""
    return {
        "simulation_id": event.simulation,
        "step_number": rows["step"],
        "agent": rows["agent"],
        "outcome": rows["outcome"],
        "resources": rows["resources"] / SCALE,
        "health": rows["health"] / SCALE,
    }


PROJECTION: Final = Projection(
    table=TABLE,
    events=(ChunkRecorded,),
    fill=Filling(source="refusals", arrange=arrange),
)
