"""The read table `agent_deaths`: when and of what agents died, and who killed them."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.simulations import ChunkRecorded
from events.experiments.vocabulary import CAUSES
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    agent_id,
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
    name="agent_deaths",
    version=1,
    note="Deaths of agents, with their causes",
    columns=(
        SIMULATION,
        integer("agent", "Number of the agent"),
        integer("step_number", "Simulation step when agent died"),
        small("cause_number", "What it died of, as a number"),
        integer("killer", "Number of the agent that killed it, -1 for none"),
        ORGANISATION,
    ),
    key=("simulation_id", "agent"),
    rows=OWN_ORGANISATION,
    view=f"""
        SELECT
            t.*,
            {agent_id("agent")},
            {word("cause_number", CAUSES, "cause")},
            {agent_id("killer", "killer_id")}
        FROM {{table}} AS t
    """,
    view_columns=(
        text("agent_id", "Unique identifier for each agent"),
        text("cause", "What it died of: starvation, combat or age"),
        text("killer_id", "Agent that killed it, if one did", nullable=True),
    ),
    indexes=(Index(columns=("simulation_id", "step_number")),),
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
        "agent": rows["agent"],
        "step_number": rows["step"],
        "cause_number": rows["cause"],
        "killer": rows["killer"],
    }


PROJECTION: Final = Projection(
    table=TABLE, events=(ChunkRecorded,), fill=Filling(source="deaths", arrange=arrange)
)
