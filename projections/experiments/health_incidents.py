"""The read table `health_incidents`: every change of an agent's health."""

from typing import TYPE_CHECKING, Any, Final

from events.experiments.simulations import ChunkRecorded
from events.experiments.vocabulary import CAUSES, SCALE
from projections.copying import places
from projections.experiments import outside_health_incidents
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    SIMULATION,
    STEP_IDS,
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
    name="health_incidents",
    version=2,
    note="Changes of agents' health, with their causes",
    columns=(
        SIMULATION,
        integer("step_number", "When incident occurred"),
        integer("place", "Which incident of the step, from 0"),
        integer("agent", "Number of the agent"),
        double("health_before", "Health before incident", nullable=True),
        double("health_after", "Health after incident", nullable=True),
        small("cause_number", "Cause of health change, as a number", nullable=True),
        integer(
            "other", "Number of the agent that caused it, -1 for none", nullable=True
        ),
        ORGANISATION,
    ),
    key=("simulation_id", "step_number", "place"),
    rows=OWN_ORGANISATION,
    view=f"""
        SELECT
            t.*,
            t.step_number::bigint * {STEP_IDS} + t.place + 1 AS incident_id,
            {agent_id("agent")},
            {word("cause_number", CAUSES, "cause")},
            jsonb_strip_nulls(
                jsonb_build_object(
                    'change', t.health_after - t.health_before,
                    'fatal', t.health_after = 0,
                    'caused_by', CASE
                        WHEN t.other >= 0 THEN 'agent_' || t.other
                    END
                )
            )::text AS details
        FROM {{table}} AS t
    """,
    view_columns=(
        bigint("incident_id", "Unique identifier for incident"),
        text("agent_id", "Affected agent"),
        text("cause", "Cause of health change", nullable=True),
        text(
            "details",
            "Change, whether fatal, and who caused it, as JSON",
            nullable=True,
        ),
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
    _MADE,
    outside_health_incidents.TABLE,
    {"incident_id": "coalesce(o.incident_id, o.place)"},
)


def arrange(rows: "npt.NDArray[np.void]", event: ChunkRecorded) -> dict[str, Any]:
    """Return the columns of recorded rows."""
    return {
        "simulation_id": event.simulation,
        "step_number": rows["step"],
        "place": places(rows["step"]),
        "agent": rows["agent"],
        "health_before": rows["before"] / SCALE,
        "health_after": rows["after"] / SCALE,
        "cause_number": rows["cause"],
        "other": rows["other"],
    }


PROJECTION: Final = Projection(
    table=TABLE,
    events=(ChunkRecorded,),
    fill=Filling(source="incidents", arrange=arrange),
)
