"""The read table `agents`: every agent of every run, from its birth to its death."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.simulations import ChunkRecorded
from events.experiments.vocabulary import FINE, GENES, KINDS, SCALE
from projections.experiments import outside_agents
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    agent_id,
    bigint,
    double,
    integer,
    small,
    text,
    word,
)
from projections.experiments.outside import beside
from projections.projection import Filling, Index, Projection, Reference, Table


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


_MADE: Final = Table(
    schema=SCHEMA,
    name="agents",
    version=2,
    note="Agents of simulations: how they came to be, and when they died",
    columns=(
        SIMULATION,
        integer("agent", "Number of the agent, from 0 in the order of birth"),
        integer("birth_time", "Simulation step when agent was created"),
        small("kind", "Type of agent, as a number", nullable=True),
        double("position_x", "Initial X coordinate", nullable=True),
        double("position_y", "Initial Y coordinate", nullable=True),
        double("initial_resources", "Starting resource amount", nullable=True),
        double("starting_health", "Starting health points", nullable=True),
        integer(
            "starvation_threshold",
            "Steps agent can survive without resources",
            nullable=True,
        ),
        integer(
            "generation", "Generation number in evolutionary lineage", nullable=True
        ),
        integer("parent", "Number of the parent, -1 for none", nullable=True),
        integer(
            "other_parent", "Number of the second parent, -1 for none", nullable=True
        ),
        bigint("genome", "Hash of the agent's genes, as a number", nullable=True),
        *(double(f"gene_{name}", f"Gene: {name.replace('_', ' ')}") for name in GENES),
        ORGANISATION,
    ),
    key=("simulation_id", "agent"),
    rows=OWN_ORGANISATION,
    view=f"""
        SELECT
            t.*,
            {agent_id("agent")},
            {word("kind", KINDS, "agent_type")},
            died.step_number AS death_time,
            lpad(to_hex(t.genome), 16, '0') AS genome_id,
            {agent_id("parent", "parent_id")},
            {agent_id("other_parent", "other_parent_id")},
            died.cause AS death_cause
        FROM {{table}} AS t
        LEFT JOIN experiments.agent_deaths AS died
            ON died.simulation_id = t.simulation_id
            AND died.agent = t.agent
    """,
    view_columns=(
        text("agent_id", "Unique identifier for each agent"),
        text("agent_type", "Type of agent (system/independent/control)", nullable=True),
        integer(
            "death_time",
            "Simulation step when agent died (NULL if alive)",
            nullable=True,
        ),
        text("genome_id", "Unique identifier for agent's genome", nullable=True),
        text("parent_id", "Agent that it is a child of", nullable=True),
        text("other_parent_id", "Second parent, if there is one", nullable=True),
        text("death_cause", "What it died of (NULL if alive)", nullable=True),
    ),
    indexes=(
        Index(columns=("simulation_id", "kind")),
        Index(columns=("simulation_id", "birth_time")),
    ),
    references=(
        Reference(
            column="simulation_id",
            table="experiments.simulations",
            target="simulation_id",
        ),
    ),
)


TABLE: Final = beside(_MADE, outside_agents.TABLE)


def arrange(rows: "npt.NDArray[np.void]", event: ChunkRecorded) -> dict[str, Any]:
    """Return the columns of recorded rows."""
    return {
        "simulation_id": event.simulation,
        "agent": rows["agent"],
        "birth_time": rows["step"],
        "kind": rows["kind"],
        "position_x": rows["x"] / SCALE,
        "position_y": rows["y"] / SCALE,
        "initial_resources": rows["resources"] / SCALE,
        "starting_health": rows["health"] / SCALE,
        "starvation_threshold": event.starvation_threshold,
        "generation": rows["generation"],
        "parent": rows["parent"],
        "other_parent": rows["other_parent"],
        "genome": rows["genome"].view("<i8"),
        **{f"gene_{name}": rows[name] / FINE for name in GENES},
    }


PROJECTION: Final = Projection(
    table=TABLE, events=(ChunkRecorded,), fill=Filling(source="births", arrange=arrange)
)
