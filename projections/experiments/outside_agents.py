"""The read table `outside_agents`: agents of simulations that run elsewhere."""

from collections.abc import Sequence
from itertools import repeat
from typing import Final

from events.experiments.outside import OutsideRowsRecorded, unpacked
from events.message import Event, Recorded
from projections.experiments.columns import double, integer, text
from projections.experiments.outside import outside_table, recording
from projections.projection import Projection, Rows


TABLE: Final = outside_table(
    "agents",
    (
        text("agent_id", "Agent, as it is called there"),
        integer("birth_time", "Simulation step when agent was created"),
        integer("death_time", "Simulation step when agent died", nullable=True),
        text("death_cause", "What it died of", nullable=True),
        text("agent_type", "Type of agent", nullable=True),
        double("position_x", "Initial X coordinate", nullable=True),
        double("position_y", "Initial Y coordinate", nullable=True),
        double("initial_resources", "Starting resource amount", nullable=True),
        double("starting_health", "Starting health points", nullable=True),
        integer(
            "starvation_threshold",
            "Steps agent can survive without resources",
            nullable=True,
        ),
        text("genome_id", "Unique identifier for agent's genome", nullable=True),
        integer(
            "generation", "Generation number in evolutionary lineage", nullable=True
        ),
    ),
    key=("agent_id",),
)

_born: Final = recording("agents", TABLE)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn agents into rows, and say in them when and of what they died."""
    for recorded in batch:
        _born([recorded], rows)
        event = recorded.event
        if isinstance(event, OutsideRowsRecorded) and "agent_deaths" in event.rows:
            deaths = unpacked(event.body)["agent_deaths"]
            agents, steps = deaths["agent_id"], deaths["death_time"]
            causes = deaths.get("cause") or repeat(None, len(agents))
            for agent, step, cause in zip(agents, steps, causes, strict=True):
                rows.patch(
                    (str(event.simulation_id), agent),
                    death_time=step,
                    death_cause=cause,
                )


PROJECTION: Final = Projection(
    table=TABLE, events=(OutsideRowsRecorded,), project=project
)
